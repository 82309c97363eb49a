import numpy as np
import pytest

from demitasse.errors import OptionError
from demitasse.layers import build, infer
from demitasse.layers.ties import tie
from demitasse.message import Message
from demitasse.net import Dense, Layer, Net
from demitasse.runtime import run
from demitasse.transforms.prune import Prune
from demitasse.transforms.prune.criteria import CRITERIA, ON_PICTURES, scores
from demitasse.transforms.recipe import as_steps, from_steps
from demitasse.transforms.transform import is_kept
from random_networks import random_network

RNG = np.random.default_rng(3)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def layer(name, kind, inputs, outputs, field="", *tensors, **param):
    message = Message.of((field, Message.of(*param.items()))) if field else Message()
    return Layer(name, kind, tuple(inputs), tuple(outputs), message, tuple(map(Dense, tensors)))


def conv(name, source, weights, bias=None, **param):
    values = {"num_output": len(weights), "kernel_size": weights.shape[2], "bias_term": bias is not None, **param}
    tensors = [weights] if bias is None else [weights, bias]
    return layer(name, "Convolution", [source], [name], "convolution_param", *tensors, **values)


def network(*layers, channels=3, size=8):
    shape = Message.of(("dim", (1, channels, size, size)))
    return Net("small", (layer("data", "Input", [], ["data"], "input_param", shape=shape), *layers))


def chain(width=16):
    """Three convolutions, of which the last is the output."""
    return network(
        conv("a", "data", random(width, 3, 3, 3), random(width), pad=1),
        layer("r", "ReLU", "a", "a"),
        conv("b", "a", random(width, width, 3, 3) / 8, random(width), pad=1),
        layer("s", "ReLU", "b", "b"),
        conv("c", "b", random(4, width, 1, 1)),
    )


def pictures(count=6, seed=0, channels=3, size=8):
    """Pictures, and what a network looks like on them, as a command supplies it."""
    rng = np.random.default_rng(seed)
    feeds = [rng.standard_normal((1, channels, size, size)).astype(np.float32) for _ in range(count)]

    def activations(net, wanted):
        for feed in feeds:
            yield run(net, {"data": feed}, list(wanted))

    return feeds, activations


def error(net, other, feeds):
    first, second = ([run(one, {"data": feed}) for feed in feeds] for one in (net, other))
    differences = sum(np.square(a[name] - b[name]).sum() for a, b in zip(first, second, strict=True) for name in a)
    return differences / sum(np.square(a[name]).sum() for a in first for name in a)


def filters(net, name):
    return len(net.layer(name).tensors[0].array())


@pytest.mark.parametrize("criterion", [one for one in CRITERIA if one not in ON_PICTURES and one != "batchnorm"])
@pytest.mark.parametrize("ranking", ["global", "layer"])
def test_the_share_of_channels_that_is_asked_for_stays(criterion, ranking):
    small = Prune(keep=0.5, criterion=criterion, ranking=ranking)(chain())
    assert filters(small, "c") == 4
    assert filters(small, "a") + filters(small, "b") == 16
    if ranking == "layer":
        assert filters(small, "a") == 8


@pytest.mark.parametrize("ranking", ["global", "layer"])
@pytest.mark.parametrize("wanted", [0.6, 0.25])
def test_budgets_are_met(ranking, wanted):
    net = chain()
    whole = infer(build(net))
    left = infer(build(Prune(macs=wanted, ranking=ranking)(net)))
    assert wanted - 0.1 < left.total_macs / whole.total_macs <= wanted
    small = Prune(params=wanted, ranking=ranking)(net)
    assert wanted - 0.1 < small.parameters / net.parameters <= wanted


def test_impossible_budgets_are_refused():
    with pytest.raises(OptionError, match=r"macs cannot be brought to 0\.0001"):
        Prune(macs=0.0001)(chain())


def test_numbers_of_channels_can_be_rounded():
    small = Prune(keep=0.55, ranking="layer", round_to=8)(chain(24))
    assert (filters(small, "a"), filters(small, "b")) == (16, 16)


def test_why_no_multiple_is_left_is_said():
    (note,) = (note for note in Prune(keep=0.5, round_to=1000)(chain()).report if not note.layer)
    assert (
        note.text == "no channel leaves: 2 of 2 layers (or groups of tied layers) cannot lose any in multiples of 1000"
    )
    with pytest.raises(OptionError, match="cannot lose any in multiples of 1000"):
        Prune(macs=0.5, round_to=1000)(chain())


