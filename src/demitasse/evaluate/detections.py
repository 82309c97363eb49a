"""Detections side by side: rows of Caffe's DetectionOutput, matched one to one by overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError

__all__ = ["Agreement", "agreement", "boxes_of", "overlap"]

Boxes = npt.NDArray[np.float32]
"""Rows of (label, score, left, top, right, bottom), the corners as shares of the picture."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two lists of detections compare."""

    expected: int
    matched: int
    added: int
    worst_overlap: float = 1.0
    worst_score: float = 0.0

    @property
    def same(self) -> bool:
        """Every box found again, none added."""
        return self.matched == self.expected and not self.added

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.expected + other.expected,
            self.matched + other.matched,
            self.added + other.added,
            min(self.worst_overlap, other.worst_overlap),
            max(self.worst_score, other.worst_score),
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
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    common = sides.prod(-1)
    union = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1) - common
    shares: npt.NDArray[np.float64] = (a == b).all(axis=-1).astype(np.float64)
    np.divide(common, union, out=shares, where=union > 0)
    return shares


def agreement(expected: Boxes, found: Boxes, least: float = 0.9) -> Agreement:
    """Match boxes of the same label, best overlap first; a pair counts from an overlap of ``least``."""
    shares = overlap(expected, found) * (expected[:, None, 0] == found[None, :, 0])
    pairs = list(best_pairs(shares, least))
    scores = [abs(float(expected[i, 1] - found[j, 1])) for i, j in pairs]
    return Agreement(
        expected=len(expected),
        matched=len(pairs),
        added=len(found) - len(pairs),
        worst_overlap=min((float(shares[i, j]) for i, j in pairs), default=1.0),
        worst_score=max(scores, default=0.0),
    )


def best_pairs(shares: npt.NDArray[np.float64], least: float) -> Iterable[tuple[int, int]]:
    """Row and column of the largest share, then of the largest in what is left, as long as it is ``least``."""
    left = shares.copy()
    while left.size and left.max() >= least:
        row, column = divmod(int(left.argmax()), left.shape[1])
        yield row, column
        left[row, :] = -1
        left[:, column] = -1
