import numpy as np
import pytest

from demitasse.caffe.write import buffers
from demitasse.errors import OptionError
from demitasse.layers import build, infer
from demitasse.runtime import run
from demitasse.transforms.factorize import Factorize, apart, deciding
from filled_networks import conv, data, error, fed, filled, layer, reasons, types

pytest.importorskip("torch")


def fc(name: str, bottom: str, units: int) -> str:
    return layer("InnerProduct", name, bottom, f"inner_product_param {{ num_output: {units} }}")


TEXT = (
    data(1, 8, 12, 12)
    + conv("c1", "data", "num_output: 32 kernel_size: 3 pad: 1")
    + layer("ReLU", "r1", "c1", top="c1")
    + conv("c2", "c1", "num_output: 32 kernel_size: 3 pad: 1 stride: 2")
    + fc("fc1", "c2", 64)
    + layer("ReLU", "r2", "fc1", top="fc1")
    + fc("fc2", "fc1", 10)
)


@pytest.fixture(scope="module")
def net():
    """Weights that fall off, as those of trained layers do."""
    made = filled(TEXT)
    layers = []
    for one in made.layers:
        if one.tensors:
            values = one.tensors[0].array()
            left, singular, right = np.linalg.svd(values.reshape(len(values), -1), full_matrices=False)
            singular = singular * 0.9 ** np.arange(len(singular))
            found = ((left * singular) @ right).reshape(values.shape).astype(np.float32)
            one = one.with_tensors([type(one.tensors[0])(found), *one.tensors[1:]])
        layers.append(one)
    return made.with_layers(layers)


def macs(net):
    return infer(build(net)).total_macs


def test_an_inner_product_as_two(net):
    found = Factorize("fc1", 16)(net)
    assert [one.name for one in found.layers] == ["data", "c1", "r1", "c2", "fc1_L", "fc1_U", "r2", "fc2"]
    first, second = found.layers[4:6]
    assert [len(one.tensors) for one in (first, second)] == [1, 2]
    assert (first.inputs, first.outputs, second.inputs, second.outputs) == (("c2",), ("fc1_L",), ("fc1_L",), ("fc1",))
    assert error(net, found) < 0.2


def test_ranks_by_name(net):
    found = Factorize(rank={"fc1": 16, "c2": 8})(net)
    shapes = {one.name: one.tensors[0].shape for one in found.layers if one.tensors}
    assert shapes["fc1_L"] == (16, 32 * 36)
    assert shapes["c2_L"] == (8, 32, 3, 3)
    assert shapes["c2_U"] == (32, 8, 1, 1)


def test_above_break_even_nothing_is_done(net):
    found = Factorize("fc1", 61)(net)
    assert found.layers == net.layers
    assert reasons(found, "factorize")["fc1"] == "rank 61 would not make it smaller: break-even is 60"
    assert Factorize("fc1", 60)(net).parameters < net.parameters


def test_break_even_is_smaller_and_closest(net):
    found = Factorize(rank="break-even")(net)
    assert found.parameters < net.parameters
    assert macs(found) <= macs(net)
    assert error(net, found) < 0.1


@pytest.mark.parametrize("energy", [0.8, 0.95])
def test_energy_to_keep(net, energy):
    found = Factorize(energy=energy, layer=("fc1", "c2"))(net)
    kept = [note.text for note in found.report if note.step == "factorize" and note.layer]
    assert all(float(text.split(", ")[-1].split(" %")[0]) >= 100 * energy - 0.01 for text in kept)
    assert found.parameters < net.parameters


@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize("measure", ["macs", "params"])
@pytest.mark.parametrize("method", ["auto", "channel", "spatial", "tucker"])
def test_budgets_are_met_and_used(net, measure, share, method):
    found = Factorize(**{measure: share}, method=method)(net)
    before, after = (macs(net), macs(found)) if measure == "macs" else (net.parameters, found.parameters)
    assert 0.9 * share < after / before <= share
    assert error(net, found) < 0.7


