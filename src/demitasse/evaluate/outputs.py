"""Outputs side by side: what a network gave, what its smaller self gives, and how far apart that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from demitasse.evaluate.detections import Agreement, agreement, boxes_of
from demitasse.evaluate.weights import decibels

__all__ = ["Kind", "OutputError", "output_error"]

Kind = Literal["values", "classes", "detections"]
"""How to judge an output: as numbers; by the class that wins, too; by its boxes only."""

Arrays = Sequence[npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class OutputError:
    """One output over all pictures: sums of squares of the original and of the difference, the largest difference.

    ``top1``: in how many of ``decisions`` places (pictures, or pixels of a segmentation) the same class wins.
    ``boxes``: for detections, where the numbers mean nothing (another order of equal boxes is no error).
    """

    name: str
    kind: Kind
    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    top1: int = 0
    decisions: int = 0
    boxes: Agreement | None = None

    @property
    def snr(self) -> float:
        """Signal to noise in dB; infinite for equal values, and for detections."""
        return decibels(self.signal, self.noise)

    @property
    def relative(self) -> float:
        """Length of the difference over length of the original."""
        return (self.noise / self.signal) ** 0.5 if self.signal > 0 else (0.0 if self.noise == 0 else float("inf"))


def output_error(name: str, kind: Kind, expected: Arrays, found: Arrays, axis: int = 1) -> OutputError:
    """Compare one output, one array per picture; ``axis``: that of the classes.

    Different shapes are infinitely far apart (but for detections).
    """
    if kind == "detections":
        sums = [agreement(boxes_of(a), boxes_of(b)) for a, b in zip(expected, found, strict=True)]
        return OutputError(name, kind, boxes=sum(sums, Agreement(0, 0, 0)))
    if [a.shape for a in expected] != [b.shape for b in found]:
        return OutputError(name, kind, 1.0, float("inf"), float("inf"))
    signal = noise = largest = 0.0
    top1 = decisions = 0
    for a, b in zip(expected, found, strict=True):
        wide, difference = a.astype(np.float64), b.astype(np.float64) - a
        signal += float(np.vdot(wide, wide))
        noise += float(np.vdot(difference, difference)) if np.isfinite(difference).all() else float("inf")
        largest = max(largest, float(np.abs(difference).max(initial=0.0)))
        if kind == "classes" and -a.ndim <= axis < a.ndim:
            winners = a.argmax(axis=axis) == b.argmax(axis=axis)
            top1 += int(winners.sum())
            decisions += winners.size
    return OutputError(name, kind, signal, noise, largest, top1, decisions)
