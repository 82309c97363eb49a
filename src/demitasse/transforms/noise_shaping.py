"""Where the errors of one matrix go: finer steps for rows that matter, feedback within rows.

A row's step is the matrix's own times a factor, such that every row costs the outputs as much; feedback and the weights
of distances from targets are those of the sensitivity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from demitasse.codec.quantizer import Importance
from demitasse.transforms.sensitivity import Sensitivity
from demitasse.transforms.sensitivity.grid import exact, snapped

__all__ = ["NO_SHAPING", "Shaping", "row_factors", "shaping_of"]

Floats = npt.NDArray[np.float32]

LEAST: Final = 0.05
"""What a row counts for at least, as a share of the mean row: it may matter on other pictures."""

OCTAVE: Final = 4
"""Rows' factors are powers of two to this part of an octave: few different numbers are stored small."""


@dataclass(frozen=True, slots=True, eq=False)
class Shaping:
    """``relative``: factors of the rows' steps; ``importance`` and ``feedback``: as `quantize` takes them."""

    relative: Floats | None = None
    importance: Importance | None = None
    feedback: Floats | None = None

    def steps(self, step: float, finest: float) -> float | Floats:
        """Of the rows, none finer than the quantiser takes."""
        return step if self.relative is None else np.maximum(self.relative * np.float32(step), np.float32(finest))


NO_SHAPING: Final = Shaping()


def shaping_of(name: str, index: int, known: Sensitivity) -> Shaping:
    """Of a layer's tensor, a matrix; `NO_SHAPING` where nothing is known."""
    found = known.feedback.get(name) if index == 0 else None
    if found is None:
        return NO_SHAPING
    relative, _ = row_factors(exact(snapped(known.costs[name, index].rows)), known.trust)
    return Shaping(relative, Importance(columns=found.weights), found.coefficients)


def row_factors(costs: npt.NDArray[np.float64], trust: float) -> tuple[Floats, float]:
    """Factors of the steps of rows, and what a row costs on the average with them. ``costs``: of the rows, not all
    zero. ``trust``: how far factors follow them, from 0 to 1."""
    damped = [float(cost) + LEAST * math.fsum(costs) / len(costs) for cost in costs]
    logs = [math.log2(cost) for cost in damped]
    typical = math.fsum(logs) / len(logs)
    factors = [2.0 ** (round(OCTAVE * trust * (typical - log) / 2) / OCTAVE) for log in logs]
    mean = math.fsum(cost * factor**2 for cost, factor in zip(damped, factors, strict=True)) / len(logs)
    return np.array(factors, np.float32), mean
