"""The executor as a module: what goes in, what comes out, whose weights, and what is said when something is wrong."""

from __future__ import annotations

import weakref
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.errors import NetError, OptionError  # noqa: E402
from demitasse.layers import build, infer  # noqa: E402
from demitasse.net import Dense, Net, Tensor  # noqa: E402
from demitasse.runtime import run  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }'
CONV = """layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }"""
FULL = 'layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 5 } }'
NORM = """layer { name: "b" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }"""


def net_of(*layers: str, phase: str = "TEST", fill: bool = True) -> Net:
    """A network with small random weights."""
    net = parse_net("\n".join(layers).encode())
    if not fill:
        return net
    rng = np.random.default_rng(0)
    shapes = dict(zip((layer.name for layer in net.layers), infer(build(net, phase)).parameters, strict=True))
    return net.with_layers(
        layer.with_tensors(Dense(rng.uniform(0.1, 1, shape).astype(np.float32)) for shape in shapes[layer.name] or ())
        for layer in net.layers
    )


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape or (2, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (7, 3, 8, 8), (1, 3, 20, 11)])
def test_any_batch_and_picture_size_goes_in(shape):
    blobs = run(net_of(INPUT, CONV), {"x": pictures(*shape)})
    assert blobs["c"].shape == (shape[0], 4, shape[2] - 2, shape[3] - 2)


def test_pictures_in_a_batch_do_not_depend_on_each_other():
    net, x = net_of(INPUT, CONV, NORM, FULL), pictures()
    both = run(net, {"x": x})["f"]
    np.testing.assert_allclose(both[1:], run(net, {"x": x[1:]})["f"], rtol=1e-5, atol=1e-6)


def test_only_wanted_blobs_come_out_and_a_blob_written_in_place_has_its_final_value():
    net, x = net_of(INPUT, CONV, FULL), pictures()
    assert set(run(net, {"x": x})) == {"f"}
    everything = run(net, {"x": x}, "*")
    assert set(everything) == {"x", "c", "f"}
    assert everything["c"].min() == 0
    np.testing.assert_array_equal(run(net, {"x": x}, "c")["c"], everything["c"])


def test_layers_that_nothing_wanted_needs_do_not_run():
    broken = 'layer { name: "u" type: "Unheard" bottom: "c" top: "u" }'
    net, x = net_of(INPUT, CONV, broken, FULL), pictures()
    assert set(run(net, {"x": x}, ["f"])) == {"f"}
    with pytest.raises(NetError, match=r'layer "u".*Unheard.*--plugin'):
        run(net, {"x": x})


def test_walk_gives_what_each_layer_gives_before_the_next_changes_it():
    network = Network(build(net_of(INPUT, CONV, NORM, FULL)))
    with torch.inference_mode():
        values = {layer.name: outputs[0].clone() for layer, outputs in network.walk({"x": pictures()})}
        final = network({"x": pictures()}, "*")
    assert list(values) == ["c", "r", "b", "s", "f"]
    assert values["c"].min() < 0 <= values["r"].min()
    torch.testing.assert_close(values["s"], final["c"])


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("factor", [1.0, 2.5, 0.0])
def test_fused_layers_compute_what_they_compute_one_by_one(phase, factor):
    net = net_of(INPUT, CONV, NORM, FULL)
    b = net.layer("b")
    b = b.with_tensors([*b.tensors[:2], Dense(np.full(1, factor, np.float32))])
    net = net.with_layers(b if layer.name == "b" else layer for layer in net.layers)
    with torch.no_grad():
        fused = Network(build(net, phase))({"x": pictures()})["f"]
    plain = Network(build(net, phase))({"x": pictures()})["f"].detach()
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))


def test_what_is_given_is_never_written_to():
    x = -np.abs(pictures())
    net = net_of(INPUT, 'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }')
    before = x.copy()
    assert run(net, {"x": x}, "x")["x"].max() == 0
    np.testing.assert_array_equal(x, before)


def test_memory_that_caffe_shares_changes_together():
    flat = (
        'layer { name: "v" type: "Flatten" bottom: "c" top: "v" } layer { name: "n" type: "ReLU" bottom: "v" top: "v" }'
    )
    net = net_of(INPUT, CONV.rpartition("\n")[0], flat)
    blobs = run(net, {"x": pictures()}, "*")
    assert blobs["c"].min() == 0
    np.testing.assert_array_equal(blobs["c"].reshape(2, -1), blobs["v"])