def test_a_larger_budget_loses_less(net):
    errors = [error(net, Factorize(macs=share)(net)) for share in (0.25, 0.5, 0.9)]
    assert errors[0] > errors[1] > errors[2]


def test_all_of_a_budget_keeps_everything(net):
    assert Factorize(params=1.0)(net).layers == net.layers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "nothing", "rank": 2}, 'no layer "nothing"'),
        ({"rank": {"nothing": 2}}, 'no layer "nothing"'),
        ({"layer": "r1", "rank": 2}, r'"r1" \(ReLU\) cannot be factorized'),
        ({"layer": "fc2", "params": 0.1}, "are left"),
        ({"rank": {"fc1": 2}, "layer": "fc1"}, "leave layer out"),
        ({}, "give one of"),
        ({"rank": {"fc1": 0}}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(net, options, message):
    with pytest.raises(OptionError, match=message):
        Factorize(**options)(net)


def test_shared_weights_stay():
    shared = 'param { name: "w" } convolution_param { num_output: 8 kernel_size: 3 pad: 1 }'
    text = data(1, 8, 6, 6) + layer("Convolution", "a", "data", shared) + layer("Convolution", "b", "a", shared)
    found = Factorize(rank=2)(filled(text))
    assert types(found) == ["Input", "Convolution", "Convolution"]
    assert set(reasons(found, "factorize").values()) == {"its weights are shared with other layers"}


def test_specifications_of_learning_go_with_the_weights():
    text = data(1, 8, 6, 6) + layer(
        "InnerProduct",
        "x",
        "data",
        "param { lr_mult: 1 } param { lr_mult: 2 } inner_product_param { num_output: 20 bias_filler { value: 1 } }",
    )
    first, second = Factorize(rank=3)(filled(text)).layers[1:]
    assert [one.number("lr_mult") for one in first.message.messages("param")] == [1]
    assert [one.number("lr_mult") for one in second.message.messages("param")] == [1, 2]
    assert "bias_filler" not in first.message.message("inner_product_param")


def test_the_same_twice_is_the_same(net):
    one, two = (Factorize(macs=0.5)(net) for _ in range(2))
    for a, b in zip(one.layers, two.layers, strict=True):
        assert a.name == b.name
        assert all(np.array_equal(x.array(), y.array()) for x, y in zip(a.tensors, b.tensors, strict=True))


def test_nothing_grows_text_and_weights_together():
    """A rank below break-even may cost more in the description of two layers than it saves in weights."""
    net = filled(data(1, 4, 6, 6) + conv("x", "data", "num_output: 8 kernel_size: 3"))
    small = Factorize(rank=6)(net)
    assert small.layers[1] is net.layers[1]
    assert "takes more to describe" in reasons(small, "factorize")["x"]
    wide = filled(data(1, 16, 6, 6) + conv("x", "data", "num_output: 64 kernel_size: 3"))
    assert sum(map(len, buffers(Factorize(rank=30)(wide)))) < sum(map(len, buffers(wide)))


def test_of_several_ways_the_one_of_least_error_on_pictures_held_out_is_taken():
    net = filled(TEXT)
    feeds = [fed(net, seed) for seed in range(4)]

    def activations(one, wanted):
        for feed in feeds:
            yield run(one, feed, list(wanted))

    small = Factorize(macs=0.7, activations=activations)(net)
    text = small.report[-1].text
    said, _, tried = text.partition(", by the error on pictures held out: ")
    method = said.removeprefix("method ")
    errors = {name: float(value) for name, value, _ in (one.split() for one in tried.split(", "))}
    assert errors[method] <= min(errors.values()) / 0.9
    assert set(errors) == {"auto", "channel", "spatial", "tucker"}
    alone = Factorize(macs=0.7, method=method, activations=activations)
    before = list(activations(net, deciding(net)))
    again = small if method == "auto" else alone(net)
    assert apart(before, activations(small, deciding(net))) == apart(before, activations(again, deciding(net)))
