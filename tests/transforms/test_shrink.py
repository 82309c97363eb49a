from contextlib import suppress
from itertools import islice, starmap
from itertools import product as cartesian
from operator import add

import numpy as np
import pytest

from demitasse import files
from demitasse.errors import DemitasseError, NetError
from demitasse.layers import build, infer
from demitasse.layers.ties import tie
from demitasse.message import Message
from demitasse.net import Dense, Layer, Levels, Net
from demitasse.runtime import run
from demitasse.transforms.removal import removed
from demitasse.transforms.shrink import Shrink
from demitasse.transforms.transform import is_kept
from random_networks import random_network

RNG = np.random.default_rng(8)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def layer(name, kind, inputs, outputs, field="", *tensors, **param):
    message = Message.of((field, Message.of(*param.items()))) if field else Message()
    return Layer(name, kind, tuple(inputs), tuple(outputs), message, tuple(map(Dense, tensors)))


def conv(name, source, weights, bias=None, kind="Convolution", **param):
    channels = len(weights) if kind == "Convolution" else weights.shape[1] * param.get("group", 1)
    values = {"num_output": channels, "kernel_size": weights.shape[2], **param}
    tensors = [weights] if bias is None else [weights, bias]
    if bias is None:
        values["bias_term"] = False
    return layer(name, kind, [source], [name], "convolution_param", *tensors, **values)


def fc(name, source, weights, **param):
    values = {"num_output": len(weights), "bias_term": False, **param}
    return layer(name, "InnerProduct", [source], [name], "inner_product_param", weights, **values)


def network(*layers, channels=3, size=6):
    shape = Message.of(("dim", (1, channels, size, size)))
    return Net("small", (layer("data", "Input", [], ["data"], "input_param", shape=shape), *layers))


def with_zeros(weights, rows=(), columns=()):
    weights = np.array(weights)
    weights[list(rows)] = 0
    if columns:
        weights[:, list(columns)] = 0
    return weights


def shrunk(net):
    """The network after shrinking, which changes no output, and after which shrinking changes nothing."""
    small = Shrink()(net)
    check_equal(net, small)
    again = Shrink()(small)
    assert all(a is b for a, b in zip(again.layers, small.layers, strict=True))
    return small


def check_equal(net, small):
    shape = net.layers[0].message.message("input_param").message("shape").integers("dim")
    inputs = {"data": np.random.default_rng(1).standard_normal((2, *shape[1:])).astype(np.float32)}
    before, after = run(net, inputs), run(small, inputs)
    assert set(before) == set(after)
    for name, values in before.items():
        assert np.abs(values - after[name]).max() <= 1e-4 * max(1e-3, np.abs(values).max()), name


def shapes(net, name):
    return [tensor.shape for tensor in net.layer(name).tensors]


def reasons(net, name):
    return [note.text for note in net.report if note.layer == name and is_kept(note)]


@pytest.mark.parametrize("seed", range(120))
def test_outputs_stay_equal_whatever_the_network(seed):
    shrunk(random_network(seed, steps=4 + seed % 8))


@pytest.mark.parametrize("seed", [3022, *range(1000, 1030)])
def test_nothing_more_could_go(seed):
    """Complete: without any one more of the channels that stay, with all that is tied to it, an output changes."""
    small = Shrink()(random_network(seed, steps=5))
    ties = tie(small)
    rng = np.random.default_rng(seed)
    feeds = [{"data": (scale * rng.standard_normal((2, 3, 9, 9))).astype(np.float32)} for scale in (1, 10)]
    before = [run(small, feed) for feed in feeds]
    for groups in dict.fromkeys(removable(ties)):
        try:
            smaller = small.with_layers(removed(ties, ~np.isin(ties.groups, groups)))
            after = [run(smaller, feed) for feed in feeds]
        except DemitasseError:
            continue  # Some layer cannot be without it.
        assert any(starmap(differs, zip(before, after, strict=True))), groups


def removable(ties):
    """What could leave alone: a group of tied channels; of a grouped convolution a whole part, or one of each part."""
    free = set(np.unique(ties.groups[~ties.pinned]).tolist())
    yield from ((group,) for group in sorted(free))
    for product in (product for tied in ties.placed for product in tied.products if product.groups > 1):
        rows, columns = (
            ties.groups[ids].reshape(product.groups, -1).tolist() for ids in (product.rows, product.columns)
        )
        sets = [*map(add, rows, columns), *islice(cartesian(*rows), 32), *islice(cartesian(*columns), 32)]
        yield from (tuple(sorted(set(groups))) for groups in sets if free.issuperset(groups))


