"""Structured Sparsity Learning as the files of its authors' fork of Caffe ask for it (Wen et al., arXiv 1608.03665).

In the solver ``breadth_decay`` is the price of rows (filters), ``kernel_shape_decay`` of columns (shapes of filters,
for each ``group`` of a convolution on its own), ``block_group_decay`` of blocks; in a layer's ``param`` each has its
multiplier, and ``block_group_lasso`` says how large blocks are: ``xdimen`` columns × ``ydimen`` rows. Rows are what the
blob's first axis counts, all other axes together are its columns; biases have prices, too, where they are given any.
A ``param`` may have a ``regularization_type`` of its own (`updates` heeds it).

``connectivity_mode`` of a layer keeps zeros while it is trained again: DISCONNECTED_ELTWISE every weight that is zero,
DISCONNECTED_GRPWISE the rows and columns that are zero as a whole.

The fork follows the gradient of a length and sets what is small to zero; here the price is taken by proximal steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from demitasse.net import Layer
from demitasse.train.lasso import AttachedLasso, Groups, Priced, parts_of
from demitasse.train.shaping import Attached, Shaping, State

if TYPE_CHECKING:
    from demitasse.train.settings import Settings
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["ForkLasso", "KeptZeros", "from_fork"]

PRICES: Final = ("breadth_decay", "kernel_shape_decay", "block_group_decay")

MODES: Final = {"0": "CONNECTED", "1": "DISCONNECTED_ELTWISE", "2": "DISCONNECTED_GRPWISE"}


def from_fork(settings: Settings) -> tuple[Shaping, ...]:
    """What a solver file and its network ask for in the fork's own fields; nothing if they do not."""
    found: list[Shaping] = []
    if any(settings.message.number(name) for name in PRICES):
        found.append(ForkLasso())
    if any(mode_of(layer) != "CONNECTED" for layer in settings.net.layers):
        found.append(KeptZeros())
    return tuple(found)


def mode_of(layer: Layer) -> str:
    """A layer's ``connectivity_mode``, by name."""
    said = layer.message.string("connectivity_mode", "CONNECTED")
    return MODES.get(said, said)


@dataclass(frozen=True, slots=True)
class ForkLasso:
    """Prices on rows, columns and blocks."""

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights. OptionError for blocks that do not fill a blob."""
        root = solver.settings.message
        rows, columns, blocks = (root.number(name) for name in PRICES)
        layers = {layer.name: layer for layer in solver.network.graph.layers}
        found: list[Priced] = []
        for parameter in solver.learned:
            spec, parts = parameter.spec, parts_of(layers[parameter.layer])
            said: list[tuple[Groups, float]] = [
                (Groups("filters"), rows * spec.number("breadth_decay_mult")),
                (Groups("shapes", parts=parts), columns * spec.number("kernel_shape_decay_mult")),
            ]
            for one in spec.messages("block_group_lasso"):
                block = Groups("blocks", (one.integer("ydimen", 1), one.integer("xdimen", 1)))
                said.append((block, blocks * one.number("block_decay_mult", 1.0)))
            found += [Priced(parameter, groups, weight) for groups, weight in said if weight]
        return AttachedLasso(solver.settings, found)


@dataclass(frozen=True, slots=True)
class KeptZeros:
    """Zeros that stay, in the layers whose ``connectivity_mode`` says so."""

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        layers = {layer.name: layer for layer in solver.network.graph.layers}
        weights = [parameter for parameter in solver.learned if parameter.name.endswith("/0")]
        kept = [(parameter, layers[parameter.layer]) for parameter in weights]
        return AttachedZeros([(parameter, layer) for parameter, layer in kept if mode_of(layer) != "CONNECTED"])


@dataclass(slots=True)
class AttachedZeros(Attached):
    """Zeros as they were before the first iteration, when all weights had been taken over."""

    kept: list[tuple[Parameter, Layer]]
    masks: list[torch.Tensor] = field(default_factory=list)

    def before_pass(self) -> None:
        if not self.masks:
            self.masks = [connections(parameter.values.detach(), layer) for parameter, layer in self.kept]

    @torch.no_grad()
    def after_update(self, rate: float) -> None:
        for (parameter, _), mask in zip(self.kept, self.masks, strict=True):
            parameter.values.mul_(mask)

    def state(self) -> State:
        found = zip(self.kept, self.masks, strict=False)  # none before the first iteration
        return {f"connected/{parameter.name}": mask.cpu().numpy() for (parameter, _), mask in found}

    def restore(self, state: State) -> None:
        saved = [state[f"connected/{parameter.name}"] for parameter, _ in self.kept]
        self.masks = [
            torch.from_numpy(np.array(mask)).to(parameter.values.device)
            for (parameter, _), mask in zip(self.kept, saved, strict=True)
        ]


def connections(values: torch.Tensor, layer: Layer) -> torch.Tensor:
    """True for every weight that may change."""
    if mode_of(layer) == "DISCONNECTED_ELTWISE":
        return values != 0
    alive = torch.ones_like(values, dtype=torch.bool)
    for groups in (Groups("filters"), Groups("shapes", parts=parts_of(layer))):
        groups.view(alive).mul_(groups.lengths(values) > 0)
    return alive
