"""The order in which the Proposal layer sorts boxes: its own quicksort, which decides how equal scores come out.

Boxes that are too small all have score 0, so ties are common, and where they are among the best the order shows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["falling"]

Order = npt.NDArray[np.int64]


def falling(scores: npt.NDArray[np.float32], top: int) -> Order:
    """Indices of the ``top`` largest scores, falling."""
    order: Order = np.argsort(-scores, kind="stable")
    best = scores[order[: top + 1]]
    if not (best[1:] == best[:-1]).any():
        return order[:top]
    order = np.arange(len(scores))
    pending = [(0, len(scores))]
    while pending:
        begin, end = pending.pop()
        part = order[begin:end]
        middle = begin + partition(scores, part)
        if middle < begin:
            continue  # all equal: they stay as they are
        if begin < middle - 1:
            pending.append((begin, middle))
        if middle + 1 < min(top, end - 1):
            pending.append((middle + 1, end))
    return order[:top]


def partition(scores: npt.NDArray[np.float32], part: Order) -> int:
    """Larger scores than the first to the front, smaller ones to the back, in place; where the first is then.

    Pairs are exchanged from both ends towards the middle, and what is equal stays. Negative if all are equal.
    """
    values = scores[part]
    pivot = values[0]
    smaller, larger = np.flatnonzero(values < pivot), np.flatnonzero(values > pivot)[::-1]
    if not len(smaller) and not len(larger):
        return -1
    number = min(len(smaller), len(larger))
    crossed = np.flatnonzero(smaller[:number] > larger[:number])
    pairs = int(crossed[0]) if len(crossed) else number
    left, right = smaller[:pairs], larger[:pairs]
    part[left], part[right] = part[right], part[left]
    middle = max(int(larger[pairs]) if pairs < len(larger) else 0, int(left[-1]) if pairs else 0)
    part[0], part[middle] = part[middle], part[0]
    return middle
