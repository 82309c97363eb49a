"""What a detector finds in annotated pictures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np

from demitasse.datasets.annotations import Annotations
from demitasse.datasets.pictures import photograph
from demitasse.errors import NetError
from demitasse.evaluate.detections import Boxes
from demitasse.evaluate.detectors import Detector, SingleShot, detector
from demitasse.evaluate.models import Model, Subject
from demitasse.evaluate.sessions import Session
from demitasse.runtime.onnxruntime import parsed, shape_of

__all__ = ["LEAST", "detected", "detector_of"]

Progress = Callable[[int, int], None]

LEAST = 0.01
"""Score below which a box is not looked at: it can no longer change an average precision by much."""

TOGETHER = 1 << 25
"""Numbers of inputs that are made before they are run."""


def detector_of(model: Model) -> Detector | None:
    """How to get boxes out of a network; ``None`` if it gives none. Of an ``.onnx`` an output of rows of seven is taken
    for SSD's detections."""
    if isinstance(model, Subject):
        return detector(model.graph.layers)
    outputs = {value.name: shape_of(value) for value in parsed(model.path).graph.output}
    found = [name for name, shape in outputs.items() if len(shape) == 4 and shape[3] == 7]
    return SingleShot(found[0]) if found else None


def detected(
    session: Session, annotations: Annotations, boxes_of: Detector, progress: Progress | None = None
) -> list[Boxes]:
    """For each picture rows of (label, score, left, top, right, bottom) in its pixels, clipped to it.

    FileError for a picture that cannot be read. One picture at a time: detectors disagree about larger batches.
    """
    out: list[Boxes] = []
    total = len(annotations.pictures)
    walk = iter(annotations.pictures)
    number = max(1, TOGETHER // int(np.prod(session.shape[1:])))
    while portion := list(islice(walk, number)):
        pictures = [photograph(each.path) for each in portion]
        feeds = [session.feed([picture]) for picture in pictures]
        for values, feed, picture in zip(session.run(feeds, boxes_of.layers), feeds, pictures, strict=True):
            if missing := [name for name in boxes_of.layers if name not in values and name not in feed]:
                raise NetError(f"{session.runtime.name} gives nothing for layer {missing[0]}")
            boxes = boxes_of.boxes(values, feed, LEAST)
            fit = session.prepare.fit(picture, session.shape)
            height, width = picture.shape[:2]
            corners = fit.back(boxes[:, 2:].astype(np.float64))
            clipped = np.clip(corners, 0, [width, height, width, height])
            out.append(np.hstack([boxes[:, :2], clipped]).astype(np.float32))
        if progress is not None:
            progress(len(out), total)
    return out