def differs(before, after):
    """Whether two sets of outputs are different ones."""
    if {name: values.shape for name, values in before.items()} != {name: v.shape for name, v in after.items()}:
        return True
    return any(np.abs(v - after[name]).max() > 1e-5 * max(1e-3, np.abs(v).max()) for name, v in before.items())


def test_a_zero_channel_leaves_its_layer_and_its_readers():
    net = network(
        conv("a", "data", with_zeros(random(4, 3, 3, 3), rows=[1]), with_zeros(random(4), rows=[1])),
        layer("r", "ReLU", "a", "a"),
        conv("b", "a", random(5, 4, 3, 3), random(5)),
    )
    small = shrunk(net)
    assert shapes(small, "a") == [(3, 3, 3, 3), (3,)]
    assert shapes(small, "b") == [(5, 3, 3, 3), (5,)]
    assert small.layer("a").message.message("convolution_param").integer("num_output") == 3
    (note,) = (note for note in small.report if note.layer == "a")
    assert note.data["shapes_before"] == [[4, 3, 3, 3], [4]]
    assert note.data["shapes_after"] == [[3, 3, 3, 3], [3]]


def test_a_constant_moves_into_the_bias_of_its_reader():
    net = network(
        conv("a", "data", with_zeros(random(4, 3, 3, 3), rows=[1]), random(4)),
        layer("s", "Sigmoid", "a", "s"),
        conv("b", "s", random(5, 4, 3, 3)),
    )
    small = shrunk(net)
    assert shapes(small, "b") == [(5, 3, 3, 3), (5,)]
    assert small.layer("b").message.message("convolution_param").flag("bias_term", True)


@pytest.mark.parametrize(
    ("reader", "goes"),
    [
        (conv("b", "a", random(2, 4, 3, 3), pad=1), False),
        (conv("b", "a", random(2, 4, 3, 3)), True),
        (conv("b", "a", random(4, 2, 3, 3), kind="Deconvolution"), False),
        (conv("b", "a", random(4, 2, 1, 1), kind="Deconvolution"), True),
        (fc("b", "a", random(2, 4 * 4 * 4)), True),
    ],
)
def test_a_constant_stays_where_a_border_would_show_it(reader, goes):
    net = network(conv("a", "data", with_zeros(random(4, 3, 3, 3), rows=[1]), random(4)), reader)
    small = shrunk(net)
    assert shapes(small, "a")[0][0] == (3 if goes else 4)
    if not goes:
        assert "border" in reasons(small, "a")[0]


@pytest.mark.parametrize(
    ("pooling", "constant"),
    [
        ({"pool": "AVE", "kernel_size": 2, "stride": 2}, True),
        ({"pool": "MAX", "kernel_size": 3, "stride": 2, "pad": 1}, True),
        ({"pool": "AVE", "kernel_size": 3, "stride": 2, "pad": 1}, False),
        ({"pool": "AVE", "global_pooling": True}, True),
        ({"pool": "MAX", "kernel_size": 1, "stride": 3}, False),
    ],
)
def test_pooling_keeps_constants_where_padding_does_not_count(pooling, constant):
    pool = layer("p", "Pooling", "a", "p", "pooling_param", **pooling)
    a = conv("a", "data", with_zeros(random(4, 3, 3, 3), rows=[1]), random(4))
    size = 1 if "global_pooling" in pooling else 3 if pooling.get("pad") else 2
    small = shrunk(network(a, pool, fc("b", "p", random(2, 4 * size * size))))
    assert shapes(small, "a")[0][0] == (3 if constant else 4)


def test_an_empty_column_takes_a_channel_out_of_the_layer_before():
    weights = random(3, 4, 4, 4)
    weights[:, 2] = 0
    net = network(
        conv("a", "data", random(4, 3, 3, 3), random(4)),
        layer("f", "Flatten", "a", "f"),
        fc("b", "f", weights.reshape(3, 64)),
    )
    small = shrunk(net)
    assert shapes(small, "a") == [(3, 3, 3, 3), (3,)]
    assert shapes(small, "b") == [(3, 48)]


