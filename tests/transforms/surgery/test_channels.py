import numpy as np
import pytest

from demitasse.errors import NetError, OptionError
from demitasse.transforms import surgery
from filled_networks import conv, data, error, filled, layer

pytest.importorskip("torch")
from demitasse.runtime import run

CHAIN = (
    data(2, 3, 8, 8)
    + conv("a", "data", "num_output: 5 kernel_size: 3 pad: 1 bias_term: false")
    + layer("BatchNorm", "n", "a", top="a")
    + layer("Scale", "s", "a", "scale_param { bias_term: true }", top="a")
    + layer("PReLU", "p", "a", top="a")
    + layer("Pooling", "pool", "a", "pooling_param { kernel_size: 2 stride: 2 }")
)
READERS = {
    "convolution": conv("b", "pool", "num_output: 3 kernel_size: 3 pad: 1"),
    "deconvolution": layer("Deconvolution", "b", "pool", "convolution_param { num_output: 3 kernel_size: 3 }"),
    "inner product": layer("InnerProduct", "b", "pool", "inner_product_param { num_output: 4 }"),
    "transposed": layer("InnerProduct", "b", "pool", "inner_product_param { num_output: 4 transpose: true }"),
    "two": conv("b", "pool", "num_output: 3 kernel_size: 1") + conv("c", "pool", "num_output: 2 kernel_size: 3"),
}


@pytest.mark.parametrize("readers", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("count", "of"), [(3, None), (7, None), (2, (4, 4))])
def test_wider_and_the_same(readers, count, of):
    net = filled(CHAIN + readers)
    wide = surgery.add_channels(net, "a", count, of=of)
    assert wide.layer("a").tensors[0].shape == (5 + count, 3, 3, 3)
    assert wide.parameters > net.parameters
    assert error(net, wide) < 1e-6


@pytest.mark.parametrize("kind", ["Deconvolution", "InnerProduct"])
def test_other_layers_are_widened(kind):
    field = "inner_product_param { num_output: 4" if kind == "InnerProduct" else "convolution_param { num_output: 4"
    size = "}" if kind == "InnerProduct" else "kernel_size: 3 }"
    text = data(2, 3, 6, 6) + layer(kind, "a", "data", f"{field} {size}")
    net = filled(text + layer("InnerProduct", "b", "a", "inner_product_param { num_output: 4 }"))
    assert error(net, surgery.add_channels(net, "a", 2)) < 1e-6


@pytest.mark.parametrize(
    ("more", "name", "message"),
    [
        ("", "a", "output of the network"),
        (layer("LRN", "l", "pool"), "a", "LRN"),
        (layer("Concat", "l", "pool pool"), "a", "Concat"),
        (conv("b", "pool", "num_output: 5 kernel_size: 1 group: 5"), "a", "groups"),
        ("", "pool", "Pooling"),
    ],
)
def test_what_cannot_be_widened_says_why(more, name, message):
    with pytest.raises(NetError, match=message):
        surgery.add_channels(filled(CHAIN + more), name, 2)


def test_copies_of_what_is_there():
    with pytest.raises(OptionError, match="0 to 4"):
        surgery.add_channels(filled(CHAIN + READERS["convolution"]), "a", 1, of=(5,))


def test_only_these_channels():
    net = filled(CHAIN + READERS["inner product"])
    small = surgery.keep_channels(net, "a", [3, 0])
    assert small.layer("a").tensors[0].shape == (2, 3, 3, 3)
    assert small.layer("b").tensors[0].shape == (4, 2 * 16)
    assert np.array_equal(small.layer("a").tensors[0].array(), net.layer("a").tensors[0].array()[[0, 3]])
    masked = np.array(net.layer("b").tensors[0].array()).reshape(4, 5, 16)
    masked[:, [1, 2, 4]] = 0
    zeroed = net.with_layers(
        one.with_tensors([type(one.tensors[0])(masked.reshape(4, 80)), one.tensors[1]]) if one.name == "b" else one
        for one in net.layers
    )
    assert error(zeroed, small) < 1e-6
    assert surgery.keep_channels(net, "a", range(5)) is net


def test_what_is_tied_leaves_along():
    text = data(2, 3, 8, 8) + conv("a", "data") + conv("b", "data") + layer("Eltwise", "s", "a b") + conv("c", "s")
    small = surgery.keep_channels(filled(text), "a", [1, 2])
    assert small.layer("b").tensors[0].shape[0] == 2
    assert set(run(small, {"data": np.zeros((2, 3, 8, 8), np.float32)})) == {"c"}


@pytest.mark.parametrize("indices", [[], [0, 0], [9], [-1]])
def test_channels_by_numbers_that_there_are(indices):
    with pytest.raises(OptionError, match="channels 0 to 4"):
        surgery.keep_channels(filled(CHAIN + READERS["convolution"]), "a", indices)


def test_outputs_of_the_network_stay():
    with pytest.raises(NetError, match="output of the network"):
        surgery.keep_channels(filled(CHAIN + READERS["convolution"]), "b", [0])
