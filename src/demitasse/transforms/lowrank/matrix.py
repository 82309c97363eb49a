"""Layers as two by the low rank of one matrix, outputs × inputs: InnerProducts, and kernels to few channels."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from demitasse.net import Dense, Layer
from demitasse.transforms.lowrank.method import Convolving, Method
from demitasse.transforms.lowrank.spectrum import Spectrum, factored, gram

__all__ = ["Channel", "Inner"]

Array = npt.NDArray[Any]


class Rows(Method):
    """Methods for which a matrix of outputs × inputs is of low rank, group by group."""

    @cached_property
    def spectrum(self) -> Spectrum:
        """Of the weights, each output a row; of what they give, if activations are known."""
        weights = self.target.weights
        if self.target.transposed:
            weights = weights.T
        matrices = np.split(weights.reshape(len(weights), -1), self.target.group)
        metrics = self.supposed()
        if self.seen is not None and self.target.group == 1:
            metrics = [self.seen.metric(matrices[0])]
        elif self.seen is not None:
            whole = self.seen.made.centred
            size = len(matrices[0])
            metrics = [whole[i : i + size, i : i + size] for i in range(0, len(whole), size)]
        return factored(matrices, metrics)

    def supposed(self) -> list[npt.NDArray[np.float64]] | None:
        """Second moments of the outputs of each group as far as they can be told without activations; None: those of
        inputs that have nothing to do with each other."""
        return None

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        return self.spectrum.errors

    def pairs(self, rank: int) -> tuple[Array, Array, list[Dense]]:
        """Weights of the second and of the first layer as matrices, groups one after the other; and the bias."""
        pairs = self.spectrum.at(rank)
        kept = [left for left, _ in pairs] if self.seen is not None else None
        second, first = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        return second, first, self.bias(kept)


class Inner(Rows):
    """Two InnerProducts."""

    name: ClassVar[str] = "inner"

    def parameters(self, rank: int) -> int:
        return rank * (self.target.outputs + self.weights // self.target.outputs)

    def macs(self, rank: int) -> int:
        return self.target.placed.macs() * self.parameters(rank) // self.weights

    def layers(self, rank: int) -> list[Layer]:
        second, first, bias = self.pairs(rank)
        plain = self.options.remove("transpose")
        axis = plain if self.target.axis == 1 else plain.set("axis", self.target.axis)
        return [
            self.part("_L", axis.set("num_output", rank), [self.dense(first)]),
            self.part("_U", axis, [self.dense(second), *bias], last=True),
        ]


class Channel(Convolving, Rows):
    """The kernel to few channels, and 1×1 from them."""

    name: ClassVar[str] = "channel"

    def supposed(self) -> list[npt.NDArray[np.float64]] | None:
        groups = np.split(self.kernel.reshape(len(self.kernel), -1), self.placed.group)
        return None if self.seen is not None else [gram(one) for one in groups]

    def parameters(self, rank: int) -> int:
        return rank * (self.weights // self.outputs + self.placed.filters)

    def macs(self, rank: int) -> int:
        return self.places * self.parameters(rank)

    def layers(self, rank: int) -> list[Layer]:
        second, first, bias = self.pairs(rank)
        shape = (-1, *self.target.weights.shape[1:])
        ones = self.windowed(self.placed.filters, height=False, width=False)
        few = self.options.set("num_output", rank * self.placed.group)
        return [
            self.part("_L", few, [self.dense(first.reshape(shape))]),
            self.part("_U", ones, [self.dense(second[..., None, None]), *bias], last=True),
        ]