def test_a_branch_holds_the_channels_that_the_sum_needs():
    net = network(
        conv("a", "data", with_zeros(random(3, 3, 1, 1), rows=[1])),
        layer("s", "Eltwise", ["a", "data"], "s"),
        conv("b", "s", random(2, 3, 1, 1)),
    )
    small = shrunk(net)
    assert shapes(small, "a") == [(3, 3, 1, 1)]
    assert reasons(small, "a") == [
        "1 outputs whose weights are all zero stay: tied by s (Eltwise) to channels that stay: "
        "data (Input) comes from outside of the network"
    ]


def test_a_channel_of_a_sum_that_nobody_reads_leaves_every_branch():
    net = network(
        conv("a", "data", random(3, 3, 1, 1)),
        conv("b", "data", random(3, 3, 1, 1)),
        layer("s", "Eltwise", "ab", "s"),
        conv("c", "s", with_zeros(random(2, 3, 1, 1), columns=[0])),
    )
    small = shrunk(net)
    assert shapes(small, "a") == shapes(small, "b") == [(2, 3, 1, 1)]


def test_a_branch_that_is_zero_leaves():
    net = network(
        conv("a", "data", random(3, 3, 1, 1)),
        conv("z", "a", np.zeros((3, 3, 1, 1), np.float32), np.zeros(3, np.float32)),
        layer("s", "Eltwise", "az", "s"),
        conv("b", "s", random(2, 3, 1, 1)),
    )
    small = shrunk(net)
    assert [one.name for one in small.layers] == ["data", "a", "b"]


def test_equal_filters_become_one():
    weights, bias = random(4, 3, 3, 3), random(4)
    weights[2], bias[2] = weights[0], bias[0]
    net = network(
        conv("a", "data", weights, bias), layer("r", "ReLU", "a", "a"), conv("b", "a", random(2, 4, 3, 3), pad=1)
    )
    small = shrunk(net)
    assert shapes(small, "a") == [(3, 3, 3, 3), (3,)]
    before, after = (one.layer("b").tensors[0].array() for one in (net, small))
    np.testing.assert_allclose(after[:, 0], before[:, 0] + before[:, 2], rtol=1e-6)


def test_equal_filters_with_different_activations_do_not():
    weights = random(2, 3, 1, 1)
    weights[1] = weights[0]
    slopes = np.array([0.1, 0.2], np.float32)
    net = network(
        conv("a", "data", weights), layer("p", "PReLU", "a", "a", "", slopes), conv("b", "a", random(2, 2, 1, 1))
    )
    assert shapes(shrunk(net), "a") == [(2, 3, 1, 1)]


def test_of_weights_that_layers_share_the_last_ones_count():
    param = Message.of(("name", "w"))
    zero = with_zeros(random(3, 3, 1, 1), columns=[1])
    a, b = conv("a", "p", zero), conv("b", "a", random(3, 3, 1, 1))
    a, b = (Layer(c.name, c.type, c.inputs, c.outputs, c.message.add("param", param), c.tensors) for c in (a, b))
    first = conv("p", "data", random(3, 4, 1, 1))
    small = shrunk(network(first, a, b, conv("c", "b", random(2, 3, 1, 1)), channels=4))
    assert shapes(small, "p") == [(3, 4, 1, 1)]


def test_groups_stay_of_one_size():
    weights = with_zeros(random(6, 2, 1, 1), rows=[0, 1, 3])
    net = network(
        conv("a", "data", random(4, 3, 1, 1)), conv("g", "a", weights, group=2), conv("b", "g", random(2, 6, 1, 1))
    )
    small = shrunk(net)
    assert shapes(small, "g") == [(4, 2, 1, 1)]
    assert reasons(small, "g") == [
        "1 outputs whose weights are all zero stay: groups of g (Convolution) have to be of one size"
    ]


