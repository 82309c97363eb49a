"""SSD's detector (Liu et al., 2016): prior boxes, and boxes out of scores and locations. None has a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from demitasse.layers.detection import PriorBox
from demitasse.message import Message
from demitasse.runtime.boxes import CODES, Boxes, decode, descending, suppress
from demitasse.runtime.operation import Call

__all__ = ["code_type", "detection_output", "prior_box", "prior_boxes"]

FOREIGN_PRIORS = ("faceboxes", "box_width", "box_height", "tf", "yx_order", "keras")
FOREIGN_OUTPUTS = ("ratio_permute", "no_permute")
"""Fields of Synopsys' fork, which computes something else."""

Array = npt.NDArray[np.float32]


def prior_box(call: Call) -> torch.Tensor:
    """PriorBox: for every cell of the map and every size and aspect ratio a box in fractions of the picture, and the
    variances of its four numbers.

    As in the official SSD branch, sizes are cut to whole pixels, and ``clip`` is off unless the file asks for it.
    """
    for field in FOREIGN_PRIORS:
        if call.param.scalars(field) not in ((), ("false",)):
            call.placed.refuse(f"{field} is of Synopsys' fork, and is not computed here")
    picture = picture_size(call)
    sizes = box_sizes(call)
    steps = cell_steps(call, picture)
    offset = np.float32(call.param.number("offset", 0.5))
    height, width = call.placed.legacy(0)[2:]
    x = ((np.arange(width, dtype=np.float32) + offset) * steps[0]).astype(np.float64)
    y = ((np.arange(height, dtype=np.float32) + offset) * steps[1]).astype(np.float64)
    boxes = np.empty((height, width, len(sizes), 4), np.float32)
    half = sizes.astype(np.float64) / 2
    for axis, center, size in ((0, x[None, :, None], picture[0]), (1, y[:, None, None], picture[1])):
        boxes[..., axis] = (center - half[:, axis]) / size
        boxes[..., axis + 2] = (center + half[:, axis]) / size
    if call.param.flag("clip"):
        boxes = boxes.clip(0, 1)
    both = np.stack((boxes.reshape(-1), np.tile(variances(call), height * width * len(sizes))))
    return torch.from_numpy(both[None]).to(call.x.device)


def picture_size(call: Call) -> tuple[int, int]:
    """Width and height that boxes are fractions of: given, or those of the second input."""
    size = call.param.integer("img_size")
    height, width = call.param.integer("img_h", size), call.param.integer("img_w", size)
    if height and width:
        return width, height
    return call.placed.legacy(1)[3], call.placed.legacy(1)[2]


def cell_steps(call: Call, picture: tuple[int, int]) -> tuple[np.float32, np.float32]:
    """Pixels from cell to cell, across and down: given, or so that the cells fill the picture."""
    step = call.param.number("step")
    across, down = call.param.number("step_w", step), call.param.number("step_h", step)
    if min(across, down) < 0:
        call.placed.refuse("step is below 0")
    height, width = call.placed.legacy(0)[2:]
    if across and down:
        return np.float32(across), np.float32(down)
    return np.float32(picture[0]) / np.float32(width), np.float32(picture[1]) / np.float32(height)


def box_sizes(call: Call) -> Array:
    """Width and height in pixels of each of a cell's boxes, in Caffe's order: for each ``min_size`` its square, the
    square between it and its ``max_size``, then the other aspect ratios."""
    placed = call.of(PriorBox)
    placed.priors()
    largest = [int(size) for size in call.param.numbers("max_size")]
    sizes: list[tuple[np.float32, np.float32]] = []
    for i, number in enumerate(call.param.numbers("min_size")):
        smallest = int(number)
        sizes.append((np.float32(smallest),) * 2)
        if largest:
            sizes.append((np.float32(np.sqrt(smallest * largest[i])),) * 2)
        for ratio in placed.ratios():
            if abs(ratio - 1) >= 1e-6:
                root = np.sqrt(np.float32(ratio))
                sizes.append((np.float32(smallest) * root, np.float32(smallest) / root))
    return np.array(sizes, np.float32)


