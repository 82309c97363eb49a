"""Structured Sparsity Learning (Wen et al., arXiv 1608.03665): a price on whole filters, channels, shapes or layers.

The price of a group is its Euclidean length. Instead of following its gradient, which only ever makes small numbers,
each update ends with a proximal step: every group is shortened by rate × price, and what would become negative is zero,
exactly. `demitasse.transforms.shrink` then removes it. `fork` reads the prices that the authors' own files give.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import torch

from demitasse.errors import OptionError
from demitasse.net import Layer
from demitasse.train.shaping import Attached, matrices

if TYPE_CHECKING:
    from demitasse.train.settings import Settings
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["KINDS", "AttachedLasso", "Groups", "Kind", "Lasso", "Priced", "parts_of"]

Kind = Literal["filters", "channels", "shapes", "depth", "blocks", "single"]

KINDS: Final[tuple[Kind, ...]] = ("filters", "channels", "shapes", "depth", "blocks", "single")


@dataclass(frozen=True, slots=True)
class Lasso:
    """A price on groups of weights.

    ``kind``: what a group is. "filters": everything that makes one output; "channels": everything that reads one input;
    "shapes": one position of the kernel in one channel, over all filters that see it; "depth": a whole layer (for
    residual branches); "blocks": ``block`` rows × columns of the matrix that has a row for each output; "single": each
    weight on its own (L1). ``layers``: names or patterns; none: every layer with weights.
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
        layers = {layer.name: layer for layer in solver.network.graph.layers}
        priced: list[Priced] = []
        for parameter in matrices(solver, self.layers):
            layer = layers[parameter.layer]
            groups = Groups(self.kind, self.block, parts_of(layer), by_input(layer))
            priced.append(Priced(parameter, groups, self.weight))
        return AttachedLasso(solver.settings, priced)


@dataclass(frozen=True, slots=True)
class Groups:
    """How a blob of weights is divided.

    ``parts``: how many parts of the rows see channels of their own (``group`` of a convolution). ``swapped``: the blob
    has a row for each input, and its second axis is that of outputs.
    """

    kind: Kind
    block: tuple[int, int] = (1, 1)
    parts: int = 1
    swapped: bool = False

    def lengths(self, values: torch.Tensor) -> torch.Tensor:
        """The length of every group, in a shape that spreads over the blob as `view` has it."""
        seen = self.view(values)
        axes = self.axes
        return torch.linalg.vector_norm(seen, dim=axes, keepdim=True) if axes else seen.abs()

    def view(self, values: torch.Tensor) -> torch.Tensor:
        """The blob with an axis for each thing that groups are told apart by; its own memory: part, output, input,
        position; of blocks: block of rows, row, block of columns, column. OptionError for blocks that do not fit."""
        rows = values.shape[0]
        if self.kind == "blocks":
            matrix = values.view(rows, -1)
            high, wide = self.block
            if rows % high or matrix.shape[1] % wide:
                raise OptionError(f"blocks of {high}×{wide} do not fill a matrix of {rows}×{matrix.shape[1]}")
            return matrix.view(rows // high, high, matrix.shape[1] // wide, wide)
        second = values.shape[1] if values.dim() > 1 else 1
        seen = values.view(self.parts, rows // self.parts, second, -1)
        return seen.transpose(1, 2) if self.swapped else seen

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of `view` that a group spans."""
        return SPANS[self.kind]


SPANS: Final[dict[Kind, tuple[int, ...]]] = {
    "filters": (2, 3),
    "channels": (1, 3),
    "shapes": (1,),
    "depth": (0, 1, 2, 3),
    "blocks": (1, 3),
    "single": (),
}


def parts_of(layer: Layer) -> int:
    """Into how many parts its filters are divided that see channels of their own."""
    options = layer.message.message("convolution_param")
    if layer.type in ("ConvolutionDepthwise", "DepthwiseConvolution"):
        return options.integer("num_output", 1)
    return max(1, options.integer("group", 1))


def by_input(layer: Layer) -> bool:
    """Whether the weights have a row for each input, and not for each output."""
    transposed = layer.message.message("inner_product_param").flag("transpose")
    return transposed or layer.type in ("Deconvolution", "Embed")


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


def reach(settings: Settings) -> float:
    """How many times its rate a constant gradient moves a weight in the end: what the price has to be multiplied by,
    so that a price of p holds a group at zero against gradients up to a length of p, whatever the momentum.

    Solvers that divide gradients by their own size leave no such measure; there it is 1.
    """
    return 1 / (1 - settings.momentum) if settings.type in ("SGD", "Nesterov") and settings.momentum < 1 else 1.0


@dataclass(slots=True)
class AttachedLasso(Attached):
    """Prices at work."""

    settings: Settings
    priced: list[Priced] = field(default_factory=list)

    def __post_init__(self) -> None:
        for priced in self.priced:
            try:
                priced.groups.view(priced.parameter.values.detach())
            except OptionError as error:
                raise OptionError(f"{priced.parameter.name}: {error}") from None

    def after_update(self, rate: float) -> None:
        for priced in self.priced:
            priced.shorten(rate * reach(self.settings))
