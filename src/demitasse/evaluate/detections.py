"""Detections side by side: rows of Caffe's DetectionOutput, matched one to one by overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError

__all__ = ["Agreement", "Boxes", "agreement", "boxes_of", "overlap", "suppressed"]

Boxes = npt.NDArray[np.float32]
"""Rows of (label, score, left, top, right, bottom), the corners as shares of the picture."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two lists of detections compare.

    ``matched``, ``added``: boxes found again at an overlap (IoU) of 0.9, and boxes that match none; ``worst_overlap``
    and ``worst_score`` (difference of scores) are those of the matched. ``at_50``, ``at_75``: found again at a lesser
    overlap. ``drift``: sum of the differences of scores over the boxes ``at_50``.
    """

    expected: int
    matched: int
    added: int
    worst_overlap: float = 1.0
    worst_score: float = 0.0
    at_50: int = 0
    at_75: int = 0
    drift: float = 0.0

    @property
    def same(self) -> bool:
        """Every box found again, none added."""
        return self.matched == self.expected and not self.added

    @property
    def found(self) -> int:
        """Boxes in the second list."""
        return self.matched + self.added

    @property
    def score_drift(self) -> float:
        """Mean difference of scores over the boxes found again at an overlap of 0.5."""
        return self.drift / self.at_50 if self.at_50 else 0.0

    @property
    def paired(self) -> bool:
        """Every box found again at an overlap of 0.5, none added."""
        return self.at_50 == self.expected == self.found

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.expected + other.expected,
            self.matched + other.matched,
            self.added + other.added,
            min(self.worst_overlap, other.worst_overlap),
            max(self.worst_score, other.worst_score),
            self.at_50 + other.at_50,
            self.at_75 + other.at_75,
            self.drift + other.drift,
        )


def boxes_of(rows: npt.NDArray[np.float32], threshold: float = 0.5) -> Boxes:
    """The detections with a score of at least ``threshold`` in a ``(1, 1, n, 7)`` output of DetectionOutput."""
    if rows.ndim != 4 or rows.shape[3] != 7:
        raise NetError(f"an output of DetectionOutput should have shape 1 × 1 × n × 7, and has {rows.shape}")
    flat = rows.reshape(-1, 7)
    kept: Boxes = flat[(flat[:, 0] >= 0) & (flat[:, 2] >= threshold), 1:]
    return kept


def overlap(one: Boxes, other: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair, ``(len(one), len(other))``; of boxes without area, 1 for equal ones."""
    a, b = one[:, None, 2:].astype(np.float64), other[None, :, 2:].astype(np.float64)
    shares: npt.NDArray[np.float64] = (a == b).all(axis=-1).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # nets without training give boxes without end
        sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
        common = sides.prod(-1)
        union = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1) - common
        np.divide(common, union, out=shares, where=(union > 0) & (union < np.inf))
    return shares


def agreement(expected: Boxes, found: Boxes, least: float = 0.9) -> Agreement:
    """Match boxes of the same label, best overlap first; a pair counts from an overlap of ``least``."""
    shares = overlap(expected, found) * (expected[:, None, 0] == found[None, :, 0])
    pairs = list(best_pairs(shares, least))
    scores = drifts(expected, found, pairs)
    loosely = list(best_pairs(shares, 0.5))
    return Agreement(
        expected=len(expected),
        matched=len(pairs),
        added=len(found) - len(pairs),
        worst_overlap=min((float(shares[i, j]) for i, j in pairs), default=1.0),
        worst_score=max(scores, default=0.0),
        at_50=len(loosely),
        at_75=sum(1 for _ in best_pairs(shares, 0.75)),
        drift=sum(drifts(expected, found, loosely)),
    )


def drifts(expected: Boxes, found: Boxes, pairs: Iterable[tuple[int, int]]) -> list[float]:
    """How far the scores of paired boxes are apart."""
    return [abs(float(expected[i, 1] - found[j, 1])) for i, j in pairs]


def best_pairs(shares: npt.NDArray[np.float64], least: float) -> Iterable[tuple[int, int]]:
    """Row and column of the largest share, then of the largest in what is left, as long as it is ``least``."""
    left = shares.copy()
    while left.size and left.max() >= least:
        row, column = divmod(int(left.argmax()), left.shape[1])
        yield row, column
        left[row, :] = -1
        left[:, column] = -1


def suppressed(boxes: Boxes, most: float) -> Boxes:
    """Non-maximum suppression within each label: the best box, and none that overlaps a better one by more than
    ``most``. In the order of their scores."""
    order = np.argsort(-boxes[:, 1], kind="stable")
    boxes = boxes[order]
    kept: list[int] = []
    left = np.arange(len(boxes))
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        rival = boxes[left, 0] == boxes[best, 0]
        left = left[~(rival & (overlap(boxes[best : best + 1], boxes[left])[0] > most))]
    return boxes[kept]