def test_a_whole_group_leaves():
    weights = with_zeros(random(6, 2, 1, 1), rows=[3, 4, 5])
    net = network(
        conv("a", "data", random(4, 3, 1, 1)), conv("g", "a", weights, group=2), conv("b", "g", random(2, 6, 1, 1))
    )
    small = shrunk(net)
    assert shapes(small, "a") == [(2, 3, 1, 1)]
    assert shapes(small, "g") == [(3, 2, 1, 1)]
    assert small.layer("g").message.message("convolution_param").integer("group") == 1


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize(
    ("size", "empty", "param", "expected"),
    [
        (5, [0, 4], {"pad": 2}, {"kernel_size": 3, "pad": 1}),
        (3, [0, 2], {"pad": 2, "dilation": 2}, {"kernel_size": 1, "pad": 0}),
        (5, [0, 1, 3, 4], {"pad": 1}, {"kernel_size": 3, "pad": 0}),
        (5, [0, 4], {}, {"kernel_size": 5}),
        (3, [0], {"pad": 1}, {"kernel_size": 3, "pad": 1}),
    ],
)
def test_empty_borders_of_kernels_leave(kind, size, empty, param, expected):
    weights = random(3, 3, size, size)
    weights[:, :, empty] = 0
    weights[:, :, :, empty] = 0
    small = shrunk(network(conv("a", "data", weights, random(3), kind=kind, **param)))
    found = small.layer("a").message.message("convolution_param")
    assert {name: found.integer(name) for name in expected} == expected
    if expected["kernel_size"] == size:
        assert "empty border" in reasons(small, "a")[0]


def test_kernels_can_become_oblong():
    weights = random(3, 3, 3, 3)
    weights[:, :, [0, 2]] = 0
    small = shrunk(network(conv("a", "data", weights, pad=1, stride=2)))
    found = small.layer("a").message.message("convolution_param")
    assert [found.integer(name) for name in ("kernel_h", "kernel_w", "pad_h", "pad_w")] == [1, 3, 0, 1]
    assert "kernel_size" not in found


def test_zeros_between_neighbours_of_a_response_stay():
    weights = with_zeros(random(7, 3, 1, 1), rows=[0, 2, 4, 5, 6])
    net = network(
        conv("a", "data", weights),
        layer("n", "LRN", "a", "n", "lrn_param", local_size=3, alpha=1.0),
        conv("b", "n", random(2, 7, 1, 1)),
    )
    small = shrunk(net)
    assert shapes(small, "a") == [(3, 3, 1, 1)]
    assert "neighbourhood" in reasons(small, "a")[0]


def test_layers_that_do_nothing_leave():
    net = network(
        conv("a", "data", random(3, 3, 1, 1)),
        layer("s", "Scale", "a", "s", "scale_param", np.ones(3, np.float32)),
        layer("p", "Power", "s", "p", "power_param", power=1.0, scale=1.0),
        conv("b", "p", random(2, 3, 1, 1)),
    )
    assert [one.name for one in shrunk(net).layers] == ["data", "a", "b"]


def test_what_an_unknown_layer_reads_stays():
    net = network(conv("a", "data", with_zeros(random(4, 3, 3, 3), rows=[1])), layer("q", "Quux", "a", "q"))
    small = Shrink()(net)
    assert small.layers == net.layers
    assert "q (Quux)" in reasons(small, "a")[0]


def test_outputs_leave_only_if_they_are_named():
    net = network(conv("a", "data", with_zeros(random(4, 3, 3, 3), rows=[1])))
    assert shapes(shrunk(net), "a")[0][0] == 4
    assert shapes(Shrink(allow_outputs=("a",))(net), "a")[0][0] == 3


def test_units_of_a_recurrent_layer_leave():
    hidden, features = 4, 3
    units = np.tile(np.arange(hidden), 4)
    wx, wh = random(4 * hidden, features), random(4 * hidden, hidden)
    wh[:, 2] = 0
    reader = random(2, hidden)
    reader[:, 2] = 0
    shape = Message.of(("dim", (5, 2, features)))
    net = Net(
        "recurrent",
        (
            layer("x", "Input", [], ["x"], "input_param", shape=shape),
            layer("c", "Input", [], ["c"], "input_param", shape=Message.of(("dim", (5, 2)))),
            layer("l", "LSTM", ["x", "c"], ["h"], "recurrent_param", wx, random(4 * hidden), wh, num_output=hidden),
            fc("b", "h", reader, axis=2),
        ),
    )
    small = Shrink()(net)
    assert shapes(small, "l") == [(12, 3), (12,), (12, 3)]
    np.testing.assert_array_equal(small.layer("l").tensors[0].array(), wx[units != 2])
    inputs = {"x": random(5, 2, features), "c": np.ones((5, 2), np.float32)}
    np.testing.assert_allclose(run(net, inputs)["b"], run(small, inputs)["b"], rtol=1e-5, atol=1e-6)


