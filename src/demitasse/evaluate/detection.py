"""What a detector finds in annotated pictures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.datasets.annotations import Annotations
from demitasse.datasets.pictures import Picture, photograph
from demitasse.errors import NetError
from demitasse.evaluate.cascade import Cascade
from demitasse.evaluate.detections import Boxes
from demitasse.evaluate.detectors import Detector
from demitasse.evaluate.sessions import Session

__all__ = ["LEAST", "detected", "detected_by_cascade"]

Progress = Callable[[int, int], None]

LEAST = 0.01
"""Score below which a box is not looked at: it can no longer change an average precision by much."""

TOGETHER = 1 << 25
"""Numbers of inputs that are made before they are run."""


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
            out.append(within(picture, boxes, fit.back(boxes[:, 2:].astype(np.float64))))
        if progress is not None:
            progress(len(out), total)
    return out


def detected_by_cascade(cascade: Cascade, annotations: Annotations, progress: Progress | None = None) -> list[Boxes]:
    """The same as `detected`, by MTCNN's networks."""
    out: list[Boxes] = []
    for each in annotations.pictures:
        picture = photograph(each.path)
        boxes = cascade.boxes(picture)
        out.append(within(picture, boxes, boxes[:, 2:]))
        if progress is not None:
            progress(len(out), len(annotations.pictures))
    return out


def within(picture: Picture, boxes: Boxes, corners: npt.NDArray[Any]) -> Boxes:
    """Boxes with these corners, in pixels, clipped to the picture."""
    height, width = picture.shape[:2]
    clipped = np.clip(corners, 0, [width, height, width, height])
    return np.hstack([boxes[:, :2], clipped]).astype(np.float32)