def test_layers_whose_multiplications_take_longest_lose_most():
    net = chain(64)
    alike, faster = (Prune(macs=0.5, ranking=ranking)(net) for ranking in ("layer", "time"))
    before, *after = (infer(build(one)).total_macs for one in (net, alike, faster))
    assert all(0.4 < left / before <= 0.5 for left in after)
    assert filters(faster, "a") < filters(alike, "a")  # reads three channels, which leaves vector units idle
    assert filters(faster, "b") > filters(alike, "b")


def test_shares_by_layer():
    small = Prune(layers={"a": 0.25})(chain())
    assert (filters(small, "a"), filters(small, "b")) == (4, 16)
    assert filters(Prune(keep=0.5, layer="b")(chain()), "a") == 16


def test_what_is_worth_least_leaves():
    weights = random(8, 3, 3, 3)
    weights[[1, 4]] *= 0.01
    net = network(conv("a", "data", weights), conv("c", "a", random(2, 8, 1, 1)))
    small = Prune(keep=0.75, repair=False)(net)
    np.testing.assert_array_equal(small.layer("a").tensors[0].array(), np.delete(weights, [1, 4], 0))


def test_the_filter_that_others_can_replace_leaves_first():
    weights = random(6, 3, 1, 1)
    weights[2] = weights.mean(axis=0)
    net = network(conv("a", "data", weights), conv("c", "a", random(2, 6, 1, 1)))
    worth = scores(tie(net), "median", None, None).mean
    assert int(np.nanargmin(worth)) - 3 == 2


def test_a_small_scale_behind_batch_norm_means_little():
    scale = np.array([1, 0.01, 1, 1], np.float32)
    net = network(
        conv("a", "data", random(4, 3, 1, 1)),
        layer("n", "BatchNorm", "a", "n", "", np.zeros(4, np.float32), np.ones(4, np.float32), np.ones(1, np.float32)),
        layer("s", "Scale", "n", "s", "scale_param", scale, np.zeros(4, np.float32), bias_term=True),
        conv("c", "s", random(2, 4, 1, 1)),
    )
    small = Prune(keep=0.75, criterion="batchnorm")(net)
    np.testing.assert_array_equal(small.layer("s").tensors[0].array(), [1, 1, 1])


def test_without_batch_norm_its_criterion_is_refused():
    with pytest.raises(OptionError, match="needs BatchNorm"):
        Prune(keep=0.5, criterion="batchnorm")(chain())


@pytest.mark.parametrize("criterion", sorted(ON_PICTURES))
def test_criteria_on_pictures_need_pictures(criterion):
    with pytest.raises(OptionError, match="give --images"):
        Prune(keep=0.5, criterion=criterion)(chain())


def test_a_channel_that_is_never_active_leaves_first():
    net = chain(8)
    bias = np.full(8, 0.1, np.float32)
    bias[5] = -100
    layers = list(net.layers)
    layers[1] = layers[1].with_tensors([layers[1].tensors[0], Dense(bias)])
    _, activations = pictures()
    small = Prune(layers={"a": 7 / 8}, criterion="activation", activations=activations)(net.with_layers(layers))
    assert -100 not in small.layer("a").tensors[1].array()


def test_least_squares_are_better_than_means_and_these_better_than_nothing():
    net = chain()
    _, seen = pictures(12)
    feeds, _ = pictures(4, seed=5)
    plain = error(net, Prune(keep=0.6, repair=False)(net), feeds)
    means = error(net, Prune(keep=0.6, generated=seen)(net), feeds)
    squares = error(net, Prune(keep=0.6, activations=seen)(net), feeds)
    assert squares < means < plain


def test_channels_that_others_tell_are_made_up_for_entirely():
    weights = random(6, 3, 3, 3)
    weights[4] = 0.5 * weights[0] - 0.2 * weights[1]
    weights[4] *= 0.2
    net = network(conv("a", "data", weights), conv("c", "a", random(2, 6, 3, 3)))
    feeds, seen = pictures(40)
    assert error(net, Prune(layers={"a": 5 / 6}, activations=seen)(net), feeds) < 1e-4
    assert error(net, Prune(layers={"a": 5 / 6}, repair=False)(net), feeds) > 1e-4


def test_means_follow_from_batch_norm():
    net = network(
        conv("a", "data", random(8, 3, 1, 1)),
        layer(
            "n", "BatchNorm", "a", "n", "", np.zeros(8, np.float32), np.full(8, 3, np.float32), np.ones(1, np.float32)
        ),
        layer("s", "Scale", "n", "s", "scale_param", 0.1 * random(8), 3 + random(8), bias_term=True),
        layer("r", "ReLU", "s", "s"),
        conv("c", "s", random(2, 8, 1, 1)),
    )
    feeds, _ = pictures(4)
    small = Prune(keep=0.5)(net)
    assert error(net, small, feeds) < 0.2 * error(net, Prune(keep=0.5, repair=False)(net), feeds)
    assert "BatchNorm's statistics" in small.report[0].text


