import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.layers import build  # noqa: E402
from demitasse.net import Levels  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402
from demitasse.train.settled import by_use, ordered, settled  # noqa: E402

CHAIN = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 1 dim: 8 dim: 8 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 5 kernel_size: 3 } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 6 kernel_size: 2 } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "ip1" type: "InnerProduct" bottom: "conv2" top: "ip1" inner_product_param { num_output: 7 } }
layer { name: "relu3" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" inner_product_param { num_output: 3 } }
"""
SHAPES = {"conv1": (5, 1, 3, 3), "conv2": (6, 5, 2, 2), "ip1": (7, 24), "ip2": (3, 7)}
RANDOM = np.random.default_rng(1)
PICTURES = RANDOM.standard_normal((2, 1, 8, 8)).astype(np.float32)


def quantised(text=CHAIN, dead=()):
    """A third of the weights are not zero; ``dead``: (layer, output) without any."""
    random = np.random.default_rng(2)

    def tensors(name):
        shape = SHAPES[name]
        levels = (random.integers(-3, 4, shape) * (random.random(shape) < 1 / 3)).astype(np.int8)
        bias = random.integers(-9, 10, shape[0]).astype(np.int8)
        for layer, output in dead:
            if layer == name:
                levels[output] = 0
        return Levels(levels, np.array([0.3], np.float32)), Levels(bias, np.array([1 / 16], np.float32))

    net = parse_net(text)
    return net.with_layers(
        layer.with_tensors(tensors(layer.name)) if layer.name in SHAPES else layer for layer in net.layers
    )


def outputs(net, blob="ip2"):
    return Network(build(net))({"data": PICTURES}, [blob])[blob].detach().numpy()


def test_rows_with_most_weights_come_first_and_the_network_computes_the_same():
    net = quantised()
    found = ordered(net)
    for name in ("conv1", "conv2", "ip1"):
        before, after = ([np.count_nonzero(row) for row in of.layer(name).tensors[0].levels] for of in (net, found))
        assert before != after
        assert after == sorted(before, reverse=True)
    assert [np.count_nonzero(r) for r in found.layer("ip2").tensors[0].levels] == [
        np.count_nonzero(r) for r in net.layer("ip2").tensors[0].levels
    ], "outputs of the network stay where they are"
    np.testing.assert_allclose(outputs(found), outputs(net), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "second",
    [
        b'layer { name: "also" type: "ReLU" bottom: "conv1" top: "also" }',
        b'layer { name: "also" type: "Softmax" bottom: "conv1" top: "also" }',
    ],
    ids=["elementwise", "over channels"],
)
def test_what_two_layers_read_stays_where_it_is(second):
    net = quantised(CHAIN + second)
    found = ordered(net)
    np.testing.assert_array_equal(found.layer("conv1").tensors[0].levels, net.layer("conv1").tensors[0].levels)
    np.testing.assert_allclose(outputs(found, "also"), outputs(net, "also"), rtol=1e-5)
    np.testing.assert_allclose(outputs(found), outputs(net), rtol=1e-5, atol=1e-5)


def test_dead_units_leave_and_biases_stay_on_their_grid():
    net = quantised(dead=[("conv2", 3), ("ip1", 0), ("ip1", 5)])
    found = settled(net, 1 / 16)
    assert found.layer("conv2").tensors[0].shape[0] <= 5
    assert found.layer("ip1").tensors[0].shape[0] <= 5
    assert all(isinstance(tensor, Levels) for layer in found.layers for tensor in layer.tensors)
    # What the dead ones gave is in three biases, which are rounded again.
    np.testing.assert_allclose(outputs(found), outputs(net), atol=0.2)


def test_by_use_keeps_the_order_of_equals():
    assert by_use(np.array([[0, 1], [1, 1], [0, 0], [2, 0]])).tolist() == [1, 0, 3, 2]
