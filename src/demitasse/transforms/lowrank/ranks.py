"""Which rank for which layer: by kept energy, or such that the whole network fits a budget and loses least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from demitasse.errors import OptionError
from demitasse.layers import UNKNOWN
from demitasse.transforms.lowrank.method import Method

__all__ = ["Choice", "Measure", "by_budget", "by_energy"]

Measure = Literal["macs", "params"]

HALVINGS: Final = 80
"""Of the interval in which the price of a multiplication is looked for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A method for one layer, and its rank."""

    method: Method
    rank: int

    @property
    def loss(self) -> float:
        """Squared error as a share."""
        return float(self.method.errors[self.rank])

    def cost(self, measure: Measure) -> int:
        """What it costs, of weights or of multiplications."""
        return self.method.macs(self.rank) if measure == "macs" else self.method.parameters(self.rank)


def by_energy(methods: Sequence[Method], energy: float) -> Choice:
    """The cheapest method that keeps that share of the energy, at the least rank that does."""
    choices = []
    for method in methods:
        enough = np.flatnonzero(method.errors <= 1.0 - energy)
        choices.append(Choice(method, max(1, int(enough[0]) if len(enough) else len(method.errors) - 1)))
    measure: Measure = "params" if any(one.cost("macs") is UNKNOWN for one in choices) else "macs"
    return min(choices, key=lambda one: one.cost(measure))


@dataclass(frozen=True, slots=True)
class Ladder:
    """Everything that could become of one layer; the last entry is to keep it as it is (no choice)."""

    choices: tuple[Choice | None, ...]
    costs: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]

    @classmethod
    def of(cls, methods: Sequence[Method], measure: Measure) -> Ladder:
        """All ranks of all methods up to break-even."""
        choices = [Choice(method, rank) for method in methods for rank in range(1, method.break_even + 1)]
        whole = methods[0].target.placed.macs() if measure == "macs" else methods[0].weights
        costs = [*(one.cost(measure) for one in choices), whole]
        return cls((*choices, None), np.array(costs, np.float64), np.array([*(one.loss for one in choices), 0.0]))

    def best(self, price: float) -> int:
        """What costs least at a price; the cheaper of two alike."""
        return int(np.lexsort((self.costs, self.losses + price * self.costs))[0])


def by_budget(candidates: Mapping[int, Sequence[Method]], measure: Measure, budget: int) -> dict[int, Choice]:
    """The choice for each layer (none: keep it) with the least sum of losses whose costs sum up to at most ``budget``.

    What costs the same per multiplication everywhere (one Lagrange multiplier) is found by bisection; what is left of
    the budget then is spent where it helps most. OptionError if even the lowest ranks cost more.
    """
    ladders = {key: Ladder.of(methods, measure) for key, methods in candidates.items()}
    least = sum(float(ladder.costs.min()) for ladder in ladders.values())
    if least > budget:
        what = "multiply-accumulates" if measure == "macs" else "weights"
        raise OptionError(
            f"the layers to factorize keep at least {least:.3g} {what}, and {max(budget, 0):.3g} are left"
        )
    low, high = 0.0, 1e6
    if spent(ladders, {key: ladder.best(0.0) for key, ladder in ladders.items()}) <= budget:
        high = 0.0
    for _ in range(HALVINGS if high else 0):
        middle = (low * high) ** 0.5 if low else high * 1e-3
        fits = spent(ladders, {key: ladder.best(middle) for key, ladder in ladders.items()}) <= budget
        low, high = (low, middle) if fits else (middle, high)
        if not low and high < 1e-30:
            break
    places = {key: ladder.best(high) for key, ladder in ladders.items()}
    if spent(ladders, places) > budget:
        places = {key: int(ladder.costs.argmin()) for key, ladder in ladders.items()}
    while (step := improvement(ladders, places, budget - spent(ladders, places))) is not None:
        places[step[0]] = step[1]
    found = {key: ladders[key].choices[place] for key, place in places.items()}
    return {key: choice for key, choice in found.items() if choice is not None}


def spent(ladders: Mapping[int, Ladder], places: Mapping[int, int]) -> float:
    """What all choices cost together."""
    return sum(float(ladders[key].costs[place]) for key, place in places.items())


def improvement(ladders: Mapping[int, Ladder], places: Mapping[int, int], left: float) -> tuple[int, int] | None:
    """The layer and the place on its ladder that gain most for what they cost, with that much left to spend."""
    best: tuple[float, int, int] | None = None
    for key, place in places.items():
        ladder = ladders[key]
        extra: npt.NDArray[Any] = ladder.costs - ladder.costs[place]
        gain = ladder.losses[place] - ladder.losses
        ratio = np.where((extra <= left) & (gain > 0), gain / np.maximum(extra, 1e-9), 0.0)
        chosen = int(ratio.argmax())
        if ratio[chosen] > 0 and (best is None or ratio[chosen] > best[0]):
            best = float(ratio[chosen]), key, chosen
    return None if best is None else best[1:]
