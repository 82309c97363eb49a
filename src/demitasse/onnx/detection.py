"""SSD's detector (Liu et al., 2016): prior boxes as a constant, boxes by NonMaxSuppression and what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from demitasse.layers.detection import PriorBox
from demitasse.layers.priors import prior_boxes
from demitasse.onnx.call import Call, Result

__all__ = ["detection_output", "nothing", "prior_box"]

LOWEST = float(np.finfo(np.float32).min)

FOREIGN = ("ratio_permute", "no_permute")
"""Fields of Synopsys' fork, which computes something else."""

CODES = {"1": "CORNER", "2": "CENTER_SIZE", "3": "CORNER_SIZE"}


def prior_box(call: Call) -> Result:
    """A constant."""
    for shape in call.placed.inputs:
        for size in shape[2:]:
            call.known(size, "the size of its inputs varies")
    return call.floats(prior_boxes(cast(PriorBox, call.placed)))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that may be chosen: for each image and label, in order of score. ``each``: how many."""

    scores: str
    boxes: str
    labels: tuple[int, ...]
    each: int


def detection_output(call: Call) -> Result:
    """1 × 1 × boxes × (image, label, score, x1, y1, x2, y2), labels in order, scores falling; without a detection one
    row an image, all -1 but for the image."""
    for field in FOREIGN:
        if call.param.flag(field):
            call.refuse(f"{field} is of Synopsys' fork")
    nms = call.param.message("nms_param")
    if nms.number("eta", 1.0) < 1:
        call.refuse("eta below 1: NonMaxSuppression has one threshold for all boxes")
    found = candidates(call, nms.integer("top_k", -1))
    kept = suppressed(call, found, nms.number("nms_threshold", 0.3))
    return rows(call, found, best(call, found, kept))


def candidates(call: Call, first: int) -> Candidates:
    """The ``first`` boxes of each label by score."""
    images, classes = call.shape[0], call.placed.positive("num_classes")
    boxes = call.placed.legacy(2)[2] // 4
    background = call.param.integer("background_label_id", 0)
    labels = tuple(label for label in range(classes) if label != background)
    each = boxes if first < 0 else min(first, boxes)
    if not each:
        call.refuse("top_k is 0: it would find nothing")
    scores = call.op("Transpose", class_scores(call, images, boxes, classes), perm=(0, 2, 1))
    shared = call.param.flag("share_location", True)
    places = decoded(call, images, boxes, 1 if shared else classes)
    if len(labels) < classes:
        chosen = call.integers(*labels)
        scores = call.op("Gather", scores, chosen, axis=1)
        places = places if shared else call.op("Gather", places, chosen, axis=1)
    scores, order = call.ops("TopK", 2, scores, call.integers(each), axis=2)
    if shared:
        places = call.op("Squeeze", places, call.integers(1))
    order = call.op("Unsqueeze", order, call.integers(-1))
    return Candidates(scores, call.op("GatherND", places, order, batch_dims=1 if shared else 2), labels, each)


def class_scores(call: Call, images: int, boxes: int, classes: int) -> str:
    """Images × boxes × classes; of boxes that are no object by RefineDet's measure, all background."""
    scores = call.reshape(call.inputs[1], (images, boxes, classes))
    if len(call.inputs) < 4:
        return scores
    objectness = call.slice(call.reshape(call.inputs[3], (images, boxes, 2)), 2, 1, 2)
    none = call.op("Less", objectness, call.floats(call.param.number("objectness_score", 0.01)))
    return call.op("Where", none, call.floats(np.eye(classes)[0]), scores)


def decoded(call: Call, images: int, boxes: int, sets: int) -> str:
    """Corners as images × sets × boxes × 4."""
    priors, scales = call.ops("Split", 2, call.reshape(call.inputs[2], (1, 2, boxes, 4)), axis=1, num_outputs=2)
    if len(call.inputs) > 4:
        priors = decode(call, call.reshape(call.inputs[4], (images, 1, boxes, 4)), priors, scales)
    codes = call.reshape(call.x, (images, boxes, sets, 4))
    return decode(call, call.op("Transpose", codes, perm=(0, 2, 1, 3)), priors, scales)