@pytest.mark.parametrize("kind", ["ReLU", "TanH"])
def test_a_blob_is_forgotten_after_its_last_reader(kind):
    alive: list[int] = []
    seen: list[weakref.ref[torch.Tensor]] = []

    def watch(call):
        alive.append(sum(reference() is not None for reference in seen))
        seen.append(weakref.ref(call.x))
        return call.x + 1

    def layer(number: int, kind: str, bottom: str, top: str) -> str:
        return f'layer {{ name: "{number}" type: "{kind}" bottom: "{bottom}" top: "{top}" }}'

    layers = [layer(i, "Watch", before, name) for i, (before, name) in enumerate(pairwise("xabcdef"))]
    layers[3:3] = [layer(7, kind, "c", "c"), layer(8, "Dropout", "c", "c")]
    run(net_of(INPUT, *layers, fill=False), {"x": pictures()}, plugins={"Watch": watch})
    assert max(alive) <= 2


class Counting(Tensor):
    """Weights that know how often they were asked for."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.asked = values, 0

    @property
    def shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.values.dtype

    def array(self):
        self.asked += 1
        return self.values


def test_weights_are_touched_on_first_use_and_once():
    net = net_of(INPUT, CONV, FULL)
    counted = {layer.name: [Counting(tensor.array()) for tensor in layer.tensors] for layer in net.layers}
    network = Network(build(net.with_layers(layer.with_tensors(counted[layer.name]) for layer in net.layers)))
    for _ in range(2):
        network({"x": pictures()}, ["c"])
    assert [tensor.asked for name in ("c", "f") for tensor in counted[name]] == [1, 1, 0, 0]


def test_read_only_weights_are_used_where_they_are():
    net = net_of(INPUT, CONV)
    values = net.layer("c").tensors[0].array()
    values.flags.writeable = False
    network = Network(build(net))
    assert network.weight("c", 0).data_ptr() == values.ctypes.data
    assert Network(build(net), writable=True).weight("c", 0).data_ptr() != values.ctypes.data


def test_batch_statistics_in_test_do_not_write_into_the_net():
    norm = 'layer { name: "b" type: "BatchNorm" bottom: "x" top: "b" batch_norm_param { use_global_stats: false } }'
    net = net_of(INPUT, norm)
    before = net.layer("b").tensors[0].array().copy()
    network = Network(build(net))
    with torch.inference_mode():
        network({"x": pictures()})
    np.testing.assert_array_equal(net.layer("b").tensors[0].array(), before)
    assert not np.array_equal(network.tensors().layer("b").tensors[0].array(), before)


SHARED = """layer { name: "a" type: "InnerProduct" bottom: "x" top: "a"
  param { name: "w" } param { name: "b" } inner_product_param { num_output: 192 } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b"
  param { name: "w" } param { name: "b" } inner_product_param { num_output: 192 } }"""


def test_shared_weights_are_one_parameter_and_the_last_values_count():
    net = net_of(INPUT, SHARED)
    network = Network(build(net, "TRAIN"))
    assert network.weight("a", 0) is network.weight("b", 0)
    assert len(list(network.parameters())) == 2
    np.testing.assert_array_equal(network.weight("a", 0).detach(), net.layer("b").tensors[0].array())
    network({"x": pictures()})["b"].sum().backward()
    assert network.weight("a", 0).grad is not None


def test_permissive_sharing_needs_only_as_many_elements():
    text = SHARED.replace('name: "w" }', 'name: "w" share_mode: PERMISSIVE }')
    second = text.replace('top: "b"', 'top: "b"').replace("num_output: 192 } }", "num_output: 192 transpose: true } }")
    net = net_of(INPUT, second)
    assert run(net, {"x": pictures()})["b"].shape == (2, 192)


def test_tensors_gives_the_weights_as_they_are_now():
    network = Network(build(net_of(INPUT, CONV), "TRAIN"))
    with torch.no_grad():
        network.weight("c", 0).mul_(2)
    changed = network.tensors()
    np.testing.assert_allclose(
        changed.layer("c").tensors[0].array(), 2 * network.graph.net.layer("c").tensors[0].array()
    )
    np.testing.assert_allclose(
        run(changed, {"x": pictures()})["c"], network({"x": pictures()})["c"].detach(), rtol=1e-6, atol=1e-6
    )


def test_weights_that_are_not_learned_get_no_gradient():
    frozen = CONV.replace("convolution_param", "param { lr_mult: 0 } convolution_param")
    network = Network(build(net_of(INPUT, frozen, NORM, FULL), "TRAIN"))
    network({"x": pictures()})["f"].sum().backward()
    learned = {name: weight.grad is not None for name, weight in network.named_parameters()}
    assert learned == {
        "1:c/0": False, "1:c/1": True, "3:b/0": False, "3:b/1": False, "3:b/2": False,
        "4:s/0": True, "4:s/1": True, "5:f/0": True, "5:f/1": True,
    }  # fmt: skip


def test_random_numbers_follow_the_seed():
    net = net_of(INPUT, 'layer { name: "d" type: "Dropout" bottom: "x" top: "d" }')
    first, same, other = (Network(build(net, "TRAIN"), seed=seed)({"x": pictures()})["d"] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_losses_without_a_name_are_summed_by_their_weights():
    loss = 'layer {{ name: "{0}" type: "EuclideanLoss" bottom: "x" bottom: "t" loss_weight: {1} }}'
    inputs = 'layer { name: "in" type: "Input" top: "x" top: "t" input_param { shape { dim: 2 dim: 3 } } }'
    network = Network(build(net_of(inputs, loss.format("one", 2), loss.format("two", 0.5)), "TRAIN"))
    x, t = pictures(2, 3), np.zeros((2, 3), np.float32)
    expected = 2.5 * np.square(x).sum() / 4
    assert network.loss(network({"x": x, "t": t})).item() == pytest.approx(expected, rel=1e-6)


def test_data_layers_are_fed_by_name():
    data = 'layer { name: "d" type: "Data" top: "x" top: "label" data_param { source: "nowhere" batch_size: 2 } }'
    net = net_of(data, 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }', fill=False)
    assert run(net, {"x": pictures(), "label": np.zeros(2)}, ["y"])["y"].shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("layers", "inputs", "said"),
    [
        ((INPUT, CONV), {}, r'layer "in" \(Input\): no array is given for "x"; its shape is 2×3×8×8'),
        ((INPUT, CONV), {"y": pictures()}, 'no input of this network; inputs: x'),
        ((INPUT, CONV), {"x": pictures(0, 3, 8, 8)}, r'layer "in".*0×3×8×8; every size must be at least 1'),
        ((INPUT, CONV), {"x": pictures(2, 5, 8, 8)}, r'layer "c".*blob 0.*4×3×3×3; it needs 4×5×3×3 to read 2×5×8×8'),
        ((INPUT, CONV), {"x": pictures(2, 3, 1, 1)}, r'layer "c"'),
        ((INPUT, CONV, FULL), {"x": pictures(2, 3, 9, 9)}, r'layer "f".*it needs 5×196 to read 2×4×7×7'),
        ((INPUT, CONV), {"x": np.array([["a"]])}, r'layer "in".*it needs numbers'),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused_by_name(layers, inputs, said):
    with pytest.raises(NetError, match=said) as caught:
        run(net_of(*layers), inputs)
    assert "\n" not in str(caught.value)


def test_layers_with_too_few_or_too_many_blobs_are_named():
    net = net_of(INPUT, CONV)
    c = net.layer("c")
    for tensors, said in (
        ((), "needs blob 0"),
        (c.tensors[:1], "has 1 blobs.*needs 2"),
        (c.tensors * 2, "has 4 blobs"),
    ):
        changed = net.with_layers(replace(layer, tensors=tensors) if layer is c else layer for layer in net.layers)
        with pytest.raises(NetError, match=f'layer "c".*{said}'):
            run(changed, {"x": pictures()})


def test_weights_that_are_no_numbers_are_found_when_asked_for():
    net = net_of(INPUT, CONV)
    Network(build(net)).check_finite()
    net.layer("c").tensors[1].array()[2] = np.nan
    with pytest.raises(NetError, match=r'layer "c".*blob 1 of its weights has 1 values that are not finite'):
        Network(build(net)).check_finite()


@pytest.mark.parametrize(("options", "said"), [({"threads": 0}, "threads is 0"), ({"device": "abacus"}, "abacus")])
def test_threads_and_devices_that_there_are_not(options, said):
    with pytest.raises((NetError, OptionError), match=said):
        run(net_of(INPUT, CONV), {"x": pictures()}, **options)


def test_threads_are_for_one_run_only():
    before = torch.get_num_threads()
    run(net_of(INPUT, CONV), {"x": pictures()}, threads=2)
    assert torch.get_num_threads() == before


def test_a_circle_is_no_network():
    circle = (
        'layer { name: "a" type: "ReLU" bottom: "q" top: "p" } layer { name: "b" type: "ReLU" bottom: "p" top: "q" }'
    )
    with pytest.raises(NetError, match=r'layer "a".*reads "q", which no layer before it gives'):
        run(net_of(INPUT, circle, fill=False), {"x": pictures()})


def test_a_blob_that_nobody_gives_cannot_be_wanted():
    with pytest.raises(NetError, match='blob "nothing" is wanted'):
        run(net_of(INPUT, CONV), {"x": pictures()}, "nothing")
