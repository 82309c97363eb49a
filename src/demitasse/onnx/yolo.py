"""Yolov3DetectionOutput (MobileNet-YOLO): boxes out of YOLOv3's maps (Redmon and Farhadi, 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demitasse.message import Message
from demitasse.onnx.call import Call, Result
from demitasse.onnx.detection import nothing

__all__ = ["yolov3_detection_output"]


@dataclass(frozen=True, slots=True)
class Map:
    """One input. ``anchors``: widths and heights of its boxes; ``scale``: input pixels to a place."""

    which: int
    anchors: npt.NDArray[np.float32]
    scale: int


def yolov3_detection_output(call: Call) -> Result:
    """1 × 1 × boxes × (image, label from 1, score, x1, y1, x2, y2), scores falling over all classes.

    Boxes suppress those of other classes, too: each box is a candidate once for every class.
    """
    param = call.layer.message.message("yolov3_detection_output_param")
    classes = param.integer("num_classes", 20)
    parts = [boxes_of(call, each, classes) for each in maps(call, param)]
    boxes, scores = (call.op("Concat", *(part[k] for part in parts), axis=1) for k in (0, 1))
    repeated = call.op("Tile", call.op("Unsqueeze", boxes, call.integers(2)), call.integers(1, 1, classes, 1))
    boxes = call.op("Reshape", repeated, call.integers(0, -1, 4))
    scores = call.op("Reshape", scores, call.integers(0, 1, -1))
    # An overlap equal to the threshold suppresses here.
    threshold = np.nextafter(np.float32(param.number("nms_threshold", 0.45)), np.float32(-1))
    least = call.floats([param.number("confidence_threshold", 0.01)])
    every = call.slice(call.op("Shape", scores), 0, 2, 3)
    kept = call.op("NonMaxSuppression", boxes, scores, every, call.floats([threshold]), least)
    image, _, place = call.ops("Split", 3, kept, axis=1, num_outputs=3)
    label = call.to_floats(call.op("Add", call.op("Mod", place, call.integers(classes)), call.integers(1)))
    score = call.op("Unsqueeze", call.op("GatherND", scores, kept), call.integers(1))
    corners = call.op("GatherND", boxes, call.op("Concat", image, place, axis=1))
    rows = call.op("Concat", call.to_floats(image), label, score, corners, axis=1)
    return call.op("Reshape", call.op("Concat", rows, nothing(call, image), axis=0), call.integers(1, 1, -1, 7))


def maps(call: Call, param: Message) -> list[Map]:
    """What the parameters say about each input."""
    groups, number = param.integer("mask_group_num", 2), param.integer("num_box", 3)
    masks, scales = param.integers("mask"), param.integers("anchors_scale")
    biases = np.array(param.numbers("biases"), np.float32)
    if param.flag("gaussian_box"):
        call.refuse("gaussian_box")
    if len(call.inputs) != groups or not masks or len(masks) % groups or len(scales) != groups:
        call.refuse(f"it has {len(call.inputs)} inputs, {len(masks)} masks and {len(scales)} anchors_scale")
    if max(masks) * 2 + 1 >= len(biases):
        call.refuse("it has not biases for each mask")
    group = len(masks) // groups
    pairs = biases[: len(biases) // 2 * 2].reshape(-1, 2)
    starts = range(0, len(masks), group)
    return [Map(i, pairs[list(masks[at : at + number])], scales[i]) for i, at in enumerate(starts)]


def boxes_of(call: Call, each: Map, classes: int) -> tuple[str, str]:
    """Boxes (images × boxes × 4), places in reading order and anchors within, and their scores (… × classes)."""
    images, channels, height, width = call.placed.inputs[each.which]
    number = len(each.anchors)
    if channels != number * (classes + 5):
        call.refuse(f"input {each.which} has {channels} channels; it needs {number * (classes + 5)}")
    for size in (height, width):
        call.known(size, "the size of its input varies")
    x = call.reshape(call.inputs[each.which], (images, number, classes + 5, height, width))
    x = call.reshape(call.op("Transpose", x, perm=(0, 3, 4, 1, 2)), (images, height * width * number, classes + 5))
    shift, grow, object_, kinds = call.ops("Split", 4, x, call.integers(2, 2, 1, classes), axis=2)
    scores = call.op("Mul", call.op("Sigmoid", object_), call.op("Sigmoid", kinds))
    sides = np.array([width, height], np.float32)
    row, column = np.mgrid[:height, :width].astype(np.float32)
    corner = np.repeat(np.stack((column, row), -1).reshape(-1, 2), number, axis=0)
    sizes = np.tile(each.anchors / (sides * np.float32(each.scale)), (height * width, 1))
    inside = call.op("Add", call.op("Sigmoid", shift), call.floats(corner))
    center = call.op("Div", inside, call.floats(sides))
    half = call.op("Mul", call.op("Exp", grow), call.floats(sizes / 2))
    return call.op("Concat", call.op("Sub", center, half), call.op("Add", center, half), axis=2), scores
