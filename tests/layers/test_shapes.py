from __future__ import annotations

import doctest

import numpy as np
import pytest

import demitasse.layers
from demitasse.errors import NetError
from demitasse.layers import UNKNOWN, MaybeShape, Shape, build, infer, parameter_shapes
from demitasse.net import Dense
from layers.reference import layer, network

NET = """
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "fc" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 10 } }
"""


def test_a_network_in_numbers() -> None:
    shapes = infer(build(network(NET)))
    assert shapes.blobs == {"x": (2, 3, 8, 8), "c": (2, 4, 6, 6), "f": (2, 10)}
    assert shapes.parameters == ((), ((4, 3, 3, 3), (4,)), (), ((10, 144), (10,)))
    assert shapes.macs == (0, 2 * 36 * 4 * 27, 0, 2 * 1440)
    assert shapes.total_macs == 2 * (36 * 4 * 27 + 1440)
    assert shapes.parameter_count == 108 + 4 + 1440 + 10
    assert shapes.activations == 384 + 288 + 20
    assert shapes.peak_memory == 4 * (384 + 288)
    assert shapes.notes == ()


def test_a_caller_may_give_other_inputs() -> None:
    shapes = infer(build(network(NET)), {"x": [1, 3, 10, 10]})
    assert shapes.blobs["c"] == (1, 4, 8, 8)
    with pytest.raises(NetError, match='a shape is given for "y", and the network has no such blob'):
        infer(build(network(NET)), {"y": (1,)})


def test_what_is_not_known_stays_unknown_and_no_more_than_that() -> None:
    shapes = infer(build(network(NET)), {"x": (1, 3, UNKNOWN, 8)})
    assert shapes.blobs == {"x": (1, 3, UNKNOWN, 8), "c": (1, 4, UNKNOWN, 6), "f": (1, 10)}
    assert shapes.parameters == ((), ((4, 3, 3, 3), (4,)), (), ((10, UNKNOWN), (10,)))
    assert shapes.macs == (0, None, 0, None)
    numbers = (shapes.total_macs, shapes.parameter_count, shapes.activations, shapes.peak_memory)
    assert numbers == (None, None, None, None)


def test_after_a_layer_of_unknown_type_a_caller_may_help() -> None:
    text = NET.replace('"ReLU" bottom: "c" top: "c"', '"Mystery" bottom: "c" top: "m"')
    net = network(text.replace('bottom: "c" top: "f"', 'bottom: "m" top: "f"'))
    blind = infer(build(net))
    assert blind.blobs["f"] is None
    assert [note.layer for note in blind.notes] == ["relu", "fc"]
    assert infer(build(net), {"m": (2, 7)}).parameters[-1] == ((10, 7), (10,))


MAPS, ROW = (1, 4, 9, 9), (1, 4)
WEIGHTS: list[tuple[str, str, MaybeShape, tuple[Shape, ...] | None]] = [
    ("Convolution", "convolution_param { num_output: 6 kernel_size: 5 group: 2 }", MAPS, ((6, 2, 5, 5), (6,))),
    (
        "Convolution",
        "convolution_param { num_output: 6 kernel_h: 1 kernel_w: 3 bias_term: false }",
        MAPS,
        ((6, 4, 1, 3),),
    ),
    ("Convolution", "convolution_param { num_output: 6 kernel_size: 5 }", None, None),
    ("Deconvolution", "convolution_param { num_output: 6 kernel_size: 5 group: 2 }", MAPS, ((4, 3, 5, 5), (6,))),
    ("CConvolution", "convolution_param { num_output: 2 kernel_size: 1 }", MAPS, ((2, 4, 1, 1), (2,), (2, 4, 1, 1))),
    ("InnerProduct", "inner_product_param { num_output: 6 transpose: true }", MAPS, ((324, 6), (6,))),
    ("CInnerProduct", "inner_product_param { num_output: 2 bias_term: false }", ROW, ((2, 4), (2, 4))),
    ("BatchNorm", "", MAPS, ((4,), (4,), (1,))),
    ("BatchNorm", "batch_norm_param { scale_bias: true }", MAPS, ((4,), (4,), (1,), (4,), (4,))),
    ("BN", "bn_param { scale_filler { } shift_filler { } }", MAPS, ((1, 4, 1, 1),) * 2),
    ("BN", "bn_param { slope_filler { } momentum: 0.1 }", MAPS, ((1, 4, 1, 1),) * 4),
    ("BN", "", MAPS, None),
    ("Scale", "scale_param { axis: 1 num_axes: 2 bias_term: true }", MAPS, ((4, 9), (4, 9))),
    ("Scale", "scale_param { num_axes: 0 }", ROW, ((),)),
    ("PReLU", "prelu_param { channel_shared: true }", ROW, ((),)),
    ("Python", 'python_param { module: "mine" layer: "Mine" }', ROW, None),
    ("Mystery", "", ROW, None),
]


