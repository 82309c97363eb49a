"""Faster R-CNN's regions of interest (Ren et al., 2015): the Python layer ProposalLayer, and the forks' Proposal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from demitasse.layers.anchors import anchors_in_pixels
from demitasse.layers.python import Python
from demitasse.onnx.call import Call, Result

__all__ = ["proposal", "python"]

LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True)
class Limits:
    """Boxes before and after suppression, the overlap that suppresses, and what the score of a small box becomes."""

    before: int
    after: int
    overlap: float
    small: float


def proposal(call: Call) -> Result:
    """Regions (image, x1, y1, x2, y2), best first, and their scores. The score of a small box counts as 0."""
    param = call.param
    if any(name in param for name in ("anchor_scale", "anchor_ratio", "rpn_nms_thresh", "max_rois", "rpn_min_size")):
        call.refuse("it has the parameters of Synopsys' fork")
    limits = Limits(
        param.integer("pre_nms_topn", 6000), param.integer("post_nms_topn", 300), param.number("nms_thresh", 0.7), 0.0
    )
    shapes = anchors_in_pixels(param.integer("base_size", 16), param.numbers("ratio"), param.numbers("scale"))
    boxes = moved(call, shapes, param.integer("feat_stride", 16))
    return chosen(call, boxes, limits, call.floats(param.number("min_size", 16)))


def python(call: Call) -> Result:
    """py-faster-rcnn's ProposalLayer, with the numbers that its configuration has for testing: boxes below 16 pixels
    of the original picture are left out, 6000 before suppression at 0.7 and 300 after."""
    placed = cast(Python, call.placed)
    module, name = placed.kind
    if name != "ProposalLayer":
        call.refuse(f"it is somebody's Python code, {module}.{name}")
    if call.known(call.shape[0], "it takes one picture at a time") != 1:
        call.refuse(f"it is given {call.shape[0]} pictures, and takes one at a time: use --batch 1")
    stride = placed.option("feat_stride", 0)
    if stride < 1:
        call.refuse("its param_str gives no feat_stride")
    boxes = moved(call, placed.anchor_shapes(), stride)
    zoom = call.slice(call.op("Reshape", call.inputs[2], call.integers(1, -1)), 1, 2, 3)
    least = call.op("Mul", zoom, call.floats(16.0))
    found = chosen(call, boxes, Limits(6000, 300, 0.7, LOWEST), call.op("Unsqueeze", least, call.integers(0)))
    if len(found) < 2:
        return found
    return found[0], call.op("Reshape", found[1], call.integers(-1, 1, 1, 1))


def moved(call: Call, shapes: npt.NDArray[np.float32], stride: int) -> str:
    """Every anchor at every place, moved and clipped to the picture: images × (places, anchors within) × 4."""
    number = len(shapes)
    images, channels, height, width = call.shape
    if channels != 2 * number or call.placed.inputs[1][1] != 4 * number:
        call.refuse(f"it has {number} anchors, and {channels} scores a place; it needs {2 * number}")
    for size in (height, width):
        call.known(size, "the size of its input varies")
    y, x = np.mgrid[:height, :width].astype(np.float32) * np.float32(stride)
    places = (np.stack((x, y, x, y), -1).reshape(-1, 1, 4) + shapes).reshape(1, -1, 4)
    sides = places[..., 2:] - places[..., :2] + 1
    deltas = call.reshape(call.inputs[1], (images, number, 4, height, width))
    deltas = call.op("Transpose", deltas, perm=(0, 3, 4, 1, 2))
    deltas = call.reshape(deltas, (images, number * height * width, 4))
    shift, grow = call.ops("Split", 2, deltas, axis=2, num_outputs=2)
    center = call.op("Add", call.op("Mul", shift, call.floats(sides)), call.floats(places[..., :2] + sides / 2))
    half = call.op("Mul", call.op("Exp", grow), call.floats(sides / 2))
    boxes = call.op("Concat", call.op("Sub", center, half), call.op("Add", center, half), axis=2)
    # The picture's height and width, of which the first row counts, as the largest x and y twice over.
    info = call.op("Gather", call.slice(call.inputs[2], 0, 0, 1), call.integers(1, 0, 1, 0), axis=1)
    most = call.op("Sub", info, call.floats(1.0))
    return call.op("Max", call.op("Min", boxes, most), call.floats(0.0))


def chosen(call: Call, boxes: str, limits: Limits, least: str) -> tuple[str, ...]:
    """The best boxes of each image that suppress none better, as regions, and their scores if they are an output.

    Both corners are part of a box: with the second moved by a pixel, areas are what NonMaxSuppression takes them for.
    """
    images, channels, height, width = call.shape
    number = channels // 2
    total = number * height * width
    scores = call.slice(call.x, 1, number, channels)
    scores = call.reshape(call.op("Transpose", scores, perm=(0, 2, 3, 1)), (images, total))
    low, high = call.ops("Split", 2, boxes, axis=2, num_outputs=2)
    sides = call.op("Add", call.op("Sub", high, low), call.floats(1.0))
    shortest = call.op("ReduceMin", sides, call.integers(2), keepdims=0)
    small = call.op("Less", shortest, call.op("Reshape", least, call.integers(1)))
    scores = call.op("Where", small, call.floats(limits.small), scores)
    scores, order = call.ops("TopK", 2, scores, call.integers(min(limits.before, total)), axis=1)
    boxes = call.op("GatherND", boxes, call.op("Unsqueeze", order, call.integers(-1)), batch_dims=1)
    low, high = call.ops("Split", 2, boxes, axis=2, num_outputs=2)
    outer = call.op("Concat", low, call.op("Add", high, call.floats(1.0)), axis=2)
    kept = call.op(
        "NonMaxSuppression",
        outer,
        call.op("Unsqueeze", scores, call.integers(1)),
        call.integers(limits.after),
        call.floats([limits.overlap]),
        call.floats([LOWEST]),
    )
    places = call.op("Gather", kept, call.integers(0, 2), axis=1)
    image = call.to_floats(call.slice(kept, 1, 0, 1))
    regions = call.op("Concat", image, call.op("GatherND", boxes, places), axis=1)
    return (regions, call.op("GatherND", scores, places))[: len(call.layer.outputs)]
