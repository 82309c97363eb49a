"""Training for bytes: weights live on a grid, and what coding them costs is part of the loss.

A weight is a latent number, rounded to a multiple of its tensor's step in every pass; the gradient goes straight
through the rounding (Bengio et al., arXiv 1308.3432), and the step learns, too (LSQ, Esser et al., arXiv 1902.08153).
The price of bits is put on latents: what going from zero to one level costs in this row and this column, as an adaptive
coder would see them, and a constant for every level more. Every now and then the real coder says how many bytes there
are, and a controller moves the price such that they fall to the size that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from demitasse.codec.levels import Layout, LevelTensor, encode
from demitasse.errors import OptionError
from demitasse.net import Levels, Net, Tensor
from demitasse.train.shaping import Attached, State, matrices

if TYPE_CHECKING:
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["Rate"]

COUNTS: Final = 200
"""How often the real bytes are counted in a run, at least; in a long one every `SELDOM` iterations."""

SELDOM: Final = 40

STEEPEST: Final = 1.15
"""By what the price changes at most from one count to the next."""

FALLING: Final = (0.1, 0.6)
"""Between these shares of the run the size falls from what it is to what was asked for."""

FROZEN: Final = 0.93
"""From this share of the run on the price stays."""

MAGNITUDE_BITS: Final = 1.5
"""What one level more costs, about, beyond the first."""

SIGN_BITS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """``bytes``: of all coded weights in the end. ``price``: where the price of a bit begins, in units of the loss.
    ``step``: where the step begins, as a multiple of the standard deviation of a tensor's weights. ``step_rate``: of
    learning its logarithm; 0: it stays. ``grid``: the step of biases. ``layers``: names or patterns; none: every layer
    with weights, and all biases.
    """

    bytes: int
    price: float = 1e-6
    step: float = 1.0
    step_rate: float = 1e-3
    grid: float = 1 / 16
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.price <= 0 or self.step <= 0 or self.step_rate < 0 or self.grid <= 0:
            raise OptionError("rate needs bytes of at least 1, and price, step and grid above 0")

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        chosen = matrices(solver, self.layers)
        biases = [p for p in solver.learned if p.values.dim() < 2 and p.lr_mult] if not self.layers else []
        return AttachedRate(self, solver, [Grid.of(p, self) for p in (*chosen, *biases)])


@dataclass(slots=True, eq=False)
class Grid:
    """A blob of weights on a grid. ``latent``: in units of the weights; ``shown``: what the network was last given to
    compute with; ``log_step`` and its Adam's two means."""

    parameter: Parameter
    latent: torch.Tensor
    shown: torch.Tensor
    log_step: float
    learns: bool
    means: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, parameter: Parameter, options: Rate) -> Grid:
        """Weights on the grid that the options say."""
        values = parameter.values.detach()
        matrix = values.dim() > 1
        step = options.step * max(float(values.std()), 1e-6) if matrix else options.grid
        return cls(parameter, values.clone(), values.clone(), math.log(step), matrix and options.step_rate > 0)

    @property
    def values(self) -> torch.Tensor:
        """The weights that the network computes with."""
        return self.parameter.values.detach()

    @property
    def step(self) -> float:
        """The distance of two levels, as float32."""
        return float(np.float32(math.exp(self.log_step)))

    def levels(self) -> torch.Tensor:
        """Integers, in float."""
        return torch.round(self.latent / self.step)

    def show(self) -> None:
        """Give the network what is on the grid."""
        torch.mul(self.levels(), self.step, out=self.shown)
        self.values.copy_(self.shown)

    def prices(self) -> torch.Tensor:
        """The gradient of the bits with respect to the latents, in bits per unit of weight."""
        units = self.latent / self.step
        rows = units.reshape(units.shape[0], -1) if units.dim() > 1 else units.reshape(1, -1)
        used = (rows.abs() >= 0.5).float()
        density = used.mean().clamp_min(1e-4)
        # The share of used weights in the row and in the column, each with a little of the whole tensor's mixed in.
        by_row = (used.sum(1, keepdim=True) + 2 * density) / (used.shape[1] + 2)
        by_column = (used.sum(0, keepdim=True) + 2 * density) / (used.shape[0] + 2)
        share = (by_row * by_column / density).clamp(1e-4, 0.9)
        first = torch.log2((1 - share) / share) + SIGN_BITS
        gradient = torch.where(rows.abs() < 1, first.clamp_min(0.1), torch.full_like(share, MAGNITUDE_BITS))
        return (gradient * rows.sign() / self.step).reshape(units.shape)

    def learn_step(self, gradient: torch.Tensor, rate: float, iteration: int) -> None:
        """One step of Adam on the logarithm of the step, from the gradient with respect to the weights."""
        units = self.latent / self.step
        # A weight is step × round(latent / step): with the latent held, it moves by level − latent / step.
        total = float((gradient * (torch.round(units) - units)).sum()) * self.step
        first, second = 0.9 * self.means[0] + 0.1 * total, 0.999 * self.means[1] + 0.001 * total * total
        self.means = first, second
        corrected = first / (1 - 0.9 ** (iteration + 1))
        size = math.sqrt(second / (1 - 0.999 ** (iteration + 1))) + 1e-12
        self.log_step -= rate * corrected / size


