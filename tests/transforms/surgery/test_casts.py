import pytest

from demitasse.errors import NetError
from demitasse.layers import build, infer
from demitasse.transforms import surgery
from filled_networks import conv, data, fed, filled, layer, relative, types

pytest.importorskip("torch")
from demitasse.runtime import run

OPTIONS = {"plain": "", "transposed": "transpose: true", "no bias": "bias_term: false"}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("size", ["dim: 6 dim: 6", "dim: 4 dim: 7"])
def test_an_inner_product_as_a_convolution_and_back(options, size):
    text = data(2, 3, 5, 5).replace("dim: 5 dim: 5", size)
    text += layer("InnerProduct", "fc", "data", f"inner_product_param {{ num_output: 7 {options} }}")
    text += layer("ReLU", "r", "fc", top="fc") + layer(
        "InnerProduct", "out", "fc", "inner_product_param { num_output: 2 }"
    )
    net = filled(text)
    full = surgery.to_convolution(surgery.to_convolution(net, "fc"), "out")
    assert types(full) == ["Input", "Convolution", "ReLU", "Convolution"]
    inputs = fed(net)
    expected = run(net, inputs)["out"]
    assert relative(expected, run(full, inputs)["out"][..., 0, 0]) < 1e-6
    back = surgery.to_inner_product(surgery.to_inner_product(full, "out"), "fc")
    assert types(back) == types(net)
    assert relative(expected, run(back, inputs)["out"]) < 1e-6


def test_it_slides_over_larger_pictures():
    text = data(1, 3, 6, 6) + layer("InnerProduct", "fc", "data", "inner_product_param { num_output: 7 }")
    full = surgery.to_convolution(filled(text), "fc")
    assert infer(build(full), {"data": (1, 3, 8, 9)}).blobs["fc"] == (1, 7, 3, 4)


@pytest.mark.parametrize(
    "options", ["kernel_size: 3", "kernel_size: 6 pad: 1", "kernel_size: 6 group: 3", "kernel_h: 6 kernel_w: 5"]
)
def test_only_a_kernel_that_covers_its_input(options):
    net = filled(data(1, 3, 6, 6) + conv("x", "data", f"num_output: 3 {options}"))
    with pytest.raises(NetError, match='"x"'):
        surgery.to_inner_product(net, "x")


def test_only_four_axes():
    text = data(2, 12) + layer("InnerProduct", "fc", "data", "inner_product_param { num_output: 7 }")
    with pytest.raises(NetError, match="reads 2 axes"):
        surgery.to_convolution(filled(text), "fc")
    with pytest.raises(NetError, match="is no Convolution"):
        surgery.to_inner_product(filled(text), "fc")
