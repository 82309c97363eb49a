"""Small networks to test commands with, in a few lines of protobuf: the program's writer is not its own witness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Weights = Mapping[str, tuple[str, Sequence[np.ndarray]]]

CLASSIFIER = """name: "small"  # a comment that should survive
input: "data"
input_dim: 1
input_dim: 3
input_dim: 24
input_dim: 24
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 16 kernel_size: 3 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc" inner_product_param { num_output: 10 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""

DETECTOR = """name: "small detector"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 48 dim: 48 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 16 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 32 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "loc" type: "Convolution" bottom: "conv2" top: "loc"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat" }
layer { name: "conf" type: "Convolution" bottom: "conv2" top: "conf"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "conf_rows" type: "Reshape" bottom: "conf_perm" top: "conf_rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
layer { name: "conf_soft" type: "Softmax" bottom: "conf_rows" top: "conf_soft" softmax_param { axis: 2 } }
layer { name: "conf_flat" type: "Flatten" bottom: "conf_soft" top: "conf_flat" }
layer { name: "prior" type: "PriorBox" bottom: "conv2" bottom: "data" top: "prior"
  prior_box_param { min_size: 12 max_size: 24 clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }
layer { name: "found" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_flat" bottom: "prior" top: "found"
  detection_output_param { num_classes: 2 share_location: true background_label_id: 0 keep_top_k: 20
    confidence_threshold: 0.1 nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE } }
"""

ZEROED = {"fc6": 2, "conv1": 4}
"""Of which layers every how many rows are zero."""

REGIONS = """name: "small Faster R-CNN"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 64 dim: 64 } } }
layer { name: "im_info" type: "Input" top: "im_info" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 16 kernel_size: 3 stride: 4 pad: 1 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "rpn_conv" type: "Convolution" bottom: "conv1" top: "rpn"
  convolution_param { num_output: 16 kernel_size: 3 stride: 4 pad: 1 } }
layer { name: "rpn_cls_score" type: "Convolution" bottom: "rpn" top: "rpn_cls_score"
  convolution_param { num_output: 18 kernel_size: 1 } }
layer { name: "rpn_bbox_pred" type: "Convolution" bottom: "rpn" top: "rpn_bbox_pred"
  convolution_param { num_output: 36 kernel_size: 1 } }
layer { name: "rpn_rows" type: "Reshape" bottom: "rpn_cls_score" top: "rpn_rows"
  reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } } }
layer { name: "rpn_prob" type: "Softmax" bottom: "rpn_rows" top: "rpn_prob" }
layer { name: "rpn_maps" type: "Reshape" bottom: "rpn_prob" top: "rpn_maps"
  reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } } }
layer { name: "proposal" type: "Python" bottom: "rpn_maps" bottom: "rpn_bbox_pred" bottom: "im_info" top: "rois"
  python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "'feat_stride': 16" } }
layer { name: "roi_pool" type: "ROIPooling" bottom: "conv1" bottom: "rois" top: "pool"
  roi_pooling_param { pooled_w: 3 pooled_h: 3 spatial_scale: 0.25 } }
layer { name: "fc6" type: "InnerProduct" bottom: "pool" top: "fc6" inner_product_param { num_output: 64 } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "fc7" type: "InnerProduct" bottom: "fc6" top: "fc7" inner_product_param { num_output: 48 } }
layer { name: "relu7" type: "ReLU" bottom: "fc7" top: "fc7" }
layer { name: "cls_score" type: "InnerProduct" bottom: "fc7" top: "cls_score" inner_product_param { num_output: 3 } }
layer { name: "bbox_pred" type: "InnerProduct" bottom: "fc7" top: "bbox_pred" inner_product_param { num_output: 12 } }
layer { name: "cls_prob" type: "Softmax" bottom: "cls_score" top: "cls_prob" }
"""


def small_classifier(prototxt: Path, caffemodel: Path, text: str = CLASSIFIER) -> None:
    """Both files; row 3 of conv1 and input channel 5 of fc are zero, bias included."""
    conv, fc = random((16, 3, 3, 3), 1), random((10, 16 * 11 * 11), 2)
    conv[3] = 0
    fc.reshape(10, 16, 121)[:, 5] = 0
    bias = random((16,), 3)
    bias[3] = 0
    layers = {"conv1": ("Convolution", [conv, bias]), "fc": ("InnerProduct", [fc, random((10,), 4)])}
    prototxt.write_text(text)
    caffemodel.write_bytes(encoded(layers))


def small_detector(prototxt: Path, caffemodel: Path) -> None:
    """Both files."""
    shapes = {"conv1": (16, 3, 3, 3), "conv2": (32, 16, 3, 3), "loc": (8, 32, 3, 3), "conf": (4, 32, 3, 3)}
    layers = {
        name: ("Convolution", [random(shape, i), random(shape[:1], i + 10)])
        for i, (name, shape) in enumerate(shapes.items())
    }
    prototxt.write_text(DETECTOR)
    caffemodel.write_bytes(encoded(layers))


def small_faster_rcnn(prototxt: Path, caffemodel: Path) -> None:
    """Both files; rows of fc6 and filters of conv1 are zero as `ZEROED` says, with their biases."""
    shapes = {
        "conv1": (16, 3, 3, 3),
        "rpn_conv": (16, 16, 3, 3),
        "rpn_cls_score": (18, 16, 1, 1),
        "rpn_bbox_pred": (36, 16, 1, 1),
        "fc6": (64, 16 * 9),
        "fc7": (48, 64),
        "cls_score": (3, 48),
        "bbox_pred": (12, 48),
    }
    layers = {}
    for i, (name, shape) in enumerate(shapes.items()):
        values = [random(shape, i), random(shape[:1], i + 20)]
        for one in values if name in ZEROED else ():
            one[:: ZEROED[name]] = 0
        layers[name] = ("Convolution" if len(shape) == 4 else "InnerProduct", values)
    prototxt.write_text(REGIONS)
    caffemodel.write_bytes(encoded(layers))


def random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Weights of the usual size for their shape, with heavier tails than a normal distribution."""
    values = np.random.default_rng(seed).standard_t(4, shape)
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 100
    return (values / np.sqrt(fan)).astype(np.float32)


def encoded(layers: Weights) -> bytes:
    """A caffemodel: NetParameter with a LayerParameter for each entry."""
    return field(1, b"small") + b"".join(
        field(100, field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(7, blob(v)) for v in tensors))
        for name, (kind, tensors) in layers.items()
    )


def blob(values: np.ndarray) -> bytes:
    """A BlobProto."""
    shape = field(1, b"".join(varint(size) for size in values.shape))
    return field(7, shape) + field(5, values.astype("<f4").tobytes())


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """A number in groups of seven bits."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
