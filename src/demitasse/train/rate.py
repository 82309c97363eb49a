"""Training for bytes: weights live on a grid, and what coding them costs is part of the loss.

A weight is a step times a latent number that is rounded in every pass; the gradient goes straight through the rounding
(Bengio et al., arXiv 1308.3432), and the step of each blob learns, too. The price of bits is put on latents: what going
from zero to one level costs in this row and this column, as an adaptive coder would see them, and a constant for every
level more. Every now and then the real coder says how many bytes there are, and a controller moves the price such that
they fall to the size that was asked for.

Nothing is put on what a step is: a price that makes latents small lets the loss make steps large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch

from demitasse.codec.levels import Layout, LevelTensor, encode
from demitasse.codec.reader import Stored
from demitasse.errors import OptionError
from demitasse.net import Levels, Net, Tensor
from demitasse.train.grids import Grid
from demitasse.train.settled import by_use
from demitasse.train.shaping import Attached, State, matrices

if TYPE_CHECKING:
    from demitasse.train.solver import Solver

__all__ = ["GRID", "Rate"]

COUNTS: Final = 200
"""How often the real bytes are counted in a run, at least; in a long one every `SELDOM` iterations."""

SELDOM: Final = 100

REPRICED: Final = 10
"""After so many iterations the costs of levels follow the densities of rows and columns."""

STEEPEST: Final = 1.15
"""By what the price changes at most from one count to the next."""

PUSH: Final = 5.0
BRAKE: Final = 10.0
"""How strongly the price follows the logarithm of the excess in bytes, and its change since the last count."""

FALLING: Final = (0.1, 0.6)
"""Between these shares of the run the size falls from what it is to what was asked for. It is there early: what is left
then gets large steps at a high price, and learns on at a low one."""

FROZEN: Final = 0.93
"""From this share of the run on the price stays."""

GRID: Final = 1 / 16
"""The step of biases, unless another one is asked for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``bytes``: of all coded weights in the end. ``price``: where the price of a bit begins, in units of the loss.
    ``step``: where the step begins, as a multiple of the standard deviation of a blob's weights; weights that are given
    as levels with one step go on with theirs. ``step_rate``: of learning its logarithm; 0: it stays. ``grid``: the step
    of biases. ``layers``: names or patterns; none: every layer with weights, and all biases.
    """

    bytes: int
    price: float = 1e-5
    step: float = 2.0
    step_rate: float = 1e-3
    grid: float = GRID
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.price <= 0 or self.step <= 0 or self.step_rate < 0 or self.grid <= 0:
            raise OptionError("rate needs bytes of at least 1, and price, step and grid above 0")

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        chosen = matrices(solver, self.layers)
        biases = [p for p in solver.learned if p.values.dim() < 2 and p.lr_mult] if not self.layers else []
        given = steps_of(solver)
        return AttachedRate(
            self,
            solver,
            [Grid.of(p, given.get(p.name) or self.first_step(p.values), learns=self.step_rate > 0) for p in chosen]
            + [Grid.of(p, given.get(p.name) or self.grid, learns=False) for p in biases],
        )

    def first_step(self, values: torch.Tensor) -> float:
        """Where the step of a blob with these weights begins."""
        return self.step * max(float(values.detach().std()), 1e-6)


class AttachedRate(Attached):
    """Prices at work. ``price``: of a bit, now. ``counted``: bytes at the last count, ``begun``: at the first; ``off``:
    the logarithm of the excess at the last."""

    def __init__(self, options: Rate, solver: Solver, grids: Sequence[Grid]) -> None:
        self.options = options
        self.solver = solver
        self.grids = list(grids)
        self.price = options.price
        self.counted = 0
        self.begun = 0
        self.off = 0.0
        self.every = max(1, min(SELDOM, solver.settings.max_iter // COUNTS))

    @property
    def coded(self) -> tuple[str, ...]:
        return tuple(grid.parameter.name for grid in self.grids)

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        return self.solver.iteration / max(1, self.solver.settings.max_iter)

    @torch.no_grad()
    def before_pass(self) -> None:
        if self.solver.iteration % self.every == 0:
            self.count()
        if self.solver.iteration % REPRICED == 0:
            for grid in self.grids:
                grid.reprice()

    @torch.no_grad()
    def before_update(self) -> None:
        rate = self.options.step_rate * self.solver.relative_rate
        for grid in self.grids:
            gradient = grid.parameter.values.grad
            if gradient is not None:
                grid.learn_step(gradient, rate, self.solver.iteration)
                grid.add_price(gradient, self.price * self.solver.settings.iter_size)

    @torch.no_grad()
    def after_update(self, rate: float) -> None:
        for grid in self.grids:
            grid.follow()

    def net(self, net: Net) -> Net:
        """With levels and steps in place of weights."""
        found = {grid.parameter.name: grid for grid in self.grids}

        def coded(name: str, tensor: Tensor) -> Tensor:
            return found[name].coded(tensor.shape) if name in found else tensor

        return net.with_layers(
            layer.with_tensors(coded(f"{layer.name}/{k}", tensor) for k, tensor in enumerate(layer.tensors))
            for layer in net.layers
        )

    def state(self) -> State:
        numbers = {"price": np.array([self.price, self.begun, self.off])}
        for grid in self.grids:
            numbers |= {f"{what}/{grid.parameter.name}": values for what, values in grid.state().items()}
        return numbers

    def restore(self, state: State) -> None:
        self.price, begun, self.off = (float(number) for number in state["price"])
        self.begun = int(begun)
        for grid in self.grids:
            grid.restore({what: state[f"{what}/{grid.parameter.name}"] for what in grid.state()})

    def count(self) -> None:
        """The bytes that there are, and the price that follows from them."""
        self.counted = self.size()
        if not self.begun:
            self.begun = self.counted
        off = math.log(self.counted / self.wanted())
        if 0 < self.progress < FROZEN:
            # What is on its way already is not asked for again.
            self.price *= math.pow(STEEPEST, max(-1.0, min(1.0, PUSH * off + BRAKE * (off - self.off))))
        self.off = off

    def wanted(self) -> float:
        """The bytes that there should be now: falling by the same factor in every iteration."""
        begin, end = FALLING
        at = min(1.0, max(0.0, (self.progress - begin) / (end - begin)))
        return self.begun * math.pow(self.options.bytes / self.begun, at)

    def size(self) -> int:
        """What the coder makes of the levels, in bytes, once what is dead has left and rows are in order."""
        matrices = {grid.parameter.layer: grid.integers() for grid in self.grids if grid.levels.dim() > 1}
        orders = {layer: by_use(levels)[: used_rows(levels)] for layer, levels in matrices.items()}
        tensors = []
        for grid in self.grids:
            levels, order = grid.integers(), orders.get(grid.parameter.layer)
            if order is not None and len(levels) == len(matrices[grid.parameter.layer]):
                levels = levels[order]
            tensors.append(LevelTensor(levels, Layout.of(levels.shape)))
        return len(encode([tensor for tensor in tensors if tensor.layout.size]))


def used_rows(levels: npt.NDArray[np.int32]) -> int:
    """How many rows have a weight that is not zero."""
    return int(levels.reshape(levels.shape[0], -1).any(1).sum())


def steps_of(solver: Solver) -> dict[str, float]:
    """The steps of weights that were given as plain levels, by parameter."""
    given = {
        f"{layer.name}/{k}": tensor.coded() if isinstance(tensor, Stored) else tensor
        for layer in solver.network.graph.layers
        for k, tensor in enumerate(layer.tensors)
    }
    return {
        name: float(tensor.steps[0])
        for name, tensor in given.items()
        if isinstance(tensor, Levels) and tensor.steps.size == 1 and not tensor.trellis
    }
