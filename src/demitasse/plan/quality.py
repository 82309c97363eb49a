"""As small as it gets with so many decibels of signal to noise at the outputs.

The sensitivities expect errors to add up as if each were alone; mostly they do less harm than that. So what comes out
is measured, and the slope moved until it is what was asked for.
"""

from __future__ import annotations

from typing import Final

from demitasse.net import Net
from demitasse.plan.quantization import Attempt, Quantization

__all__ = ["at_quality"]

BETTER: Final = 6.0
"""Decibels that come out beyond what is expected, about: where the search begins."""

CLOSE: Final = 0.8
"""Decibels that what comes out may be from what was asked for."""

OCTAVE: Final = 6.0
"""Decibels that twice the step costs, about."""

MEASURABLE: Final = 75.0
"""Decibels beyond which the arithmetic of the measurement adds noise of its own."""

PASSES: Final = 4


def at_quality(work: Quantization, quality: float) -> tuple[Net, list[Attempt]]:
    """The network, and everything tried, the last of which it is."""
    if work.fidelity is None or quality > MEASURABLE:
        net, attempt = work.at(work.division.slope(quality))
        return net, [attempt]
    slope = work.division.slope(quality - BETTER)
    net, attempt = work.at(slope)
    tries = [attempt]
    best = net, attempt
    while abs(tries[-1].snr - quality) > CLOSE and len(tries) < PASSES:
        net, attempt = work.at(following(tries, quality))
        tries.append(attempt)
        if abs(attempt.snr - quality) < abs(best[1].snr - quality):
            best = net, attempt
    return best[0], [*(one for one in tries if one is not best[1]), best[1]]


def following(tries: list[Attempt], quality: float) -> float:
    """The next slope: by what is missing from the last one, but between what was too good and what was not."""
    last = tries[-1]
    slope = last.slope + (last.snr - quality) / OCTAVE
    good = [one.slope for one in tries if one.snr >= quality]
    bad = [one.slope for one in tries if one.snr < quality]
    if good and bad and max(good) < min(bad) and not max(good) < slope < min(bad):
        return (max(good) + min(bad)) / 2
    return slope
