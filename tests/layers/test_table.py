"""Laws that hold for every row of the table. A new row is tested by existing: with one picture as its input, or,
where that is not what it takes, with an example below."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demitasse.errors import NetError
from demitasse.layers import LAYERS, UNKNOWN, LayerType, Shape, build, differ, infer, layer_type
from demitasse.layers.opaque import Opaque
from demitasse.message import Message, Word
from demitasse.net import Layer, Net, Note
from layers.reference import layer

PICTURE = (2, 4, 6, 6)


@dataclass(frozen=True)
class Example:
    """What a type can work on."""

    text: str = ""
    inputs: tuple[Shape, ...] = (PICTURE,)
    outputs: int = 1


LOSS = Example(inputs=((2, 4), (2, 4)))
LABELS = Example(inputs=((2, 4), (2,)))
CONV = "convolution_param { num_output: 4 kernel_size: 3 }"
BOXES = "detection_output_param { num_classes: 3 }"
EXAMPLES: dict[str, Example] = {
    "Accuracy": LABELS,
    "AnnotatedData": Example(inputs=(), outputs=2),
    "Axpy": Example(inputs=((2, 4), PICTURE, PICTURE)),
    "BN": Example("bn_param { bn_mode: INFERENCE }"),
    "BatchReindex": Example(inputs=(PICTURE, (3,))),
    "BilinearInterpolate": Example("bilinear_interpolate_param { dst_h: 3 dst_w: 5 }"),
    "BoxAnnotatorOHEM": Example(inputs=((3, 5), (3,), (3,), (3, 8)), outputs=2),
    "CConvolution": Example(CONV),
    "CInnerProduct": Example("inner_product_param { num_output: 5 }"),
    "CenterLoss": Example("center_loss_param { num_output: 7 }", ((2, 4), (2,))),
    "Concat": Example(inputs=(PICTURE, (2, 3, 6, 6))),
    "ContrastiveLoss": Example(inputs=((2, 4), (2, 4), (2,))),
    "Convolution": Example("convolution_param { num_output: 8 kernel_size: 3 stride: 2 pad: 1 group: 2 }"),
    "ConvolutionDepthwise": Example(CONV),
    "ConvolutionRistretto": Example(CONV),
    "Crop": Example("crop_param { offset: 1 }", (PICTURE, (2, 4, 3, 2))),
    "CropCenter": Example("crop_center_param { crop_size: [0, 0, 1, 2] }"),
    "Data": Example("data_param { batch_size: 3 } transform_param { crop_size: 5 force_color: true }", (), 2),
    "Deconvolution": Example("convolution_param { num_output: 8 kernel_size: 4 stride: 2 pad: 1 group: 4 }"),
    "DeconvolutionRistretto": Example(CONV),
    "DenseImageData": Example(inputs=(), outputs=2),
    "DepthwiseConvolution": Example(CONV),
    "DetectNetTransformation": Example(inputs=(PICTURE, (2, 1, 16, 16)), outputs=2),
    "DetectionEvaluate": Example("detection_evaluate_param { num_classes: 4 }", ((1, 1, 6, 7), (1, 1, 4, 8))),
    "DetectionOutput": Example(BOXES, ((2, 40), (2, 30), (1, 2, 40))),
    "DummyData": Example("dummy_data_param { num: 2 channels: 3 height: 1 width: 1 }", ()),
    "Eltwise": Example(inputs=(PICTURE, PICTURE, PICTURE)),
    "Embed": Example("embed_param { num_output: 5 input_dim: 10 }", ((2, 4),)),
    "EuclideanLoss": LOSS,
    "FcRistretto": Example("inner_product_param { num_output: 5 }"),
    "Filter": Example(inputs=(PICTURE, (2, 1))),
    "HDF5Data": Example(inputs=(), outputs=2),
    "HDF5Output": Example(inputs=(PICTURE, (2,)), outputs=0),
    "HingeLoss": LABELS,
    "Im2col": Example(CONV),
    "ImageData": Example("image_data_param { new_height: 7 new_width: 9 }", (), 2),
    "ImageSegData": Example("transform_param { crop_size: 5 }", (), 3),
    "InfogainLoss": Example(inputs=((2, 4), (2,), (1, 1, 4, 4))),
    "InnerProduct": Example("inner_product_param { num_output: 5 }"),
    "Input": Example("input_param { shape { dim: 2 dim: 3 } }", ()),
    "Interp": Example("interp_param { shrink_factor: 2 zoom_factor: 3 pad_end: -1 }"),
    "L1Loss": LOSS,
    "LSTM": Example("recurrent_param { num_output: 3 }", ((5, 2, 4), (5, 2), (2, 7))),
    "LSTMUnit": Example(inputs=((1, 2, 3), (1, 2, 12), (1, 2)), outputs=2),
    "MarginInnerProduct": Example("margin_inner_product_param { num_output: 5 }", ((2, 4), (2,)), 2),
    "MatWrite": Example(outputs=0),
    "MaxUnPool": Example("max_unpool_param { dst_h: 12 dst_w: 12 }", (PICTURE, PICTURE)),
    "MemoryData": Example("memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }", (), 2),
    "MultiBoxLoss": Example(inputs=((2, 40), (2, 30), (1, 2, 40), (1, 1, 3, 8))),
    "MultinomialLogisticLoss": LABELS,
    "PSROIPooling": Example("psroi_pooling_param { output_dim: 1 group_size: 2 }", (PICTURE, (3, 5))),
    "Parameter": Example("parameter_param { shape { dim: 2 dim: 3 } }", ()),
    "Permute": Example("permute_param { order: [0, 2, 3] }"),
    "PixelShuffle": Example("pixelshuffle_param { upscale_factor: 2 }"),
    "Pooling": Example("pooling_param { kernel_size: 3 stride: 2 pad: 1 }", outputs=2),
    "PriorBox": Example("prior_box_param { min_size: 3 aspect_ratio: 2 }", (PICTURE, (2, 3, 60, 60))),
    "Proposal": Example(inputs=(PICTURE, PICTURE, (1, 3)), outputs=2),
    "ROIAlign": Example("roi_align_param { pooled_h: 3 pooled_w: 2 }", (PICTURE, (3, 5))),
    "ROIPooling": Example("roi_pooling_param { pooled_h: 3 pooled_w: 2 }", (PICTURE, (3, 5))),
    "RNN": Example("recurrent_param { num_output: 3 }", ((5, 2, 4), (5, 2))),
    "Reorg": Example("reorg_param { stride: 2 }"),
    "Reshape": Example("reshape_param { shape { dim: 0 dim: -1 dim: 9 } }"),
    "Resize": Example("resize_param { height: 3 width: 5 }"),
    "ResizeBilinear": Example('resize_bilinear_param { output_height: 3 output_width: 5 data_format: "NCHW" }'),
    "SPP": Example("spp_param { pyramid_height: 2 }"),
    "SegAccuracy": LOSS,
    "SigmoidCrossEntropyLoss": LOSS,
    "Silence": Example(outputs=0),
    "Slice": Example("slice_param { slice_point: [1, 3] }", outputs=3),
    "SmoothL1Loss": Example(inputs=((2, 4), (2, 4), (2, 4), (2, 4))),
    "SmoothL1LossOHEM": Example("loss_weight: [0, 0]", inputs=((2, 4), (2, 4), (2, 4)), outputs=2),
    "SoftmaxWithLoss": LABELS,
    "SoftmaxWithLossOHEM": Example("loss_weight: [1, 0, 0]", inputs=((2, 4), (2,)), outputs=3),
    "Split": Example(outputs=3),
    "Tile": Example("tile_param { tiles: 3 }"),
    "Unsqueeze": Example("unsqueeze_param { dim: 1 }"),
    "Upsample": Example("upsample_param { scale: 2 pad_out_h: true }", (PICTURE, PICTURE)),
    "WindowData": Example("window_data_param { batch_size: 3 }", (), 2),
}


def placed(name: str) -> LayerType:
    """The example of a type."""
    example = EXAMPLES.get(name, Example())
    bottoms = " ".join(f'bottom: "x{i}"' for i in range(len(example.inputs)))
    tops = " ".join(f'top: "y{i}"' for i in range(example.outputs))
    return LAYERS[name](
        layer(f'layer {{ name: "L" type: "{name}" {bottoms} {tops} {example.text} \n}}'), example.inputs
    )


def in_a_network(name: str) -> Net:
    """The example of a type, with an Input for each of its inputs."""
    it = placed(name)
    inputs = [
        layer(f'layer {{ name: "x{i}" type: "Input" top: "x{i}" input_param {{ shape {{ dim: {list(shape)} }} }} }}')
        for i, shape in enumerate(it.inputs)
    ]
    return Net("test", (*inputs, it.layer))


@pytest.mark.parametrize("name", LAYERS)
def test_an_example_has_shapes(name: str) -> None:
    it = placed(name)
    shapes = infer(build(in_a_network(name), splits=True))
    assert len(shapes.outputs[-1]) == len(it.layer.outputs)
    assert shapes.parameters[-1] is not None or name == "Python"
    assert None not in shapes.outputs[-1] or it.is_source or name == "Python"
    macs = shapes.macs[-1]
    assert macs is None if name == "Python" else macs is not None and macs >= 0


@pytest.mark.parametrize("name", LAYERS)
def test_not_knowing_a_size_contradicts_no_size(name: str) -> None:
    """Whichever size of whichever input is unknown, the answer fits the one for known sizes."""
    it = placed(name)
    for which, shape in enumerate(it.inputs):
        for axis in range(len(shape)):
            unknown = (*shape[:axis], UNKNOWN, *shape[axis + 1 :])
            blind = replace(it, inputs=(*it.inputs[:which], unknown, *it.inputs[which + 1 :]))
            pairs = [*zip(it.outputs(), blind.outputs(), strict=True)]
            pairs += zip(it.parameters() or (), blind.parameters() or (), strict=True)
            assert not any(a is not None and b is not None and differ(a, b) for a, b in pairs), (which, axis)
            assert not differ(it.macs(), blind.macs())


@pytest.mark.parametrize("name", [name for name in LAYERS if placed(name).macs()])
def test_work_grows_with_the_batch(name: str) -> None:
    it = placed(name)
    axis = 1 if name in ("LSTM", "RNN") else 0
    twice = [(*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]) for shape in it.inputs[:2]]
    rest = [(2 * shape[0], *shape[1:]) for shape in it.inputs[2:]]
    doubled = replace(it, inputs=(*twice, *rest))
    assert doubled.macs() == 2 * it.macs()
    assert doubled.parameters() == it.parameters()


SIZES = st.lists(st.integers(0, 9) | st.just(UNKNOWN), max_size=5).map(tuple)
FIELDS = """num_output kernel_size kernel_h kernel_w stride pad dilation group axis num_axes end_axis concat_dim coeff
slice_point offset tiles order shape pooled_h pooled_w pool global_pooling bias_term transpose num_classes local_size
top_k scale pad_out_h height width zoom_factor shrink_factor pyramid_height min_size max_size aspect_ratio dim num
crop_size batch_size channels output_dim group_size upscale_factor expose_hidden module param_str input_dim"""
VALUES = st.integers(-3, 9) | st.floats() | st.sampled_from([Word("true"), Word("MAX"), "text", Message(), (1, 2, 3)])
PARAMETERS = st.lists(st.tuples(st.sampled_from(FIELDS.split()), VALUES), max_size=5)


@st.composite
def oddities(draw: st.DrawFn) -> tuple[Layer, tuple[Shape, ...]]:
    """A layer with as many inputs and outputs as it may have, and any shapes and parameters."""
    name = draw(st.sampled_from(sorted(LAYERS)))
    (few_in, most_in), (few_out, most_out) = LAYERS[name].takes, LAYERS[name].gives
    inputs = draw(st.lists(SIZES, min_size=few_in, max_size=few_in + 2 if most_in is None else most_in))
    outputs = draw(st.integers(few_out, few_out + 2 if most_out is None else most_out))
    message = placed(name).layer.message.remove("loss_weight")
    if draw(st.booleans()):
        param = Message.of(*draw(PARAMETERS))
        fields = sorted({LAYERS[name].field, f"{name.lower()}_param", "transform_param"})
        message = Message.of(*((field, param) for field in fields))
    names = tuple(f"x{i}" for i in range(len(inputs)))
    return Layer("L", name, names, tuple(f"y{i}" for i in range(outputs)), message), tuple(inputs)


@given(oddities())
@settings(max_examples=600, deadline=None)
def test_nonsense_is_refused_by_name_or_has_shapes(case: tuple[Layer, tuple[Shape, ...]]) -> None:
    odd, inputs = case
    sources = [Layer(x, "HDF5Data", (), (x,)) for x in odd.inputs]
    try:
        graph = build(Net("test", (*sources, odd)), splits=True)
        shapes = infer(graph, dict(zip(odd.inputs, inputs, strict=True)))
    except NetError as error:
        refusal = str(error)
        assert refusal.startswith('layer "L"')
    else:
        assert all(shape is None or all(size >= 0 or size is UNKNOWN for size in shape) for shape in shapes.outputs[-1])


def test_an_unknown_type_is_kept_and_reported() -> None:
    net = Net("test", (Layer("x", "Mystery", (), ("x",)), Layer("L", "ReLU", ("x",), ("y",))))
    graph = build(net)
    shapes = infer(graph)
    assert layer_type("Mystery") is Opaque
    assert graph.net.report == (Note("build", "x", "type Mystery is not known: it passes through untouched"),)
    assert shapes.blobs == {"x": None, "y": None}
    assert infer(graph, {"x": (1, 2)}).blobs == {"x": (1, 2), "y": (1, 2)}
    assert [note.layer for note in shapes.notes] == ["x", "L"]


def test_names_in_the_table_are_documented() -> None:
    assert all(kind.__doc__ for kind in LAYERS.values())
    assert set(EXAMPLES) <= set(LAYERS)
