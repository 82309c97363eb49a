"""One step for each tensor, so that a bit spent anywhere lowers the error of the outputs by the same amount.

An error of mean square step² × c over a tensor costs the outputs cost × size × c × step². Where every tensor's rate
falls by one bit when its step doubles, the best division of the bits gives every weight of the network the same
cost × step² (reverse water-filling): step = k / √cost, with one k for the whole network. k follows from the quality.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["MARGIN", "Allocation", "Steps", "Weighed", "allocated"]

Allocation = Literal["sensitivity", "uniform"]
"""Steps by what errors cost at the outputs; or one absolute step for the whole network."""

NOISE = 0.55
"""Mean squared error of the trellis quantiser with its λ, in squared steps, where most weights are not zero."""

MARGIN = 0.0
"""Decibels by which the prediction is too good on the average of real networks, measured through OpenCV."""

OCTAVE = 128
"""Steps are powers of two to this part of an octave: rounding differences of sums never reach the file."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """One tensor: how many weights, their mean square, what a squared error of one costs (None: not known).

    ``share``: of weights that are not zero. Zeros stay zero, without an error.
    """

    size: int
    power: float
    cost: float | None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Steps:
    """``slope``: logarithm to base 2 of the network's k; ``costs``: what each tensor's step is taken from."""

    slope: float
    costs: Mapping[str, float]

    def __getitem__(self, key: str) -> float:
        return self.at(self.costs[key])

    def at(self, cost: float) -> float:
        """The step for errors of this cost."""
        return float(2 ** (round(OCTAVE * (self.slope - math.log2(cost) / 2)) / OCTAVE))


def allocated(
    tensors: Mapping[str, Weighed], quality: float, allocation: Allocation = "sensitivity", trust: float = 1.0
) -> Steps:
    """Steps for these tensors, for outputs with a signal-to-noise ratio of about ``quality`` dB.

    ``trust``: how far steps follow costs, between 0 (one absolute step) and 1.
    """
    known = with_costs(tensors)
    typical = geometric_mean([(t.size, t.cost) for t in known.values()]) or 1.0
    share = trust if allocation == "sensitivity" else 0.0
    costs = {key: typical * ((tensor.cost or typical) / typical) ** share for key, tensor in known.items()}
    wanted = 10 ** (-(quality + MARGIN) / 10)
    low, high = -60.0, 60.0
    for _ in range(64):
        middle = (low + high) / 2
        noise = sum(expected(tensor, 2**middle / math.sqrt(costs[key])) for key, tensor in known.items())
        low, high = (middle, high) if noise < wanted else (low, middle)
    return Steps(low, costs)


def expected(tensor: Weighed, step: float) -> float:
    """What the outputs suffer: the quantiser's error, but never more than if all weights were zero."""
    error = NOISE * step * step
    if error + tensor.power == 0 or tensor.cost is None:
        return 0.0
    error *= tensor.share
    return tensor.size * tensor.cost * error * tensor.power / (error + tensor.power)


def with_costs(tensors: Mapping[str, Weighed]) -> dict[str, Weighed]:
    """Costs for all: where not known the typical one; if none is known, all weights count alike."""
    typical = geometric_mean([(t.size, t.cost) for t in tensors.values() if t.cost])
    if typical is None:
        energy = sum(tensor.size * tensor.power for tensor in tensors.values())
        typical = 1 / energy if energy else 1.0
    return {
        key: replace(tensor, cost=typical if tensor.cost is None else max(tensor.cost, typical * 1e-6))
        for key, tensor in tensors.items()
    }


def geometric_mean(values: Sequence[tuple[int, float | None]]) -> float | None:
    """Of positive values with weights; None of nothing."""
    found = [(size, math.log(value)) for size, value in values if value]
    total = sum(size for size, _ in found)
    return math.exp(sum(size * value for size, value in found) / total) if total else None