def decode(call: Call, codes: str, priors: str, scales: str) -> str:
    """Boxes from what the network says about prior boxes."""
    kind = call.param.string("code_type", "CORNER")
    kind = CODES.get(kind, kind)
    if not call.param.flag("variance_encoded_in_target"):
        codes = call.op("Mul", codes, scales)
    if kind == "CORNER":
        return call.op("Add", priors, codes)
    low, high = halves(call, priors)
    size = call.op("Sub", high, low)
    if kind == "CORNER_SIZE":
        return call.op("Add", priors, call.op("Mul", codes, call.op("Concat", size, size, axis=-1)))
    if kind != "CENTER_SIZE":
        call.refuse(f"code_type {kind}")
    middle = call.op("Mul", call.op("Add", low, high), call.floats(0.5))
    moved, grown = halves(call, codes)
    center = call.op("Add", call.op("Mul", moved, size), middle)
    half = call.op("Mul", call.op("Mul", call.op("Exp", grown), size), call.floats(0.5))
    return call.op("Concat", call.op("Sub", center, half), call.op("Add", center, half), axis=-1)


def halves(call: Call, boxes: str) -> tuple[str, ...]:
    """The first two and the last two of four numbers."""
    return call.ops("Split", 2, boxes, axis=-1, num_outputs=2)


def suppressed(call: Call, found: Candidates, threshold: float) -> str:
    """1 where a candidate stays, 0 elsewhere: images × (labels × candidates).

    Each label of each image is one batch entry of NonMaxSuppression, since each has candidates of its own.
    """
    boxes = call.op("Reshape", found.boxes, call.integers(-1, found.each, 4))
    if call.param.string("code_type", "CORNER") not in ("CENTER_SIZE", "2"):
        # A box that is turned inside out overlaps nothing in Caffe; NonMaxSuppression would turn it round.
        low, high = halves(call, boxes)
        boxes = call.op("Concat", low, call.op("Max", low, high), axis=-1)
    scores = call.op("Reshape", found.scores, call.integers(-1, 1, found.each))
    least = max(call.param.number("confidence_threshold", LOWEST), LOWEST)
    chosen = call.op(
        "NonMaxSuppression",
        boxes,
        scores,
        call.integers(found.each),
        call.floats([min(threshold, 1.0)]),
        call.floats([least]),
    )
    places = call.op("Gather", chosen, call.integers(0, 2), axis=1)
    flat = call.op("Reshape", found.scores, call.integers(-1, found.each))
    ones = call.op("Expand", call.floats(1.0), call.slice(call.op("Shape", chosen), 0, 0, 1))
    marked = call.op("ScatterND", zeros_like(call, flat), places, ones)
    return call.op("Reshape", marked, call.integers(-1, len(found.labels) * found.each))


def zeros_like(call: Call, x: str) -> str:
    """Zeros of the same shape."""
    return call.op("ConstantOfShape", call.op("Shape", x))


def best(call: Call, found: Candidates, kept: str) -> str:
    """The same marks, of the ``keep_top_k`` best of each image only."""
    most, number = call.param.integer("keep_top_k", -1), len(found.labels) * found.each
    if most < 0 or most >= number:
        return kept
    scores = call.op("Reshape", found.scores, call.integers(-1, number))
    stays = call.op("Greater", kept, call.floats(0.0))
    _, order = call.ops("TopK", 2, call.op("Where", stays, scores, call.floats(LOWEST)), call.integers(most), axis=1)
    ones = call.op("Expand", call.floats(1.0), call.op("Shape", order))
    marked = call.op("ScatterElements", zeros_like(call, kept), order, ones, axis=1)
    return call.op("Mul", kept, marked)


def rows(call: Call, found: Candidates, kept: str) -> str:
    """What is marked, as Caffe writes it."""
    number = len(found.labels) * found.each
    places = call.op("Transpose", call.op("NonZero", kept), perm=(1, 0))
    image, place = call.ops("Split", 2, places, axis=1, num_outputs=2)
    labels = call.op("Gather", call.floats(found.labels), call.op("Div", place, call.integers(found.each)), axis=0)
    scores = call.op("GatherND", call.op("Reshape", found.scores, call.integers(-1, number, 1)), places)
    boxes = call.op("GatherND", call.op("Reshape", found.boxes, call.integers(-1, number, 4)), places)
    some = call.op("Concat", call.to_floats(image), labels, scores, boxes, axis=1)
    return call.op("Reshape", call.op("Concat", some, nothing(call, image), axis=0), call.integers(1, 1, -1, 7))


def nothing(call: Call, image: str) -> str:
    """A row for each image if there is no other row, else no row."""
    images = call.slice(call.op("Shape", call.x), 0, 0, 1)
    none = call.op("Equal", call.slice(call.op("Shape", image), 0, 0, 1), call.integers(0))
    number = call.op("Where", none, images, call.integers(0))
    order = call.op("NonZero", call.op("Expand", call.floats(1.0), number))
    column = call.op("Transpose", call.to_floats(order), perm=(1, 0))
    return call.op("Pad", column, call.integers(0, 0, 0, 6), call.floats(-1.0))