class AttachedRate(Attached):
    """Prices at work. ``price``: of a bit, now. ``counted``: bytes at the last count."""

    def __init__(self, options: Rate, solver: Solver, grids: Sequence[Grid]) -> None:
        self.options = options
        self.solver = solver
        self.grids = list(grids)
        self.price = options.price
        self.counted = 0
        self.begun = 0
        self.every = max(1, min(SELDOM, solver.settings.max_iter // COUNTS))

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        return self.solver.iteration / max(1, self.solver.settings.max_iter)

    @torch.no_grad()
    def before_pass(self) -> None:
        if self.solver.iteration % self.every == 0:
            self.count()
        for grid in self.grids:
            grid.show()

    @torch.no_grad()
    def before_update(self) -> None:
        for grid in self.grids:
            gradient = grid.parameter.values.grad
            if gradient is None:
                continue
            if grid.learns:
                rate = self.options.step_rate * self.solver.relative_rate
                grid.learn_step(gradient, rate, self.solver.iteration)
            gradient.add_(grid.prices(), alpha=self.price * self.solver.settings.iter_size)

    @torch.no_grad()
    def after_update(self, rate: float) -> None:
        for grid in self.grids:
            # What the network computed with was the rounded weight; the latent moves by as much as it did.
            grid.latent.add_(grid.values - grid.shown)
            grid.show()

    def net(self, net: Net) -> Net:
        """With levels and steps in place of weights."""
        found = {grid.parameter.name: grid for grid in self.grids}

        def coded(name: str, tensor: Tensor) -> Tensor:
            if name not in found:
                return tensor
            levels = found[name].levels().to(torch.int32).cpu().numpy().reshape(tensor.shape)
            kind = np.int8 if np.abs(levels).max(initial=0) < 128 else np.int16
            return Levels(levels.astype(kind), np.array([found[name].step], np.float32))

        return net.with_layers(
            layer.with_tensors(coded(f"{layer.name}/{k}", tensor) for k, tensor in enumerate(layer.tensors))
            for layer in net.layers
        )

    def state(self) -> State:
        numbers = {"price": np.array([self.price, self.begun])}
        for grid in self.grids:
            numbers[f"latent/{grid.parameter.name}"] = grid.latent.cpu().numpy()
            numbers[f"step/{grid.parameter.name}"] = np.array([grid.log_step, *grid.means])
        return numbers

    def restore(self, state: State) -> None:
        self.price, self.begun = float(state["price"][0]), int(state["price"][1])
        for grid in self.grids:
            grid.latent.copy_(torch.from_numpy(np.array(state[f"latent/{grid.parameter.name}"])))
            grid.log_step, *means = (float(number) for number in state[f"step/{grid.parameter.name}"])
            grid.means = means[0], means[1]
            grid.show()

    def count(self) -> None:
        """The bytes that there are, and the price that follows from them."""
        self.counted = self.size()
        if not self.begun:
            self.begun = self.counted
        if not 0 < self.progress < FROZEN:
            return
        wanted = self.wanted()
        off = math.log(self.counted / wanted)
        self.price *= math.exp(max(-1.0, min(1.0, 2 * off)) * math.log(STEEPEST))

    def wanted(self) -> float:
        """The bytes that there should be now: falling by the same factor in every iteration."""
        begin, end = FALLING
        at = min(1.0, max(0.0, (self.progress - begin) / (end - begin)))
        return self.begun * math.pow(self.options.bytes / self.begun, at)

    def size(self) -> int:
        """What the coder makes of the levels, in bytes."""
        return len(encode([tensor_of(grid) for grid in self.grids]))


def tensor_of(grid: Grid) -> LevelTensor:
    """A grid's levels for the coder."""
    levels = grid.levels().to(torch.int32).cpu().numpy()
    return LevelTensor(levels, Layout.of(levels.shape))