def variances(call: Call) -> Array:
    """Four numbers that go with every box. NetError unless none, one or four are given, all above 0."""
    given = call.param.numbers("variance") or (0.1,)
    if len(given) not in (1, 4) or min(given) <= 0:
        call.placed.refuse(f"has variance {', '.join(f'{v:g}' for v in given)}; it needs one or four, above 0")
    return np.array(given * (4 // len(given)), np.float32)


def prior_boxes(call: Call, which: int) -> tuple[Boxes, Boxes]:
    """Boxes and variances out of an input as PriorBox gives it."""
    both = call.inputs[which].detach().reshape(2, -1, 4).cpu().numpy()
    return both[0], both[1]


def code_type(call: Call, param: Message) -> str:
    """The code that boxes are written in."""
    given = param.string("code_type", "CORNER")
    given = CODES[int(given) - 1] if given in ("1", "2", "3") else given
    if given not in CODES:
        call.placed.refuse(f"code_type is {given}; it must be one of {', '.join(CODES)}")
    return given


@dataclass(frozen=True, slots=True)
class Selection:
    """How boxes are chosen: by score, by suppression in each class, and in number over all classes."""

    background: int
    least: float
    threshold: float
    eta: float
    first: int
    most: int


def detection_output(call: Call) -> torch.Tensor:
    """DetectionOutput: 1 × 1 × boxes × (image, label, score, x1, y1, x2, y2), classes in order, scores falling.

    Without a detection one row an image, all -1 but for the image. With five inputs, as in RefineDet (Zhang et al.,
    2018): the last two are objectness and locations that prior boxes are moved by first. ``save_output_param`` writes
    files in Caffe and is not acted on.
    """
    for field in FOREIGN_OUTPUTS:
        if call.param.flag(field):
            call.placed.refuse(f"{field} is of Synopsys' fork, and is not computed here")
    nms = call.param.message("nms_param")
    chosen = Selection(
        call.param.integer("background_label_id"),
        call.param.number("confidence_threshold", -np.inf),
        nms.number("nms_threshold", 0.3),
        nms.number("eta", 1.0),
        nms.integer("top_k", -1),
        call.param.integer("keep_top_k", -1),
    )
    if chosen.threshold < 0 or not 0 < chosen.eta <= 1:
        call.placed.refuse("nms_threshold has to be at least 0, and eta above 0 and at most 1")
    images, classes = call.x.shape[0], call.param.integer("num_classes")
    scores = class_scores(call, classes)
    rows: list[Array] = []
    for image in range(images):
        for label, score, boxes in detections(scores[image], decoded(call, image, classes), chosen):
            head = np.full((len(score), 2), (image, label), np.float32)
            rows.append(np.concatenate((head, score[:, None], boxes), 1))
    if not rows:
        nothing = np.full((images, 7), -1, np.float32)
        nothing[:, 0] = np.arange(images)
        rows.append(nothing)
    return torch.from_numpy(np.concatenate(rows)[None, None]).to(call.x.device)


def class_scores(call: Call, classes: int) -> Array:
    """Scores as images × boxes × classes; of boxes that are no object by RefineDet's measure, all background."""
    scores: Array = call.inputs[1].detach().reshape(call.x.shape[0], -1, classes).cpu().numpy()
    if len(call.inputs) < 4:
        return scores
    objectness = call.inputs[3].detach().reshape(call.x.shape[0], -1, 2).cpu().numpy()[..., 1]
    background = np.zeros(classes, np.float32)
    background[0] = 1
    none = objectness < np.float32(call.param.number("objectness_score", 0.01))
    return np.where(none[..., None], background, scores)


def decoded(call: Call, image: int, classes: int) -> Array:
    """Boxes of one image: classes (or 1, if they share them) × boxes × 4."""
    priors, scales = prior_boxes(call, 2)
    kind, scaled = code_type(call, call.param), call.param.flag("variance_encoded_in_target")
    if len(call.inputs) > 4:
        moves = call.inputs[4].detach()[image].reshape(-1, 4).cpu().numpy()
        priors = decode(moves, priors, scales, kind, scaled)
    sets = 1 if call.param.flag("share_location", True) else classes
    codes = call.x.detach()[image].reshape(-1, sets, 4).cpu().numpy()
    return np.stack([decode(codes[:, k], priors, scales, kind, scaled) for k in range(sets)])


def detections(scores: Array, boxes: Array, chosen: Selection) -> list[tuple[int, Array, Boxes]]:
    """Label, scores and boxes of each class of one image that has any."""
    found: list[tuple[int, npt.NDArray[np.int64]]] = []
    for label in range(scores.shape[1]):
        if label == chosen.background:
            continue
        candidates = np.flatnonzero(scores[:, label] > np.float32(chosen.least))
        candidates = candidates[descending(scores[candidates, label])]
        if 0 <= chosen.first < len(candidates):
            candidates = candidates[: chosen.first]
        places = boxes[label if len(boxes) > 1 else 0][candidates]
        found.append((label, candidates[suppress(places, chosen.threshold, eta=chosen.eta)]))
    if 0 <= chosen.most < sum(len(kept) for _, kept in found):
        found = best(scores, found, chosen.most)
    return [
        (label, scores[kept, label], boxes[label if len(boxes) > 1 else 0][kept]) for label, kept in found if len(kept)
    ]


def best(
    scores: Array, found: list[tuple[int, npt.NDArray[np.int64]]], most: int
) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """The detections of highest score over all classes."""
    labels = np.concatenate([np.full(len(kept), label) for label, kept in found])
    places = np.concatenate([kept for _, kept in found])
    order = descending(scores[places, labels])[:most]
    labels, places = labels[order], places[order]
    return [(label, places[labels == label]) for label, _ in found]
