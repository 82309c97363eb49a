"""A blob of weights on a grid while it learns: whole levels that the network computes with, latents behind them, and a
step that learns, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from demitasse.net import Levels
from demitasse.train.shaping import State
from demitasse.train.updates import Parameter

__all__ = ["Grid"]

MAGNITUDE_BITS: Final = 1.5
"""What one level more costs, about, beyond the first."""

SIGN_BITS: Final = 1.0

PRIOR: Final = 2.0
"""For so many weights the density of a row or column is taken to be that of the whole blob, before any is seen."""


@dataclass(slots=True, eq=False)
class Grid:
    """``latents``: in steps. ``levels``: these rounded, in floats. ``costs``: bits of going from zero to one.
    ``log_step`` and the two means of its Adam; ``shown``: the step of the weights that the network has now."""

    parameter: Parameter
    latents: torch.Tensor
    levels: torch.Tensor
    costs: torch.Tensor
    log_step: float
    shown: float
    learns: bool
    means: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, parameter: Parameter, step: float, *, learns: bool) -> Grid:
        """A parameter's weights on a grid of that step; from now on they are what is on the grid."""
        latents = parameter.values.detach() / step
        grid = cls(parameter, latents, latents.clone(), latents, math.log(step), step, learns)
        grid.show()
        grid.reprice()
        return grid

    @property
    def values(self) -> torch.Tensor:
        """The weights that the network computes with."""
        return self.parameter.values.detach()

    @property
    def step(self) -> float:
        """The distance of two levels, as float32."""
        return float(np.float32(math.exp(self.log_step)))

    def show(self) -> None:
        """Give the network what is on the grid."""
        self.shown = self.step
        torch.round(self.latents, out=self.levels)
        torch.mul(self.levels, self.shown, out=self.values)

    def follow(self) -> None:
        """Latents move as far as an update has moved the weights that the network has."""
        self.latents.add_(self.values, alpha=1 / self.shown).sub_(self.levels)
        self.show()

    def reprice(self) -> None:
        """Costs by the share of weights in use in the row and in the column, as they are now."""
        rows = self.levels.reshape(self.levels.shape[0], -1) if self.levels.dim() > 1 else self.levels.reshape(1, -1)
        used = (rows != 0).float()
        density = used.mean().clamp_min(1e-4)
        by_row = (used.sum(1, keepdim=True) + PRIOR * density) / (used.shape[1] + PRIOR)
        by_column = (used.sum(0, keepdim=True) + PRIOR * density) / (used.shape[0] + PRIOR)
        share = (by_row * (by_column / density)).clamp_(1e-4, 0.9)
        costs = torch.log2((1 - share) / share).add_(SIGN_BITS).clamp_min_(0.1)
        self.costs = costs.reshape(self.levels.shape)

    def add_price(self, gradient: torch.Tensor, price: float) -> None:
        """Add the gradient of the bits at that price to one with respect to the weights."""
        bits = torch.where(self.latents.abs() < 1, self.costs, MAGNITUDE_BITS)
        gradient.add_(bits.copysign_(self.latents), alpha=price / self.shown)

    def learn_step(self, gradient: torch.Tensor, rate: float, iteration: int) -> None:
        """One step of Adam on the logarithm of the step, from the gradient with respect to the weights."""
        if not self.learns:
            return
        # A weight is step × level: it grows by itself where the logarithm of the step grows by one.
        total = float(torch.dot(gradient.reshape(-1), self.values.reshape(-1)))
        first, second = 0.9 * self.means[0] + 0.1 * total, 0.999 * self.means[1] + 0.001 * total * total
        self.means = first, second
        corrected = first / (1 - 0.9 ** (iteration + 1))
        size = math.sqrt(second / (1 - 0.999 ** (iteration + 1))) + 1e-12
        self.log_step -= rate * corrected / size

    def integers(self) -> npt.NDArray[np.int32]:
        """The levels as the coder wants them."""
        return self.levels.to(torch.int32).cpu().numpy()

    def coded(self, shape: Sequence[int]) -> Levels:
        """The weights for a network's blob of that shape."""
        levels = self.integers().reshape(shape)
        kind = np.int8 if np.abs(levels).max(initial=0) < 128 else np.int16
        return Levels(levels.astype(kind), np.array([self.shown], np.float32))

    def state(self) -> State:
        """What a continued run needs."""
        return {
            "latent": self.latents.cpu().numpy(),
            "costs": self.costs.cpu().numpy(),
            "step": np.array([self.log_step, *self.means]),
        }

    def restore(self, state: State) -> None:
        """Continue from what `state` gave."""
        self.latents.copy_(torch.from_numpy(np.array(state["latent"])))
        self.costs.copy_(torch.from_numpy(np.array(state["costs"])))
        self.log_step, *means = (float(number) for number in state["step"])
        self.means = means[0], means[1]
        self.show()