def test_cells_that_nothing_enters_leave():
    hidden = 4
    wx, wh, bias = random(4 * hidden, 3), random(4 * hidden, hidden), random(4 * hidden)
    for blob in (wx, wh, bias):
        blob[3 * hidden + 1] = 0  # the candidate of unit 1
    net = Net(
        "recurrent",
        (
            layer("x", "Input", [], ["x"], "input_param", shape=Message.of(("dim", (5, 2, 3)))),
            layer("c", "Input", [], ["c"], "input_param", shape=Message.of(("dim", (5, 2)))),
            layer("l", "LSTM", ["x", "c"], ["h"], "recurrent_param", wx, bias, wh, num_output=hidden),
            fc("b", "h", random(2, hidden), axis=2),
        ),
    )
    small = Shrink()(net)
    assert shapes(small, "l") == [(12, 3), (12,), (12, 3)]
    inputs = {"x": random(5, 2, 3), "c": np.ones((5, 2), np.float32)}
    np.testing.assert_allclose(run(net, inputs)["b"], run(small, inputs)["b"], rtol=1e-5, atol=1e-6)


def test_coded_weights_are_cut_too():
    levels = with_zeros(np.ones((4, 3, 1, 1), np.int8), rows=[2])
    net = network(conv("a", "data", random(4, 3, 1, 1)), conv("b", "a", random(2, 4, 1, 1)))
    coded = net.layer("a").with_tensors([Levels(levels, np.array([0.5], np.float32))])
    small = shrunk(net.with_layers([net.layers[0], coded, net.layers[2]]))
    assert shapes(small, "a") == [(3, 3, 1, 1)] or shapes(small, "a") == [(1, 3, 1, 1)]


def test_nothing_to_do_is_said():
    net = network(conv("a", "data", random(3, 3, 1, 1)))
    small = Shrink()(net)
    assert small.layers is net.layers
    assert [note.text for note in small.report] == ["nothing can leave"]


SMALL = 5e7
"""Multiplications up to which real models are run here; benchmarks/shrink_zoo.py runs all."""


@pytest.mark.zoo
def test_real_models_with_zeros_give_the_same(zoo):
    ran = 0
    for folder in sorted((zoo / "models").iterdir()):
        net = files.load(folder / "deploy.prototxt", folder / f"{folder.name}.caffemodel")
        graph = build(net)
        shapes = infer(graph)
        if (shapes.total_macs or 0) > SMALL:
            continue
        net = with_dead_filters(net, len(folder.name))
        rng = np.random.default_rng(0)
        inputs = {name: rng.standard_normal(shapes.blobs[name]).astype(np.float32) for name in graph.inputs}
        small = Shrink()(net)
        assert small.parameters < net.parameters, folder.name
        before, after = run(net, inputs, threads=1), run(small, inputs, threads=1)
        for name, values in before.items():
            assert values.shape == after[name].shape, folder.name
            assert np.abs(values - after[name]).max() <= 1e-4 * np.abs(values).max(), folder.name
        ran += 1
    assert ran > 10


def with_dead_filters(net, seed):
    """A third of the filters of all layers but the last is zero, most of their biases, too."""
    rng = np.random.default_rng(seed)
    kinds = ("Convolution", "InnerProduct", "CConvolution", "CInnerProduct")
    weighted = [one for one in net.layers if one.type in kinds]
    layers = []
    for one in net.layers:
        if one in weighted[:-1]:
            arrays = [np.array(tensor.array()) for tensor in one.tensors]
            dead = rng.random(len(arrays[0])) < 0.3
            arrays[0][dead] = 0
            for bias in arrays[1:]:
                bias[dead & (rng.random(len(bias)) < 0.8)] = 0
            one = one.with_tensors(map(Dense, arrays))
        layers.append(one)
    return net.with_layers(layers)


@pytest.mark.zoo
def test_every_real_prototxt_can_be_looked_at(zoo):
    """Without weights nothing is known to be zero: only what nobody reads at all can leave."""
    for path in sorted((zoo / "prototxt").glob("*.prototxt")):
        if "solver" in path.name:
            continue
        net = files.load(path)
        if len(net.layers) > 100:  # benchmarks/shrink_zoo.py
            continue
        with suppress(NetError):  # Some hang together in no phase.
            small = Shrink()(net)
            silent = any(layer.type == "Silence" for layer in net.layers)
            left = {layer.name for layer in small.layers}
            gone = {layer.type for layer in net.layers if layer.name not in left}
            assert silent or gone <= {"Concat", "Power"}, path.name