@pytest.mark.parametrize("seed", range(40))
def test_any_network_can_be_pruned_and_runs(seed):
    net = random_network(seed, steps=6, zeros=0)
    _, seen = pictures(2, size=9)
    small = Prune(keep=0.6, activations=seen if seed % 2 else None)(net)
    feeds, _ = pictures(1, size=9)
    before, after = (run(one, {"data": feeds[0]}) for one in (net, small))
    assert {name: values.shape for name, values in before.items()} == {n: v.shape for n, v in after.items()}
    assert all(np.isfinite(values).all() for values in after.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "p"}, r"p \(Softmax\) has no weights. Did you mean c \(Convolution\), an output of the network\?"),
        ({"layer": "c"}, r"c \(Convolution\) is an output of the network: name it with --allow-outputs"),
        ({"layer": "conv"}, 'there is no layer "conv"'),
        ({"layer": "q"}, r"q \(Convolution\) keeps its channels: u \(Quux\) its type is not known"),
        ({"allow_outputs": ("nothing",)}, 'there is no layer "nothing"'),
    ],
)
def test_layers_that_cannot_lose_channels(options, message):
    net = chain()
    more = (layer("p", "Softmax", "c", "p"), conv("q", "a", random(3, 16, 1, 1)), layer("u", "Quux", "q", "u"))
    with pytest.raises(OptionError, match=message):
        Prune(keep=0.5, **options)(net.with_layers([*net.layers, *more]))


def test_outputs_lose_channels_if_they_are_named():
    net = chain()
    net = net.with_layers([*net.layers, layer("p", "Softmax", "c", "p")])
    assert filters(Prune(keep=0.5, layer="c", allow_outputs=("c",))(net), "c") == 2


def test_what_is_protected_is_said():
    small = Prune(keep=0.5)(chain())
    assert [(note.layer, note.text) for note in small.report if is_kept(note)] == [("c", "is an output of the network")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of keep, macs, params, layers"),
        ({"keep": 0.5, "macs": 0.5}, "not keep and macs"),
        ({"keep": 1.5}, "between 0 and 1"),
        ({"layers": {"a": 0}}, "a: the share of its channels"),
        ({"layers": {"a": 0.5}, "layer": "b"}, "leave layer out"),
        ({"keep": 0.5, "criterion": "best"}, "criterion is 'best'"),
        ({"keep": 0.5, "round_to": 0}, "round_to is 0"),
        ({"keep": 0.5, "ranking": "time"}, "goes with macs"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=message):
        Prune(**options)


def test_it_can_be_written_into_a_recipe():
    steps = [Prune(macs=0.5, criterion="l1", round_to=8), Prune(layers={"a": 0.5})]
    assert list(from_steps(as_steps(steps))) == steps


def test_groups_of_a_shuffled_unit_lose_as_many_channels_each():
    net = network(
        conv("a", "data", random(27, 3, 1, 1)),
        conv("b", "a", random(27, 9, 1, 1), group=3),
        layer("s", "ShuffleChannel", "b", "s", "shuffle_channel_param", group=3),
        conv("d", "s", random(27, 1, 3, 3), group=27, pad=1),
        conv("e", "d", random(27, 9, 1, 1), group=3),
        conv("c", "e", random(2, 27, 1, 1)),
    )
    small = Prune(macs=0.7, ranking="layer")(net)
    assert infer(build(small)).total_macs <= 0.7 * infer(build(net)).total_macs
    assert filters(small, "b") < 27
    assert len(run(small, {"data": random(1, 3, 8, 8)})["c"][0]) == 2


def test_parts_of_a_grouped_convolution_lose_as_many_channels_each():
    weights = random(8, 4, 1, 1)
    weights[:4] *= 0.01  # All that is worth little is in one part.
    net = network(
        conv("a", "data", random(8, 3, 1, 1)), conv("g", "a", weights, group=2), conv("c", "g", random(2, 8, 1, 1))
    )
    small = Prune(layers={"g": 0.5}, repair=False)(net)
    assert small.layer("g").tensors[0].shape == (4, 4, 1, 1)
    assert small.layer("g").message.message("convolution_param").integer("group") == 2
