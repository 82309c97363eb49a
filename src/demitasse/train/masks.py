"""Connections that are cut while a network trains: the smallest weights, at once or little by little.

Magnitude pruning (Han et al., arXiv 1506.02626), gradually (Zhu and Gupta, arXiv 1710.01878), with connections that may
come back (Dynamic Network Surgery, Guo et al., arXiv 1608.04493).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from demitasse.errors import OptionError
from demitasse.train.shaping import Attached, State, by_layer, check_each

if TYPE_CHECKING:
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["Mask"]

HYSTERESIS = 0.1
"""With splicing, a connection comes back when its weight is so much above the threshold, and is cut so much below."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Keep only the largest weights.

    ``density``: the share that is kept in the end; a number, or one for each layer by name or pattern (of several that
    match, the last counts). ``scope``: "layer", the share of each, or "network", one threshold on magnitudes over all
    of them. ``layers``: names or patterns; none: every layer with weights. ``begin``, ``end``: iterations between which
    the density falls, quickly first (1 − (1 − t)³); the same number: at once. ``every``: iterations between two
    changes. ``splice``: cut weights go on learning, and come back when they are large. ``zeros``: what is zero at the
    beginning counts as cut already.
    """

    density: float | Mapping[str, float] = 1.0
    scope: Literal["layer", "network"] = "layer"
    layers: tuple[str, ...] = ()
    begin: int = 0
    end: int = 0
    every: int = 100
    splice: bool = False
    zeros: bool = False

    def __post_init__(self) -> None:
        check_each("mask", "density", self.density, lambda share: 0 < share <= 1, "above 0 and at most 1")
        if self.scope == "network" and isinstance(self.density, Mapping):
            raise OptionError("a mask over the whole network has one density, not one for each layer")
        if not 0 <= self.begin <= self.end or self.every < 1:
            raise OptionError("a mask needs 0 ≤ begin ≤ end, and every of at least 1")

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        return AttachedMask(self, solver, by_layer(solver, self.density, self.layers))

    def target(self, density: float, iteration: int) -> float:
        """The density after that many iterations, where it ends at ``density``."""
        if iteration < self.begin:
            return 1.0
        if iteration >= self.end:
            return density
        left = 1 - (iteration - self.begin) / (self.end - self.begin)
        return density + (1 - density) * left**3


class AttachedMask(Attached):
    """Masks at work. ``dense``: with splicing, what all weights are, the cut ones included."""

    def __init__(self, options: Mask, solver: Solver, chosen: Sequence[tuple[Parameter, float]]) -> None:
        self.options = options
        self.solver = solver
        self.parameters = [parameter for parameter, _ in chosen]
        self.densities = [density for _, density in chosen]
        self.values = [parameter.values.detach() for parameter in self.parameters]
        self.masks = [
            values != 0 if options.zeros else torch.ones_like(values, dtype=torch.bool) for values in self.values
        ]
        self.dense = [values.clone() for values in self.values] if options.splice else []
        self.shown = [values.clone() for values in self.dense]

    @torch.no_grad()
    def before_pass(self) -> None:
        iteration = self.solver.iteration
        due = iteration == self.options.end or (
            self.options.begin <= iteration < self.options.end
            and (iteration - self.options.begin) % self.options.every == 0
        )
        # What splicing lets back has to be looked for after the end, too.
        if due or (self.options.splice and iteration > self.options.end and iteration % self.options.every == 0):
            self.cut([self.options.target(density, iteration) for density in self.densities])
        self.apply()

    def after_update(self, rate: float) -> None:
        with torch.no_grad():
            for dense, values, shown in zip(self.dense, self.values, self.shown, strict=False):  # none without splice
                dense.add_(values - shown)
            self.apply()

    def apply(self) -> None:
        """Zeros where connections are cut."""
        if self.dense:
            for values, dense, mask, shown in zip(self.values, self.dense, self.masks, self.shown, strict=True):
                torch.mul(dense, mask, out=values)
                shown.copy_(values)
        else:
            for values, mask in zip(self.values, self.masks, strict=True):
                values.mul_(mask)

    def cut(self, densities: Sequence[float]) -> None:
        """New masks of these densities."""
        sizes = [values.abs() for values in self.dense or self.values]
        if self.options.scope == "network":
            threshold = smallest_kept(torch.cat([size.reshape(-1) for size in sizes]), densities[0])
            thresholds = [threshold] * len(sizes)
        else:
            pairs = zip(sizes, densities, strict=True)
            thresholds = [smallest_kept(size.reshape(-1), density) for size, density in pairs]
        for i, (size, threshold) in enumerate(zip(sizes, thresholds, strict=True)):
            if not self.options.splice:
                # What is cut stays cut: of weights that are equal, those that are zero must not come back.
                self.masks[i] = (size >= threshold) & self.masks[i]
                continue
            low, high = threshold * (1 - HYSTERESIS), threshold * (1 + HYSTERESIS)
            self.masks[i] = (size >= high) | (self.masks[i] & (size >= low))

    def state(self) -> State:
        found = {f"mask/{p.name}": m.cpu().numpy() for p, m in zip(self.parameters, self.masks, strict=True)}
        kept = zip(self.parameters, self.dense, strict=False)
        return found | {f"dense/{parameter.name}": values.cpu().numpy() for parameter, values in kept}

    def restore(self, state: State) -> None:
        for i, parameter in enumerate(self.parameters):
            self.masks[i] = torch.from_numpy(np.array(state[f"mask/{parameter.name}"])).to(self.values[i].device)
            if self.dense:
                self.dense[i].copy_(torch.from_numpy(np.array(state[f"dense/{parameter.name}"])))
        with torch.no_grad():
            self.apply()


def smallest_kept(sizes: torch.Tensor, density: float) -> torch.Tensor:
    """The magnitude at which that share of them is as large or larger."""
    count = max(1, round(density * sizes.numel()))
    return torch.topk(sizes, count, sorted=False).values.min()
