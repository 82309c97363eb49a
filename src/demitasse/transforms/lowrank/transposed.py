"""Deconvolutions by the low rank of their kernels: 1×1 to few channels and the kernel from these; k×1 and 1×k.

A deconvolution spreads each input over its kernel, so what is reduced is reduced before it: the small map is the cheap
place. Only few inputs meet in an output, and no window's smoothness helps: errors are those of the kernel, weighted by
what the input channels are on pictures where that is known.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from demitasse.layers import count
from demitasse.net import Layer
from demitasse.transforms.lowrank.kernel import Spatial
from demitasse.transforms.lowrank.method import Convolving
from demitasse.transforms.lowrank.spectrum import Spectrum, factored, root

__all__ = ["Few", "SpatialTransposed"]

Array = npt.NDArray[Any]


class Transposed(Convolving):
    """What both have in common: weights by groups, as inputs × outputs × height × width of a group."""

    @cached_property
    def metric(self) -> tuple[Array, Array] | None:
        """Root of the second moments of the input channels, and its inverse; None: they are taken to be alike."""
        return root(self.seen.given.raw) if self.seen is not None and self.placed.group == 1 else None

    @cached_property
    def kernels(self) -> list[Array]:
        """One for each group, weighted."""
        found: list[Array] = np.split(self.target.weights, self.placed.group)
        return found if self.metric is None else [np.einsum("ij,joyx->ioyx", self.metric[0], found[0], optimize=True)]

    def unweighted(self, by_input: Array) -> Array:
        """An array whose last axis is the inputs, without the weights."""
        return by_input if self.metric is None else by_input @ self.metric[1]


class Few(Transposed):
    """1×1 to few channels, and the kernel from these."""

    name: ClassVar[str] = "channel"

    @cached_property
    def spectrum(self) -> Spectrum:
        """Of inputs × (outputs, kernel)."""
        return factored([np.ascontiguousarray(kernel).reshape(len(kernel), -1) for kernel in self.kernels])

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        return self.spectrum.errors

    def parameters(self, rank: int) -> int:
        return rank * self.placed.group * (self.inputs + self.outputs * count(self.placed.kernel))

    def macs(self, rank: int) -> int:
        return self.positions(self.placed.spatial) * self.parameters(rank)

    def layers(self, rank: int) -> list[Layer]:
        few, spread = [], []
        for left, right in self.spectrum.at(rank):
            few.append(self.unweighted(left.T)[..., None, None])
            spread.append(right.reshape(rank, self.outputs, *self.placed.kernel))
        ones = self.windowed(rank * self.placed.group, height=False, width=False)
        return [
            self.part("_L", ones, [self.dense(np.concatenate(few))]),
            self.part(
                "_U", self.options, [self.dense(np.concatenate(spread)), *self.bias()], last=True, kind="Deconvolution"
            ),
        ]


class SpatialTransposed(Transposed, Spatial):
    """k×1, then 1×k."""

    @cached_property
    def spectrum(self) -> Spectrum:
        """Of (outputs, width) × (inputs, height)."""
        matrices = [np.ascontiguousarray(kernel.transpose(1, 3, 0, 2)) for kernel in self.kernels]
        return factored([one.reshape(one.shape[0] * one.shape[1], -1) for one in matrices])

    def macs(self, rank: int) -> int:
        height, width = self.placed.kernel
        rows, columns = self.placed.positions()[0], self.placed.spatial[1]
        first = self.positions(self.placed.spatial) * self.inputs * height
        return rank * self.placed.group * (first + self.positions((rows, columns)) * self.outputs * width)

    def layers(self, rank: int) -> list[Layer]:
        height, width = self.placed.kernel
        down, across = [], []
        for left, right in self.spectrum.at(rank):
            across.append(left.reshape(self.outputs, width, rank).transpose(2, 0, 1)[:, :, None, :])
            by_input = self.unweighted(right.reshape(rank, self.inputs, height).transpose(0, 2, 1))
            down.append(by_input.transpose(2, 0, 1)[..., None])
        few = self.windowed(rank * self.placed.group, width=False)
        whole = self.windowed(self.placed.filters, height=False)
        last = [self.dense(np.concatenate(across)), *self.bias()]
        return [
            self.part("_v", few, [self.dense(np.concatenate(down))], kind="Deconvolution"),
            self.part("_h", whole, last, last=True, kind="Deconvolution"),
        ]
