import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.codec.quantizer import quantize  # noqa: E402
from demitasse.codec.reader import Stored  # noqa: E402
from demitasse.errors import NetError, OptionError  # noqa: E402
from demitasse.files import load, save  # noqa: E402
from demitasse.net import Clustered, Dense, Levels  # noqa: E402
from demitasse.train.recover import recover  # noqa: E402

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 8 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param { num_output: 4 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


def network(seed=0, text=TEXT):
    random = np.random.default_rng(seed)
    shapes = {"conv": [(8, 3, 3, 3), (8,)], "ip": [(4, 288), (4,)]}
    net = parse_net(text.encode())
    return net.with_layers(
        layer.with_tensors(
            Dense(random.standard_normal(s).astype(np.float32) * 0.2) for s in shapes.get(layer.name, ())
        )
        for layer in net.layers
    )


def feeds(count):
    random = np.random.default_rng(9)
    return [{"data": random.standard_normal((1, 3, 8, 8)).astype(np.float32)} for _ in range(count)]


def damaged(net, change):
    def worse(tensor):
        values = tensor.array().copy()
        return change(values) if values.ndim > 1 else tensor

    return net.with_layers(layer.with_tensors(map(worse, layer.tensors)) for layer in net.layers)


def pruned(values):
    values[np.abs(values) < 0.15] = 0
    return Dense(values)


def test_a_pruned_network_learns_and_keeps_its_zeros():
    original = network()
    small = damaged(original, pruned)
    found = recover(small, original, feeds(24), steps=60, rate=0.02)
    assert found.after < 0.75 * found.before
    assert found.blobs == ("ip",), "logits, not probabilities"
    for a, b in zip(small.layers, found.net.layers, strict=True):
        for before, after in zip(a.tensors, b.tensors, strict=True):
            if before.array().ndim > 1:
                assert not after.array()[before.array() == 0].any()
                assert not np.array_equal(before.array(), after.array())


def test_what_cannot_be_bettered_is_left_as_it_is():
    original = network()
    found = recover(original, original, feeds(6), steps=5, rate=1.0)
    assert (found.before, found.after, found.steps) == (0, 0, 0)
    for a, b in zip(original.layers, found.net.layers, strict=True):
        for before, after in zip(a.tensors, b.tensors, strict=True):
            np.testing.assert_array_equal(before.array(), after.array())


def clustered(values):
    codebook = np.quantile(values, [0.1, 0.5, 0.9]).astype(np.float32)
    return Clustered(np.abs(values[..., None] - codebook).argmin(-1).astype(np.uint8), codebook)


def low_bit(values):
    step = np.float32(2 * np.abs(values).mean())
    return Levels(np.clip(np.round(values / step), -1, 1).astype(np.int8), np.array([step]))


def trellis(values):
    return quantize(values, float(2 * np.abs(values).mean()))


def rows(values):
    steps = (2 * np.abs(values).reshape(len(values), -1).mean(1)).astype(np.float32)
    levels = np.round(values / steps.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
    return Levels(levels, steps, shifts=np.array([0.125, 0, 0, 0, 0, 0], np.float32))


@pytest.mark.parametrize("form", [clustered, low_bit, trellis, rows])
@pytest.mark.parametrize("stored", [False, True])
def test_coded_weights_learn_in_their_form(form, stored, tmp_path):
    original = network()
    small = damaged(original, form)
    if stored:
        save(small, tmp_path / "small.demi")
        small = load(tmp_path / "small.demi")
    found = recover(small, original, feeds(24), steps=40, rate=0.02)
    assert found.after < found.before
    save(found.net, tmp_path / "found.demi")
    read = load(tmp_path / "found.demi")
    for name in ("conv", "ip"):
        before, after = coded(small, name), coded(found.net, name)
        assert type(after) is type(before)
        np.testing.assert_array_equal(read.layer(name).tensors[0].array(), after.array())
        if isinstance(before, Clustered):
            assert len(after.codebook) <= len(before.codebook)
        else:
            assert not after.array()[before.array() == 0].any()
            if form is low_bit:
                assert set(np.unique(after.levels)) <= {-1, 0, 1}
                np.testing.assert_array_equal(before.steps, after.steps)
            else:
                np.testing.assert_array_equal(before.levels, after.levels)


def coded(net, name):
    tensor = net.layer(name).tensors[0]
    return tensor.coded() if isinstance(tensor, Stored) else tensor


def test_the_same_seed_gives_the_same_weights():
    original = network()
    small = damaged(original, pruned)
    one, other = (recover(small, original, feeds(8), steps=6, seed=3) for _ in range(2))
    for a, b in zip(one.net.layers, other.net.layers, strict=True):
        for x, y in zip(a.tensors, b.tensors, strict=True):
            np.testing.assert_array_equal(x.array(), y.array())


def test_what_does_not_go_together_is_refused():
    original = network()
    with pytest.raises(OptionError, match="at least 2"):
        recover(original, original, feeds(1))
    with pytest.raises(NetError, match='no blob "ip"'):
        recover(network(text=TEXT.replace('"ip"', '"fc"').replace('name: "fc"', 'name: "ip"')), original, feeds(4))
