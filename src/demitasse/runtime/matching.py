"""Which prior box learns which true box, and which ones learn to be background: the first half of SSD's loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demitasse.runtime.boxes import Boxes, descending, overlaps, suppress

__all__ = ["IGNORED", "UNMATCHED", "Match", "Mining", "Truth", "match", "mine", "truths"]

UNMATCHED, IGNORED = -1, -2
"""In place of the index of a true box."""

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The true boxes of one image."""

    labels: Indices
    boxes: Boxes


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """For each prediction the index of its true box, `UNMATCHED` or `IGNORED`, and its largest overlap."""

    indices: Indices
    overlaps: Array

    @property
    def positive(self) -> Indices:
        """Predictions that have a true box."""
        return np.flatnonzero(self.indices > UNMATCHED)


def truths(rows: Array, difficult: bool) -> Mapping[int, Truth]:
    """True boxes by image, from rows of (image, label, instance, x1, y1, x2, y2, difficult); rows of image -1 are
    padding. Difficult ones only if asked for."""
    kept = rows[(rows[:, 0].astype(int) != -1) & (difficult | (rows[:, 7].astype(int) == 0))]
    images = kept[:, 0].astype(np.int64)
    return {
        int(image): Truth(kept[images == image, 1].astype(np.int64), kept[images == image, 3:7])
        for image in np.unique(images)
    }


def match(truth: Boxes, boxes: Boxes, threshold: float | None, inside_only: bool) -> Match:
    """Boxes to true boxes: best pair first, each true box once; then, with a threshold, every box that overlaps one by
    as much to the one it overlaps most. ``inside_only`` ignores boxes that leave the picture."""
    indices = np.full(len(boxes), UNMATCHED, np.int64)
    if not len(truth):
        return Match(indices, np.zeros(len(boxes), np.float32))
    shared = overlaps(boxes, truth)
    shared[shared <= 1e-6] = 0
    if inside_only:
        outside = ((boxes < 0) | (boxes > 1)).any(1)
        indices[outside], shared[outside] = IGNORED, 0
    most = shared.max(1)
    left = shared.copy()
    for _ in range(len(truth)):
        box, which = np.unravel_index(left.argmax(), left.shape)
        if left[box, which] <= 0:
            break
        indices[box], most[box] = which, shared[box, which]
        left[box], left[:, which] = 0, 0
    if threshold is not None:
        close = (indices == UNMATCHED) & (most >= np.float32(threshold)) & (most > 0)
        indices[close] = shared[close].argmax(1)
    return Match(indices, most)


@dataclass(frozen=True, slots=True)
class Mining:
    """How predictions are chosen to learn from: ``kind`` NONE, MAX_NEGATIVE (as many of the worst backgrounds as
    ``ratio`` times the matches) or HARD_EXAMPLE (the ``sample`` worst of all); ``threshold`` above 0 suppresses
    neighbours among the first ``top`` before."""

    kind: str
    ratio: float
    overlap: float
    sample: int
    threshold: float
    top: int


def mine(found: Match, losses: Array, boxes: Boxes, how: Mining) -> tuple[Match, Indices]:
    """The matches that remain, and the predictions that learn to be background.

    ``losses``: of each prediction, ``boxes``: what suppression goes by.
    """
    if how.kind == "MAX_NEGATIVE":
        eligible = np.flatnonzero((found.indices == UNMATCHED) & (found.overlaps < np.float32(how.overlap)))
        number = min(int(np.float32(len(found.positive)) * np.float32(how.ratio)), len(eligible))
    else:
        eligible = np.arange(len(found.indices))
        number = min(how.sample, len(eligible))
    order = descending(losses[eligible])
    if how.threshold > 0:
        order = order[: how.top] if 0 <= how.top < len(order) else order
        order = order[suppress(boxes[eligible][order], how.threshold)]
    chosen = np.zeros(len(found.indices), bool)
    chosen[eligible[order[:number]]] = True
    indices = found.indices.copy()
    if how.kind == "HARD_EXAMPLE":
        indices[(indices > UNMATCHED) & ~chosen] = UNMATCHED
    return Match(indices, found.overlaps), np.flatnonzero((found.indices == UNMATCHED) & chosen)
