"""SSD's detector (Liu et al., 2016): prior boxes, and boxes out of scores and locations. None has a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from demitasse.layers.detection import PriorBox
from demitasse.layers.priors import prior_boxes as constant_boxes
from demitasse.message import Message
from demitasse.runtime.boxes import CODES, Boxes, decode, descending, suppress
from demitasse.runtime.operation import Call

__all__ = ["code_type", "detection_output", "prior_box", "prior_boxes"]

FOREIGN_OUTPUTS = ("ratio_permute", "no_permute")
"""Fields of Synopsys' fork, which computes something else."""

Array = npt.NDArray[np.float32]


def prior_box(call: Call) -> torch.Tensor:
    """PriorBox: a constant, which depends on shapes alone."""
    return torch.from_numpy(constant_boxes(call.of(PriorBox))).to(call.x.device)


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
