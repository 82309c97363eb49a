"""Size against quality around what was chosen: what other targets would have come to, about.

No network is quantised for it. Sizes are those that the rates predict, held against the one real file; decibels are
those expected, moved by as much as the chosen ones came out better than expected.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from demitasse.plan.quantization import Attempt, Quantization

__all__ = ["around"]

OCTAVES: Final = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0)
"""Of the steps, from the chosen ones: about 6 dB each."""


def around(work: Quantization, chosen: Attempt) -> tuple[Attempt, ...]:
    """Points of the curve, none of which was tried. ``chosen`` has its real size."""
    steps, rates = work.division.steps, work.rates
    scale = rates.scale_of(steps(chosen.slope), chosen.nbytes)
    better = chosen.snr - work.division.quality(chosen.slope)
    return tuple(
        replace(
            chosen,
            slope=slope,
            snr=work.division.quality(slope) + better,
            nbytes=round(rates.nbytes(steps(slope), scale)),
            lost=None,
        )
        for slope in (chosen.slope + octave for octave in OCTAVES)
    )
