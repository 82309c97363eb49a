"""Layers and options that the reference data does not have, beside our executor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from demitasse.errors import NetError
from demitasse.layers import LAYERS
from demitasse.net import Dense
from demitasse.onnx import to_onnx
from demitasse.onnx.table import HALF, MOVING, TABLE
from filled_networks import conv, data, fed, filled, layer
from onnx_networks import both, largest_error


def test_every_type_in_the_table_is_known() -> None:
    assert set(TABLE) <= set(LAYERS)
    assert set(TABLE) >= HALF | MOVING


MAP = data(2, 4, 6, 5, name="x")
PLACES = 'layer { name: "p" type: "Pooling" bottom: "x" top: "y" top: "where" '
PLACES += "pooling_param { kernel_size: 2 stride: 2 } }"
LAYERS_AND_OPTIONS = {
    "convolution over one axis": data(2, 3, 9, name="x") + conv("y", "x", "num_output: 4 kernel_size: 3 stride: 2"),
    "convolution of three axes": data(2, 3, 4, 5, 4, name="x") + conv("y", "x", "num_output: 4 kernel_size: 2 pad: 1"),
    "convolution behind two axes": MAP + conv("y", "x", "num_output: 4 kernel_size: 3 axis: 2"),
    "a kernel larger than the picture": MAP + conv("y", "x", "num_output: 2 kernel_size: 7 stride: 3"),
    "masked convolution": MAP + layer("CConvolution", "y", "x", "convolution_param { num_output: 4 kernel_size: 3 }"),
    "masked product": MAP + layer("CInnerProduct", "y", "x", "inner_product_param { num_output: 4 }"),
    "depthwise by channels": MAP
    + layer("ConvolutionDepthwise", "y", "x", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"),
    "stochastic pooling": MAP
    + layer("AbsVal", "a", "x")
    + layer("Pooling", "y", "a", "pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }"),
    "an average without the padding": MAP
    + layer("Pooling", "y", "x", "pooling_param { pool: AVE_EXC_PAD kernel_size: 3 stride: 2 pad: 1 }"),
    "pooling with places": MAP + PLACES,
    "to places and back": data(2, 4, 6, 4, name="x")
    + PLACES
    + layer("Upsample", "u", "y where", "upsample_param { scale: 2 }"),
    "uneven upsampling": MAP + layer("Upsample", "y", "x", "upsample_param { upsample_h: 8 upsample_w: 13 }"),
    "statistics of the batch": MAP + layer("BatchNorm", "y", "x", "batch_norm_param { use_global_stats: false }"),
    "BN of SegNet": MAP + layer("BN", "y", "x", "bn_param { scale_filler { } shift_filler { } bn_mode: INFERENCE }"),
    "BN of SegNet, learning": MAP + layer("BN", "y", "x", "bn_param { scale_filler { } shift_filler { } }"),
    "powers": MAP
    + layer("Power", "v", "x", "power_param { power: 2 shift: 1 }")
    + layer("Power", "y", "v", "power_param { power: 0.5 scale: 2 }"),
    "Mish": MAP + layer("Mish", "y", "x"),
    "one number of all": MAP + layer("Reduction", "y", "x", "reduction_param { operation: MEAN coeff: 3 }"),
    "eps behind the root": MAP + layer("Normalize", "y", "x", "norm_param { add_eps_before_sqrt: false eps: 0.1 }"),
    "TensorFlow's interpolation": MAP
    + layer(
        "ResizeBilinear", "y", "x", 'resize_bilinear_param { data_format: "NCHW" output_height: 9 output_width: 7 }'
    ),
    "TensorFlow's, of pixels": data(2, 6, 5, 4, name="x")
    + layer(
        "ResizeBilinear", "y", "x", "resize_bilinear_param { output_height: 9 output_width: 3 align_corners: true }"
    ),
    "padding that crops": MAP + layer("Padding", "y", "x", "padding_param { pad_beg: -1 pad_end: 1 }"),
    "mirrored edges": MAP + layer("Pad", "y", "x", "pad_param { pad_type: REFLECT pad_u: 2 pad_l: 1 }"),
    "reorganised back": MAP + layer("Reorg", "y", "x", "reorg_param { stride: 2 reverse: true }"),
    "cut from the middle": MAP + layer("CropCenter", "y", "x", "crop_center_param { crop_size: [0, 0, 1, 2] }"),
    "dropout that scales": MAP + layer("Dropout", "y", "x", "dropout_param { dropout_ratio: 0.3 scale_train: false }"),
    "ROIAlign": MAP
    + data(3, 5, name="rois")
    + layer("ROIAlign", "y", "x rois", "roi_align_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 }"),
    "position-sensitive regions": data(1, 8, 9, 12, name="x")
    + data(4, 5, name="rois")
    + layer("PSROIPooling", "y", "x rois", "psroi_pooling_param { spatial_scale: 0.5 output_dim: 2 group_size: 2 }"),
    "regions": MAP
    + data(4, 5, name="rois")
    + layer("ROIPooling", "y", "x rois", "roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 }"),
}

REGIONS = np.array([[0, 0, 0, 9, 9], [0, 2, 3, 7, 4], [0, 1.4, 0.6, 3.2, 9.5], [0, 8, 6, 20, 22]], np.float32)


@pytest.mark.parametrize("case", LAYERS_AND_OPTIONS)
def test_layers_give_what_the_executor_gives(case: str, tmp_path: Path) -> None:
    net = filled(LAYERS_AND_OPTIONS[case])
    inputs = fed(net)
    if "rois" in inputs:
        inputs["rois"] = REGIONS[: len(inputs["rois"])]
    _, expected, found = both(net, inputs, tmp_path)
    assert largest_error(expected, found) < 1e-5


def test_regions_may_be_any_number_whatever_the_batch(tmp_path: Path) -> None:
    net = filled(LAYERS_AND_OPTIONS["regions"])
    done = to_onnx(net, tmp_path / "a.onnx")
    assert done.inputs == {"x": (None, 4, 6, 5), "rois": (None, 5)}
    one = {"x": fed(net)["x"][:1], "rois": REGIONS[:3]}
    _, expected, found = both(net, one, tmp_path)
    assert found["y"].shape[0] == 3
    assert largest_error(expected, found) < 1e-5


SSD = (
    data(2, 24, name="loc")
    + data(2, 18, name="conf")
    + data(1, 2, 24, name="prior")
    + layer("DetectionOutput", "found", "loc conf prior", "detection_output_param { num_classes: 3 OPTIONS }")
)
DETECTIONS = {
    "corners": "confidence_threshold: -9 nms_param { nms_threshold: 0.3 top_k: 4 } keep_top_k: 5",
    "centres": "code_type: CENTER_SIZE confidence_threshold: 0.1 nms_param { nms_threshold: 0.45 } keep_top_k: 4",
    "corner sizes": "code_type: CORNER_SIZE confidence_threshold: 0 nms_param { nms_threshold: 0.5 top_k: 3 }",
    "variances in the codes": "code_type: CENTER_SIZE variance_encoded_in_target: true confidence_threshold: 0",
    "another background": "background_label_id: 2 code_type: CENTER_SIZE confidence_threshold: 0 keep_top_k: 1",
    "nothing found": "code_type: CENTER_SIZE confidence_threshold: 99",
    "found in one of two": "code_type: CENTER_SIZE confidence_threshold: 1.6",
}


def priors() -> np.ndarray:
    low = np.random.default_rng(5).uniform(0, 0.6, (6, 2))
    boxes = np.concatenate([low, low + np.random.default_rng(6).uniform(0.1, 0.4, (6, 2))], 1)
    return np.stack([boxes.ravel(), np.tile([0.1, 0.1, 0.2, 0.2], 6)])[None].astype(np.float32)


@pytest.mark.parametrize("case", DETECTIONS)
def test_detections_are_the_executors_row_by_row(case: str, tmp_path: Path) -> None:
    net = filled(SSD.replace("OPTIONS", DETECTIONS[case]))
    done, expected, found = both(net, fed(net, 2) | {"prior": priors()}, tmp_path)
    assert done.outputs["found"] == (1, 1, None, 7)
    assert largest_error(expected, found) < 1e-6


def test_each_class_may_have_boxes_of_its_own(tmp_path: Path) -> None:
    text = SSD.replace(data(2, 24, name="loc"), data(2, 72, name="loc"))
    options = (
        "share_location: false code_type: CENTER_SIZE confidence_threshold: 0 keep_top_k: 6 nms_param { top_k: 4 }"
    )
    net = filled(text.replace("OPTIONS", options))
    _, expected, found = both(net, fed(net, 2) | {"prior": priors()}, tmp_path)
    assert largest_error(expected, found) < 1e-6


def test_priors_can_be_moved_and_weeded_out_first(tmp_path: Path) -> None:
    text = SSD.replace("layer {", data(2, 12, name="objects") + data(2, 24, name="moves") + "layer {", 1)
    text = text.replace('bottom: "prior" top', 'bottom: "prior" bottom: "objects" bottom: "moves" top')
    net = filled(text.replace("OPTIONS", "code_type: CENTER_SIZE confidence_threshold: 0 objectness_score: 0.2"))
    _, expected, found = both(net, fed(net, 2) | {"prior": priors()}, tmp_path)
    assert largest_error(expected, found) < 1e-6


def test_a_threshold_that_adapts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetError, match="eta below 1"):
        to_onnx(filled(SSD.replace("OPTIONS", "nms_param { eta: 0.9 }")), tmp_path / "a.onnx")


YOLO = (
    data(2, 16, 3, 4, name="a")
    + data(2, 16, 6, 8, name="b")
    + layer(
        "Yolov3DetectionOutput",
        "found",
        "a b",
        "yolov3_detection_output_param { num_classes: 3 num_box: 2 mask: [2, 3, 0, 1] mask_group_num: 2 "
        "biases: [10, 14, 23, 27, 37, 58, 81, 82] anchors_scale: [32, 16] confidence_threshold: 0.6 }",
    )
)


def test_yolo_finds_what_the_executor_finds(tmp_path: Path) -> None:
    net = filled(YOLO)
    inputs = {name: 0.7 * values for name, values in fed(net).items()}
    inputs["a"][:, 4::8] += 2
    done, expected, found = both(net, inputs, tmp_path)
    assert done.batch is None
    assert expected["found"].shape[2] > 5
    rows = [values["found"].reshape(-1, 7) for values in (expected, found)]
    one, other = (each[np.lexsort((-each[:, 2], each[:, 0]))] for each in rows)
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


PROPOSALS = (
    data(1, 18, 5, 6, name="scores")
    + data(1, 36, 5, 6, name="moves")
    + data(1, 3, name="im_info")
    + 'layer { name: "p" type: "Python" bottom: "scores" bottom: "moves" bottom: "im_info" top: "rois" top: "how_sure" '
    """python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "'feat_stride': 16" } }"""
)


def test_python_proposals_are_the_executors(tmp_path: Path) -> None:
    net = filled(PROPOSALS)
    inputs = fed(net) | {"im_info": np.array([[80, 96, 1.5]], np.float32)}
    inputs["moves"] *= 0.2
    done, expected, found = both(net, inputs, tmp_path)
    assert done.outputs == {"rois": (None, 5), "how_sure": (None, 1, 1, 1)}
    assert largest_error(expected, found) < 1e-5
    with pytest.raises(NetError, match="use --batch 1"):
        to_onnx(net, tmp_path / "b.onnx", batch=2)


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_recurrent_layers_with_a_state_of_their_own(kind: str, tmp_path: Path) -> None:
    states = " ".join(f"s{i}" for i in range(2 if kind == "LSTM" else 1))
    tops = " ".join(f'top: "o{i}"' for i in range(len(states.split())))
    text = data(4, 2, 3, name="x") + data(4, 2, name="cont") + "".join(data(1, 2, 5, name=s) for s in states.split())
    text += layer(kind, "y", f"x cont {states}", "recurrent_param { num_output: 5 expose_hidden: true }").replace(
        'top: "y"', f'top: "y" {tops}'
    )
    net = filled(text)
    inputs = fed(net) | {"cont": np.array([[0, 1], [1, 1], [1, 0], [1, 1]], np.float32)}
    done, expected, found = both(net, inputs, tmp_path)
    assert done.batch == 4
    assert largest_error(expected, found) < 1e-5
    assert not any("state of zeros" in note.text for note in done.notes)


def test_a_state_that_is_not_carried_on_is_told(tmp_path: Path) -> None:
    net = filled(
        data(4, 2, 3, name="x")
        + data(4, 2, name="cont")
        + layer("LSTM", "y", "x cont", "recurrent_param { num_output: 5 }")
    )
    notes = to_onnx(net, tmp_path / "a.onnx").notes
    assert any(note.layer == "y" and "state of zeros" in note.text for note in notes)


def test_bn_with_statistics_of_its_own(tmp_path: Path) -> None:
    net = filled(MAP + layer("BN", "y", "x", "bn_param { momentum: 0.9 eps: 0.01 }"))
    blobs = [tensor.array() for tensor in net.layer("y").tensors]
    blobs[3] = np.abs(blobs[3])
    net = net.with_layers(x.with_tensors(map(Dense, blobs)) if x.name == "y" else x for x in net.layers)
    _, expected, found = both(net, fed(net), tmp_path)
    assert largest_error(expected, found) < 1e-5
