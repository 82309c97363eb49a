"""Boxes from what a detector gives: SSD's DetectionOutput as it is, Faster R-CNN's and R-FCN's class scores and
regressions applied to their regions, as the test scripts of those projects do it, and heads of anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.evaluate.anchors import AnchorHead, Anchors, Shapes, outputs_in, recognised
from demitasse.evaluate.detections import Boxes, boxes_of, suppressed
from demitasse.evaluate.models import Model, OnnxFile, Subject
from demitasse.layers import infer
from demitasse.net import Layer

__all__ = ["DETECTING", "Detector", "Made", "Regions", "SingleShot", "detector", "detector_of", "proposes"]

Values = Mapping[str, npt.NDArray[np.float32]]

DETECTING = frozenset({"DetectionOutput", "Yolov3DetectionOutput"})
"""Types of layers that give rows of (picture, label, score, corners)."""

OVERLAP = 0.3
"""Non-maximum suppression of Faster R-CNN's detections, ``cfg.TEST.NMS``."""


@dataclass(frozen=True, slots=True)
class SingleShot:
    """A DetectionOutput layer, SSD's or YOLO's."""

    layer: str

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose outputs `boxes` needs."""
        return (self.layer,)

    def boxes(self, values: Values, feed: Values, threshold: float = 0.5) -> Boxes:
        """Rows (label, score, left, top, right, bottom), corners as shares of the picture, of at least that score."""
        return boxes_of(values[self.layer], threshold)


@dataclass(frozen=True, slots=True)
class Regions:
    """Scores ``(n, classes)`` and regressions of n regions ``(image, x1, y1, x2, y2)``: names of their layers.

    ``regions`` may be an input instead, ``picture`` is the input that the regions are places in.
    """

    scores: str
    regressions: str
    regions: str
    picture: str

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose outputs `boxes` needs."""
        return (self.scores, self.regressions, self.regions)

    def boxes(self, values: Values, feed: Values, threshold: float = 0.5) -> Boxes:
        """Rows (label, score, left, top, right, bottom), corners as shares of the picture, of at least that score.

        Label 0 is the background and gives no boxes. NetError if the shapes are not those of such a detector.
        """
        scores = values[self.scores]
        scores = scores.reshape(len(scores), -1).astype(np.float64)
        number, classes = scores.shape
        regions = (feed if self.regions in feed else values)[self.regions].reshape(-1, 5)[:, 1:].astype(np.float64)
        moves = values[self.regressions].reshape(number, -1).astype(np.float64)
        groups = moves.shape[1] // 4
        if len(regions) != number or classes < 2 or moves.shape[1] % 4 or groups not in (1, 2, classes):
            raise NetError(
                f"{self.scores} {scores.shape}, {self.regressions} {moves.shape} and {self.regions} "
                f"{regions.shape} do not make up detections"
            )
        height, width = feed[self.picture].shape[2:]
        rows = []
        for label in range(1, classes):
            # Class-agnostic heads have one regression, behind that of the background.
            group = min(label, groups - 1)
            corners = moved(regions, moves[:, 4 * group : 4 * group + 4])
            corners = np.clip(corners, 0, [width - 1, height - 1, width - 1, height - 1])
            sure = scores[:, label] >= threshold
            labels = np.full(int(sure.sum()), label)
            shares = corners[sure] / [width, height, width, height]
            rows.append(np.column_stack([labels, scores[sure, label], shares]))
        return suppressed(np.concatenate(rows).astype(np.float32), OVERLAP)


Made = Regions | Anchors
"""Detectors whose boxes are made from several outputs."""

Detector = SingleShot | Made


def detector_of(model: Model, head: AnchorHead | None = None) -> Detector | None:
    """How to get boxes out of a network, by the head that is described if there is one; ``None`` if it gives none.

    Of an ``.onnx`` an output of rows of seven is taken for SSD's detections. NetError if the layers of a described head
    are not to be found, and for a head of anchors that nobody knows.
    """
    found: SingleShot | Regions | None = None
    if head is None and isinstance(model, Subject):
        found = detector(model.graph.layers)
    elif head is None and isinstance(model, OnnxFile):
        rows = [name for name, shape in model.signature.outputs.items() if len(shape) == 4 and shape[3] == 7]
        found = SingleShot(rows[0]) if rows else None
    return found if found is not None else anchored(model, head)


def anchored(model: Model, head: AnchorHead | None) -> Anchors | None:
    """The head of anchors of a network. NetError as in `detector_of`."""
    pictures = [(name, shape) for name, shape in model.inputs.items() if len(shape) == 4]
    if isinstance(model, Subject):
        blobs, graph = infer(model.graph, strict=False).blobs, model.graph
        shapes: Shapes = {name: tuple(blobs.get(name) or ()) for name in graph.outputs}
        places = dict(model.places)
    else:
        shapes = model.signature.outputs
        places = {name: name for name in model.signature.values}
    found = outputs_in(shapes)
    if head is not None and head.boxes and head.scores:
        for name in (head.boxes, head.scores):
            if name not in places and name not in places.values():
                raise NetError(f'the head is said to be in "{name}", and no layer gives that')
        return Anchors(places.get(head.boxes, head.boxes), places.get(head.scores, head.scores), pictures[0][0], head)
    if found is None or not pictures:
        if head is None:
            return None
        raise NetError("the outputs are not those of a head of anchors; say which they are, as boxes and scores")
    boxes, scores, number = found
    (picture, shape), *_ = pictures
    known = head or recognised(number, shape[2], shape[3])
    if known is None:
        raise NetError(
            f"{boxes} and {scores} hold a box and its scores for each of {number} anchors, and which these are is not "
            "in the file: describe them with --head FILE.yaml"
        )
    return Anchors(places[boxes], places[scores], picture, known)


def detector(layers: Sequence[Layer]) -> SingleShot | Regions | None:
    """How to get boxes out of the network of these layers (of one phase, in order); ``None`` if it gives none."""
    writers = {name: layer for layer in layers for name in layer.outputs}
    for layer in layers:
        if layer.type in DETECTING:
            return SingleShot(layer.name)
    scores = next((name for name in ("cls_prob", "cls_prob_reshape") if name in writers), None)
    moves = next((name for name in ("bbox_pred", "bbox_pred_reshape") if name in writers), None)
    if scores is None or moves is None or "rois" not in writers:
        return None
    picture = next((name for name, layer in writers.items() if layer.type == "Input" and name != "rois"), None)
    if picture is None:
        return None
    regions = "rois" if writers["rois"].type == "Input" else writers["rois"].name
    return Regions(writers[scores].name, writers[moves].name, regions, picture)


def proposes(layer: Layer) -> bool:
    """Whether a layer chooses regions by their scores: what comes after it is about those regions alone."""
    if layer.type == "Python":
        return layer.message.message("python_param").string("layer") == "ProposalLayer"
    return layer.type == "Proposal"


def moved(regions: npt.NDArray[np.float64], moves: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Corners of regions after regression (``bbox_transform_inv``)."""
    sides = regions[:, 2:] - regions[:, :2] + 1
    centres = regions[:, :2] + 0.5 * sides + moves[:, :2] * sides
    half = 0.5 * sides * np.exp(np.minimum(moves[:, 2:], 20))
    return np.hstack([centres - half, centres + half])
