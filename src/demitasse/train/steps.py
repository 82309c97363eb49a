"""Uniform levels whose step is learned: LSQ (Esser et al., arXiv 1902.08153), for weights.

A weight is a step times a whole number of so many bits. Gradients go straight through the rounding to latent weights,
but not through the limits; the step's gradient counts how far rounding has moved each weight, and what lies beyond the
limits. A .demi stores the whole numbers, and the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from demitasse.errors import OptionError
from demitasse.net import Levels, Net
from demitasse.train.shaping import Attached, State, by_layer, check_each

if TYPE_CHECKING:
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["Steps"]


@dataclass(frozen=True, slots=True)
class Steps:
    """Uniform levels.

    ``bits``: of a level, its sign included: 2 are -1, 0, 1; a number, or one for each layer by name or pattern (of
    several that match, the last counts). ``layers``: names or patterns; none: every layer with weights. ``step_rate``:
    of learning the logarithm of the step, by Adam, as long as the solver's rate is where it began; 0: it stays.
    """

    bits: int | Mapping[str, int] = 4
    layers: tuple[str, ...] = ()
    step_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_each("steps", "bits", self.bits, lambda number: 2 <= number <= 16, "between 2 and 16")
        if self.step_rate < 0:
            raise OptionError(f"steps have a step_rate of {self.step_rate:g}; it cannot be negative")

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        return AttachedSteps(self, solver, by_layer(solver, self.bits, self.layers))


@dataclass(slots=True, eq=False)
class Rounded:
    """One blob. ``limit``: the largest level. ``latent``: the weights behind what is shown. ``log_step`` with the two
    means of its Adam."""

    parameter: Parameter
    limit: int
    latent: torch.Tensor
    log_step: float
    means: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, parameter: Parameter, bits: int) -> Rounded:
        """The weights as they are, with LSQ's first step: twice their mean size over the root of the largest level."""
        values = parameter.values.detach()
        limit = 2 ** (bits - 1) - 1
        first = max(2 * float(values.abs().mean()) / math.sqrt(limit), 1e-8)
        return cls(parameter, limit, values.clone(), math.log(first))

    @property
    def step(self) -> float:
        """The distance of two levels, as float32."""
        return float(np.float32(math.exp(self.log_step)))

    def levels(self) -> torch.Tensor:
        """Whole numbers, in floats."""
        return torch.round(self.latent / self.step).clamp_(-self.limit, self.limit)

    def show(self) -> torch.Tensor:
        """Give the network what is on the grid."""
        values = self.parameter.values.detach()
        return torch.mul(self.levels(), self.step, out=values)

    def learn(self, rate: float, iteration: int) -> None:
        """Learn the step from the gradient, then keep from the latents what is beyond the limits."""
        gradient = self.parameter.values.grad
        if gradient is None:
            return
        units = self.latent / self.step
        beyond = units.abs() > self.limit
        if rate:
            moved = torch.where(beyond, units.sign() * self.limit, torch.round(units) - units)
            # Of the logarithm, hence times the step. Adam makes LSQ's own scale of this gradient needless.
            total = float((gradient * moved).sum()) * self.step
            first, second = 0.9 * self.means[0] + 0.1 * total, 0.999 * self.means[1] + 0.001 * total * total
            self.means = first, second
            size = math.sqrt(second / (1 - 0.999 ** (iteration + 1))) + 1e-12
            self.log_step -= rate * first / (1 - 0.9 ** (iteration + 1)) / size
        gradient[beyond] = 0


class AttachedSteps(Attached):
    """Grids at work."""

    def __init__(self, options: Steps, solver: Solver, chosen: Sequence[tuple[Parameter, int]]) -> None:
        self.options = options
        self.solver = solver
        self.grids = [Rounded.of(parameter, bits) for parameter, bits in chosen]

    @property
    def coded(self) -> tuple[str, ...]:
        return tuple(grid.parameter.name for grid in self.grids)

    @torch.no_grad()
    def before_pass(self) -> None:
        for grid in self.grids:
            grid.show()

    @torch.no_grad()
    def before_update(self) -> None:
        rate = self.options.step_rate * self.solver.relative_rate
        for grid in self.grids:
            grid.learn(rate, self.solver.iteration)
            # The update, weight decay included, is of the latents.
            grid.parameter.values.detach().copy_(grid.latent)

    @torch.no_grad()
    def after_update(self, rate: float) -> None:
        for grid in self.grids:
            grid.latent.copy_(grid.parameter.values.detach())
            grid.show()

    def net(self, net: Net) -> Net:
        found = {grid.parameter.name: grid for grid in self.grids}

        def coded(grid: Rounded, shape: tuple[int, ...]) -> Levels:
            levels = grid.levels().to(torch.int32).cpu().numpy().reshape(shape)
            kind = np.int8 if grid.limit < 128 else np.int16
            return Levels(levels.astype(kind), np.array([grid.step], np.float32))

        return net.with_layers(
            layer.with_tensors(
                coded(found[name], tensor.shape) if (name := f"{layer.name}/{k}") in found else tensor
                for k, tensor in enumerate(layer.tensors)
            )
            for layer in net.layers
        )

    def state(self) -> State:
        numbers = {f"latent/{grid.parameter.name}": grid.latent.cpu().numpy() for grid in self.grids}
        steps = {f"step/{grid.parameter.name}": np.array([grid.log_step, *grid.means]) for grid in self.grids}
        return numbers | steps

    @torch.no_grad()
    def restore(self, state: State) -> None:
        for grid in self.grids:
            grid.latent.copy_(torch.from_numpy(np.array(state[f"latent/{grid.parameter.name}"])))
            grid.log_step, *means = (float(number) for number in state[f"step/{grid.parameter.name}"])
            grid.means = means[0], means[1]
            grid.show()
