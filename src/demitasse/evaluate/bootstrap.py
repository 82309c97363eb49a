"""How sure a figure is, and a difference of two: the bootstrap (Efron, 1979), by percentiles.

Two networks are compared on the same pictures, and each draw takes the same pictures for both: what makes a picture
hard for both cancels out, so that a small loss shows with few pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Estimate", "draws", "estimate", "paired", "paired_shares"]

SURE = 0.95
"""Share of draws that the interval holds."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the interval that holds 95 % of its draws; NaN where there is none."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def estimate(value: float, drawn: Floats) -> Estimate:
    """A figure with its interval; draws that are not numbers do not count."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(drawn, [(1 - SURE) / 2, (1 + SURE) / 2])
    return Estimate(value, float(low), float(high))


def draws(pictures: int, number: int, seed: int) -> npt.NDArray[np.int64]:
    """How often each picture is drawn, ``(number, pictures)``."""
    chances = np.full(pictures, 1 / pictures)
    return np.random.default_rng(seed).multinomial(pictures, chances, size=number)


def paired_shares(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_] | None, number: int, seed: int
) -> tuple[Estimate, Estimate | None, Estimate | None]:
    """The share of what is right, of one network and of another, and the second less the first.

    Only how many are right in both, in one and in the other counts, so that is what is drawn.
    """
    size = len(first)
    other = first if second is None else second
    cells = np.array([(first & other).sum(), (first & ~other).sum(), (~first & other).sum(), (~first & ~other).sum()])
    drawn = np.random.default_rng(seed).multinomial(size, cells / size, size=number) / size
    one = estimate(float(first.mean()), drawn[:, 0] + drawn[:, 1])
    if second is None:
        return one, None, None
    two = estimate(float(second.mean()), drawn[:, 0] + drawn[:, 2])
    return one, two, estimate(float(second.mean() - first.mean()), drawn[:, 2] - drawn[:, 1])


def paired(
    value: Callable[[npt.NDArray[np.int64] | None], tuple[Floats, Floats | None]], weights: npt.NDArray[np.int64]
) -> tuple[Estimate, Estimate | None, Estimate | None]:
    """The same for any figure: ``value`` gives that of the first and of the second network (``None`` without one) for
    each row of weights, or for the whole (``None``)."""
    (one, two), (drawn_one, drawn_two) = value(None), value(weights)
    first = estimate(float(one[0]), drawn_one)
    if two is None or drawn_two is None:
        return first, None, None
    second = estimate(float(two[0]), drawn_two)
    return first, second, estimate(float(two[0] - one[0]), drawn_two - drawn_one)
