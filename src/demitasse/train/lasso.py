"""Structured Sparsity Learning (Wen et al., arXiv 1608.03665): a price on whole filters, channels, shapes or layers.

The price of a group is its Euclidean length. Instead of following its gradient, which only ever makes small numbers,
each update ends with a proximal step: every group is shortened by rate × price, and what would become negative is zero,
exactly. `demitasse.transforms.shrink` then removes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import torch

from demitasse.errors import OptionError
from demitasse.message import Message
from demitasse.train.shaping import Attached, Shaping, matrices

if TYPE_CHECKING:
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["KINDS", "Groups", "Kind", "Lasso", "from_fork"]

Kind = Literal["filters", "channels", "shapes", "depth", "blocks", "single"]

KINDS: Final[tuple[Kind, ...]] = ("filters", "channels", "shapes", "depth", "blocks", "single")


@dataclass(frozen=True, slots=True)
class Lasso:
    """A price on groups of weights.

    ``kind``: what a group is. "filters": everything that makes one output; "channels": everything that reads one input;
    "shapes": one position of the kernel in one channel, over all filters; "depth": a whole layer (for residual
    branches); "blocks": ``block`` rows × columns of the matrix that has a row for each output; "single": each weight on
    its own (L1). ``layers``: names or patterns; none: every layer with weights.
    """

    weight: float
    kind: Kind = "filters"
    layers: tuple[str, ...] = ()
    block: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise OptionError(f"a lasso's weight is {self.weight:g}; it cannot be negative")
        if min(self.block) < 1:
            raise OptionError(f"a block is {self.block[0]}×{self.block[1]}; both sizes must be at least 1")

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        chosen = matrices(solver, self.layers)
        return AttachedLasso([Priced(parameter, Groups(self.kind, self.block), self.weight) for parameter in chosen])


@dataclass(frozen=True, slots=True)
class Groups:
    """How a blob of weights is divided."""

    kind: Kind
    block: tuple[int, int] = (1, 1)

    def lengths(self, values: torch.Tensor) -> torch.Tensor:
        """The length of every group, in a shape that spreads over the blob as `view` has it."""
        seen = self.view(values)
        axes = self.axes(seen)
        return torch.linalg.vector_norm(seen, dim=axes, keepdim=True) if axes else seen.abs()

    def view(self, values: torch.Tensor) -> torch.Tensor:
        """The blob with an axis for each thing that groups are told apart by; its own memory."""
        rows = values.shape[0]
        if self.kind == "channels":
            return values.view(rows, values.shape[1], -1)
        matrix = values.view(rows, -1)
        if self.kind != "blocks":
            return matrix
        high, wide = self.block
        if rows % high or matrix.shape[1] % wide:
            raise OptionError(f"blocks of {high}×{wide} do not fill a matrix of {rows}×{matrix.shape[1]}")
        return matrix.view(rows // high, high, matrix.shape[1] // wide, wide)

    def axes(self, seen: torch.Tensor) -> tuple[int, ...]:
        """The axes of `view` that a group spans."""
        every = tuple(range(seen.dim()))
        spans = {"filters": (1,), "channels": (0, 2), "shapes": (0,), "depth": every, "blocks": (1, 3), "single": ()}
        return spans[self.kind]


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """A blob of weights, its groups and their price."""

    parameter: Parameter
    groups: Groups
    weight: float

    @torch.no_grad()
    def shorten(self, rate: float) -> None:
        """The proximal step: every group shorter by rate × price, at least zero."""
        values = self.parameter.values.detach()
        lengths = self.groups.lengths(values)
        step = rate * self.parameter.lr_mult * self.weight
        self.groups.view(values).mul_((1 - step / lengths.clamp_min(1e-30)).clamp_min_(0))


@dataclass(slots=True)
class AttachedLasso(Attached):
    """Prices at work."""

    priced: list[Priced] = field(default_factory=list)

    def __post_init__(self) -> None:
        for priced in self.priced:
            try:
                priced.groups.view(priced.parameter.values.detach())
            except OptionError as error:
                raise OptionError(f"{priced.parameter.name}: {error}") from None

    def after_update(self, rate: float) -> None:
        for priced in self.priced:
            priced.shorten(rate)


@dataclass(frozen=True, slots=True)
class ForkLasso:
    """What the fields of the authors' fork say, in the solver and in each layer's ``param``.

    ``breadth_decay`` is the price of rows (filters), ``kernel_shape_decay`` of columns (shapes), ``block_group_decay``
    of the blocks that a ``block_group_lasso`` describes (``xdimen`` columns × ``ydimen`` rows); each is multiplied by
    the ``param``'s own. A ``param`` may have a ``regularization_type`` of its own, too.
    """

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        root = solver.settings.message
        rows, columns = root.number("breadth_decay"), root.number("kernel_shape_decay")
        blocks = root.number("block_group_decay")
        found: list[Priced] = []
        for parameter in solver.learned:
            if parameter.values.dim() < 2:
                continue
            spec = parameter.spec
            said: list[tuple[Groups, float]] = [
                (Groups("filters"), rows * spec.number("breadth_decay_mult")),
                (Groups("shapes"), columns * spec.number("kernel_shape_decay_mult")),
            ]
            for one in spec.messages("block_group_lasso"):
                block = Groups("blocks", (one.integer("ydimen", 1), one.integer("xdimen", 1)))
                said.append((block, blocks * one.number("block_decay_mult", 1.0)))
            found += [Priced(parameter, groups, weight) for groups, weight in said if weight]
        return AttachedLasso(found)


def from_fork(message: Message) -> tuple[Shaping, ...]:
    """The lasso that a solver file asks for in the fork's own fields; nothing if it does not."""
    fields = ("breadth_decay", "kernel_shape_decay", "block_group_decay")
    return (ForkLasso(),) if any(message.number(name) for name in fields) else ()
