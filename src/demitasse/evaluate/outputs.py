"""Outputs side by side: what a network gave, what its smaller self gives, and how far apart that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from demitasse.evaluate.detections import Agreement, agreement, boxes_of
from demitasse.evaluate.weights import decibels

__all__ = ["Kind", "OutputError", "boxes_error", "output_error"]

Kind = Literal["values", "classes", "detections", "regions"]
"""How to judge an output: as numbers; by the class that wins, too; by its boxes only; or not by itself, because it is a
part of what boxes are made from (Faster R-CNN)."""

Arrays = Sequence[npt.NDArray[np.float32]]

CLASSES = 5
"""The winner of one network counts as found again if it is among so many best of the other."""


@dataclass(frozen=True, slots=True)
class OutputError:
    """One output over all pictures.

    ``signal``, ``noise``: sums of squares of the original and of the difference; ``largest``: the largest difference;
    ``product``, ``power``: sums of original × candidate and of the candidate's squares; ``low``, ``high``: range of the
    original; ``count``: numbers. ``top1``, ``top5``: in how many of ``decisions`` places (pictures, or pixels of a
    segmentation) the original's winner wins again, or is among the five best. ``boxes``: for detections, where the
    numbers mean nothing (another order of equal boxes is no error).
    """

    name: str
    kind: Kind
    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    top1: int = 0
    decisions: int = 0
    boxes: Agreement | None = None
    product: float = 0.0
    power: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    count: int = 0
    top5: int = 0

    @property
    def snr(self) -> float:
        """Signal to noise in dB; infinite for equal values, and for detections."""
        return decibels(self.signal, self.noise)

    @property
    def relative(self) -> float:
        """Length of the difference over length of the original (relative L2)."""
        return (self.noise / self.signal) ** 0.5 if self.signal > 0 else (0.0 if self.noise == 0 else float("inf"))

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between the two; ``None`` if one is zero throughout."""
        if self.noise == 0:
            return 1.0 if self.signal > 0 else None
        length = math.sqrt(self.signal) * math.sqrt(self.power)
        return max(-1.0, min(1.0, self.product / length)) if 0 < length < math.inf else None

    @property
    def psnr(self) -> float:
        """Peak signal to noise in dB, the peak being the range of the original; infinite for equal values."""
        extent = self.high - self.low if self.count else 0.0
        return decibels(extent**2 * self.count, self.noise)

    def within(self, tolerance: float) -> bool:
        """Whether the relative error is no more than that; for detections, whether each box has its partner and the
        scores drift by no more."""
        if self.boxes is not None:
            return self.boxes.paired and self.boxes.score_drift <= tolerance
        return self.relative <= tolerance


def output_error(name: str, kind: Kind, expected: Arrays, found: Arrays, axis: int = 1) -> OutputError:
    """Compare one output, one array per picture; ``axis``: that of the classes.

    Different shapes are infinitely far apart (but for detections).
    """
    if kind == "detections":
        return boxes_error(name, [boxes_of(a) for a in expected], [boxes_of(b) for b in found])
    if [a.shape for a in expected] != [b.shape for b in found]:
        return OutputError(name, kind, 1.0, float("inf"), float("inf"))
    signal = noise = largest = product = power = 0.0
    low, high, counts = math.inf, -math.inf, np.zeros(3, np.int64)
    for a, b in zip(expected, found, strict=True):
        wide, other = a.astype(np.float64), b.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            difference = other - wide
            finite = bool(np.isfinite(difference).all())
            signal += float(np.vdot(wide, wide))
            noise += float(np.vdot(difference, difference)) if finite else math.inf
            product += float(np.vdot(wide, other))
            power += float(np.vdot(other, other))
            largest = max(largest, float(np.abs(difference).max(initial=0.0)) if finite else math.inf)
        low, high = min(low, float(wide.min(initial=math.inf))), max(high, float(wide.max(initial=-math.inf)))
        if kind == "classes" and -a.ndim <= axis < a.ndim:
            counts += winners(a, b, axis)
    top1, top5, decisions = (int(value) for value in counts)
    size = sum(a.size for a in expected)
    return OutputError(name, kind, signal, noise, largest, top1, decisions, None, product, power, low, high, size, top5)


def boxes_error(name: str, expected: Sequence[Any], found: Sequence[Any]) -> OutputError:
    """Compare boxes (rows of label, score and corners), one array per picture."""
    sums = [agreement(a, b) for a, b in zip(expected, found, strict=True)]
    return OutputError(name, "detections", boxes=sum(sums, Agreement(0, 0, 0)))


def winners(expected: npt.NDArray[Any], found: npt.NDArray[Any], axis: int) -> tuple[int, int, int]:
    """In how many places the winner wins again, is among the best of the other, and how many places there are."""
    best = np.expand_dims(expected.argmax(axis=axis), axis)
    again = best == np.expand_dims(found.argmax(axis=axis), axis)
    rivals = (found > np.take_along_axis(found, best, axis)).sum(axis=axis)
    return int(again.sum()), int(((rivals < CLASSES) | again.squeeze(axis)).sum()), again.size
