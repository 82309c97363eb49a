"""What two networks gave for a few of the pictures they were shown, side by side, to be looked at by people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import Picture
from demitasse.evaluate.detections import Boxes, boxes_of
from demitasse.evaluate.inputs import is_picture
from demitasse.evaluate.preprocessing import Preprocessing
from demitasse.evaluate.runtimes import Results
from demitasse.evaluate.trial import Trial, complete

__all__ = ["Outcome", "Sample", "samples"]

MOST = 4
"""Pictures that are shown."""

BEST = 3
"""Classes that are named."""

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a network says of a picture: boxes (label, score, left, top, right, bottom; corners as shares of the
    picture), or the best classes with what they scored."""

    boxes: Boxes | None = None
    classes: tuple[tuple[int, float], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        if self.boxes is None:
            return {"classes": [{"class": number, "score": score} for number, score in self.classes]}
        return {"boxes": [[float(value) for value in row] for row in self.boxes]}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture as the network saw it (height × width × 3, blue first), and what came out before and after."""

    name: str
    picture: Picture
    before: Outcome
    after: Outcome

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON, without the pixels."""
        return {"picture": self.name, "before": self.before.as_dict(), "after": self.after.as_dict()}


def samples(trial: Trial, prepare: Preprocessing, most: int = MOST) -> tuple[Sample, ...]:
    """The first pictures of a trial; none if the network has no input for pictures, or gives neither boxes nor
    classes."""
    found = []
    for i, feed in enumerate(trial.fed.feeds[:most]):
        shown = next((values for values in feed.values() if is_picture(values.shape)), None)
        before, after = outcome(trial, trial.expected, i), outcome(trial, trial.found, i)
        if shown is None or before is None or after is None:
            return ()
        name = trial.fed.names[i] if i < len(trial.fed.names) else f"picture {i + 1}"
        found.append(Sample(name, prepare.pixels(shown), before, after))
    return tuple(found)


def outcome(trial: Trial, results: Results, ordinal: int) -> Outcome | None:
    """What one network gave for one picture; None if it is neither boxes nor classes."""
    values, feed = results[ordinal], trial.fed.feeds[ordinal]
    if trial.detector is not None and complete(trial.detector, values, feed):
        return Outcome(trial.detector.boxes(values, feed))
    for place in trial.probes:
        if place.kind == "detections" and place.layer in values:
            return Outcome(boxes_of(values[place.layer]))
    for place in trial.probes:
        if place.kind == "classes" and place.layer in values:
            scores = np.moveaxis(values[place.layer], place.axis, 0)
            if scores.size == len(scores):  # A segmentation has a class for every pixel.
                return Outcome(classes=best(scores.reshape(-1)))
    return None


def best(scores: Values) -> tuple[tuple[int, float], ...]:
    """The classes with the highest scores, and those."""
    order = np.argsort(-scores, kind="stable")[:BEST]
    return tuple((int(number), float(scores[number])) for number in order)