@pytest.mark.parametrize(("kind", "param", "shape", "expected"), WEIGHTS)
def test_weights_of_a_layer(kind: str, param: str, shape: MaybeShape, expected: tuple[Shape, ...] | None) -> None:
    text = f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {param} }}'
    assert parameter_shapes(layer(text), [shape]) == expected


def test_masks_and_statistics_are_counted_where_weights_are_there() -> None:
    """Forks use one name for layers with another number of blobs."""
    blob = Dense(np.zeros(1, np.float32))
    bn = layer('layer { name: "L" type: "BN" bottom: "x" top: "x" }').with_tensors([blob] * 4)
    assert parameter_shapes(bn, [MAPS]) == ((1, 4, 1, 1),) * 4
    text = 'layer { name: "L" type: "CInnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }'
    assert parameter_shapes(layer(text).with_tensors([blob] * 4), [ROW]) == ((2, 4), (2,), (2, 4), (2,))


SHARERS = """
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: [2, 3] } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param { num_output: 3 }
  param { name: "w" %s } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" %s }
  inner_product_param { num_output: %d } }
"""


def test_shared_weights_count_once() -> None:
    shapes = infer(build(network(SHARERS % ("", "", 3))))
    assert shapes.shared == {(2, 0): (1, 0)}
    assert shapes.parameter_count == 9 + 3 + 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("", "", 4), 'layer "b" (InnerProduct): needs "w" as 4×3'),
        (("lr_mult: 1", "lr_mult: 2", 3), 'layer "b" (InnerProduct): gives the shared "w" lr_mult 2'),
        (("", "} param { } param { ", 3), 'layer "b" (InnerProduct): has 3 param for 2 weights'),
    ],
)
def test_sharers_have_to_agree(values: tuple[str, str, int], message: str) -> None:
    with pytest.raises(NetError) as caught:
        infer(build(network(SHARERS % values)))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 2, 8), 'layer "conv" (Convolution): an output would have shape 1×4×0×6'),
        ((1, 3, 1, 8), 'layer "conv" (Convolution): an output would have shape 1×4×-1×6: the input is too small'),
        ((1 << 20, 3, 40, 40), "more than 2147483647 elements"),
    ],
)
def test_outputs_have_to_be_possible(shape: Shape, message: str) -> None:
    if "×0×" in message:  # an empty blob is one that Caffe makes
        assert infer(build(network(NET)), {"x": shape}).blobs["c"] == (1, 4, 0, 6)
        return
    with pytest.raises(NetError) as caught:
        infer(build(network(NET)), {"x": shape})
    assert message in str(caught.value)


def test_names_of_layers_are_in_errors_about_fields() -> None:
    with pytest.raises(NetError) as caught:
        infer(build(network(NET.replace("num_output: 4", 'num_output: "four"'))))
    assert str(caught.value) == "layer \"conv\" (Convolution): field 'num_output' should be an integer, and is 'four'"


def test_without_strictness_a_refusal_is_a_note() -> None:
    graph = build(network(NET.replace("num_output: 10", "num_output: 0")))
    shapes = infer(graph, strict=False)
    assert shapes.blobs == {"x": (2, 3, 8, 8), "c": (2, 4, 6, 6), "f": None}
    assert [(note.layer, note.text) for note in shapes.notes] == [
        ("fc", 'layer "fc" (InnerProduct): num_output is 0; it must be at least 1')
    ]
    assert shapes.macs[1] == 2 * 36 * 4 * 27
    with pytest.raises(NetError):
        infer(graph)


def test_without_strictness_sharers_that_disagree_are_a_note() -> None:
    shapes = infer(build(network(SHARERS % ("", "", 4))), strict=False)
    assert shapes.shared == {}
    assert len(shapes.notes) == 1


def test_the_example_of_the_package_runs() -> None:
    assert doctest.testmod(demitasse.layers) == (0, 10)
