"""As good as it gets within so many bytes.

The slope at which a file would have the size is looked for among predicted sizes, which cost little; then a real one is
made, which says how far predictions are off. Two real files are enough, as a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from demitasse.errors import OptionError
from demitasse.net import Net
from demitasse.plan.quality import at_quality
from demitasse.plan.quantization import Attempt, Quantization, stored_size

__all__ = ["COARSEST", "FINEST", "within_bytes"]

LEAST: Final = 10.0
"""Decibels at the outputs, below which a network says nothing any more."""

COARSEST: Final = 3.0
FINEST: Final = 90.0
"""Decibels that are expected at the ends of a search. What comes out is better, as a rule, and beyond the finest
float32 itself is hardly closer."""

ACCURACY: Final = 0.01
"""How much smaller than wanted a file may be."""

AIM: Final = 0.996
"""Of the bytes there are, what is aimed for: it must not be more, and may be 1 % less."""

PASSES: Final = 6
STEPS: Final = 24

Function = Callable[[float], float]

CLOSE: Final = 0.0005
"""Of the bytes wanted, how close a predicted size has to be."""


def within_bytes(work: Quantization, nbytes: int) -> tuple[Net, list[Attempt]]:
    """The network with the finest steps whose .demi has no more bytes, and everything tried, the last of which it is.

    OptionError for a size that cannot be had without losing all that the outputs say: it names the smallest there is.
    """
    finest, coarsest = work.division.slope(FINEST), work.division.slope(COARSEST)
    low, high = finest, coarsest
    tries: list[Attempt] = []
    best: tuple[Net, Attempt] | None = None
    for _ in range(PASSES):
        slope = slope_for(work, AIM * nbytes, (low, high), tries)
        if tries and slope == tries[-1].slope:
            break
        net, attempt = work.tried(slope)
        tries.append(attempt)
        if attempt.nbytes > nbytes:
            low = slope
        else:
            best = net, attempt
            high = slope
            if attempt.nbytes >= (1 - ACCURACY) * nbytes or slope == finest:
                break
        del net
    if best is None or best[1].snr < LEAST:
        net, least = at_quality(work, LEAST)
        fewest = stored_size(net)
        raise OptionError(
            f"{nbytes:,} bytes cannot be reached: at {fewest:,}, the fewest, the outputs are down to "
            f"{least[-1].snr:.3g} dB of signal to noise"
        )
    return best[0], [*(one for one in tries if one is not best[1]), best[1]]


def slope_for(work: Quantization, nbytes: float, ends: tuple[float, float], tries: Sequence[Attempt]) -> float:
    """The slope of a predicted size, or the nearest between the ends. ``tries``: what is known of real sizes."""
    rates, steps = work.rates, work.division.steps
    known = sorted((one.slope, rates.scale_of(steps(one.slope), one.nbytes)) for one in tries)
    places, scales = zip(*known, strict=True) if known else ((0.0,), (1.0,))

    def guess(slope: float) -> float:
        return rates.guess(steps(slope)) - nbytes

    def over(slope: float) -> float:
        return rates.nbytes(steps(slope), float(np.interp(slope, places, scales))) - nbytes

    # A weight takes at most one bit less at twice the step: no step of the search goes too far.
    fall, near = -max(1.0, sum(job.tensor.size for job in work.division.jobs) / 8), CLOSE * nbytes
    start = tries[-1].slope if tries else zero(guess, ends, sum(ends) / 2, fall, near)
    return float(zero(over, ends, start, fall, near))


def zero(function: Function, ends: tuple[float, float], start: float, fall: float, near: float) -> float:
    """Where a falling function is next to nothing: the secant method, between ends that close in. ``fall``: about its
    derivative. The end where it is closest to it, if it has no zero between them."""
    low, high = ends
    at, before = start, None
    for _ in range(STEPS):
        value = function(at)
        if abs(value) <= near or (value > 0 and at == high) or (value < 0 and at == low):
            return at
        if before is not None and (value - before[1]) * (at - before[0]) < 0:
            fall = (value - before[1]) / (at - before[0])
        before = at, value
        low, high = (at, high) if value > 0 else (low, at)
        following = at - value / fall
        if not low < following < high:
            end = high if value > 0 else low
            following = end if end in ends else (low + high) / 2
        at = following
    return at
