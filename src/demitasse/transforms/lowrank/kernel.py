"""Convolutions by the low rank of their kernels: k×1 and 1×k, and Tucker's form."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from demitasse.layers import count
from demitasse.net import Layer
from demitasse.transforms.lowrank.method import Convolving
from demitasse.transforms.lowrank.spectrum import Spectrum, factored, gram

__all__ = ["Spatial", "Tucker"]

Array = npt.NDArray[Any]


class Spatial(Convolving):
    """k×1, then 1×k."""

    name: ClassVar[str] = "spatial"

    @cached_property
    def spectrum(self) -> Spectrum:
        """Of (outputs, width) × (inputs, height)."""
        groups = np.split(self.kernel.transpose(0, 3, 1, 2), self.placed.group)
        return factored([np.ascontiguousarray(one).reshape(one.shape[0] * one.shape[1], -1) for one in groups])

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        return self.spectrum.errors

    def parameters(self, rank: int) -> int:
        height, width = self.placed.kernel
        return rank * self.placed.group * (self.inputs * height + self.outputs * width)

    def macs(self, rank: int) -> int:
        height, width = self.placed.kernel
        rows, columns = self.placed.positions()[0], self.placed.spatial[1]
        first = self.positions((rows, columns)) * self.inputs * height
        return rank * self.placed.group * (first + self.places * self.outputs * width)

    def layers(self, rank: int) -> list[Layer]:
        height, width = self.placed.kernel
        channels, rows, columns = self.roots
        down, across = [], []
        for left, right in self.spectrum.at(rank):
            second = np.einsum("oxr,xu->oru", left.reshape(self.outputs, width, rank), columns[1], optimize=True)
            first = np.einsum("riy,yv->riv", right.reshape(rank, self.inputs, height), rows[1], optimize=True)
            if channels is not None:
                first = np.einsum("riy,ij->rjy", first, channels[1], optimize=True)
            down.append(first[..., None])
            across.append(second[:, :, None, :])
        first, second = np.concatenate(down), np.concatenate(across)
        bias = self.corrected(second.sum(axis=(2, 3)) @ first.sum(axis=(2, 3)) if len(down) == 1 else first)
        return [
            self.part("_v", self.windowed(rank * self.placed.group, width=False), [self.dense(first)]),
            self.part("_h", self.windowed(self.placed.filters, height=False), [self.dense(second), *bias], last=True),
        ]


class Tucker(Convolving):
    """1×1 to few channels, the kernel on these, 1×1. Ranks of inputs go along with those of outputs such that both
    lose about the same."""

    name: ClassVar[str] = "tucker"

    @cached_property
    def spectra(self) -> tuple[Spectrum, Spectrum]:
        """By outputs and by inputs."""
        by_outputs = self.kernel.reshape(len(self.kernel), -1)
        by_inputs = np.ascontiguousarray(self.kernel.transpose(1, 0, 2, 3)).reshape(self.kernel.shape[1], -1)
        return left_sided(by_outputs), left_sided(by_inputs)

    @cached_property
    def of_inputs(self) -> npt.NDArray[np.int64]:
        """The rank of the inputs that goes with each rank of the outputs."""
        outputs, inputs = (spectrum.errors for spectrum in self.spectra)
        found = np.searchsorted(-inputs, -outputs, side="left")
        return np.clip(found, 1, len(inputs) - 1)

    @cached_property
    def errors(self) -> npt.NDArray[np.float64]:
        outputs, inputs = (spectrum.errors for spectrum in self.spectra)
        return np.minimum(1.0, outputs + np.where(np.arange(len(outputs)) > 0, inputs[self.of_inputs], 0.0))

    def parameters(self, rank: int) -> int:
        inner = int(self.of_inputs[rank])
        return inner * self.inputs + rank * inner * count(self.placed.kernel) + self.outputs * rank

    def macs(self, rank: int) -> int:
        inner = int(self.of_inputs[rank])
        before = self.positions(self.placed.spatial) * inner * self.inputs
        return before + self.places * (rank * inner * count(self.placed.kernel) + self.outputs * rank)

    def layers(self, rank: int) -> list[Layer]:
        outputs, inputs = self.spectra[0].bases[0][:, :rank], self.spectra[1].bases[0][:, : int(self.of_inputs[rank])]
        for _ in range(2):  # alternating: each side is best for what the other one keeps
            outputs = leading(np.einsum("oiyx,ir->oryx", self.kernel, inputs, optimize=True), 0, rank)
            inputs = leading(np.einsum("oiyx,or->riyx", self.kernel, outputs, optimize=True), 1, inputs.shape[1])
        channels, rows, columns = self.roots
        core = np.einsum("oiyx,or,is->rsyx", self.kernel, outputs, inputs, optimize=True)
        core = np.einsum("rsyx,yv,xu->rsvu", core, rows[1], columns[1], optimize=True)
        first = inputs.T if channels is None else inputs.T @ channels[1]
        bias = self.corrected(outputs @ core.sum(axis=(2, 3)) @ first)
        bare = {"height": False, "width": False}
        return [
            self.part("_in", self.windowed(len(first), **bare), [self.dense(first[..., None, None])]),
            self.part("_core", self.options.set("num_output", rank), [self.dense(core)]),
            self.part(
                "_out",
                self.windowed(self.placed.filters, **bare),
                [self.dense(outputs[..., None, None]), *bias],
                last=True,
            ),
        ]


def left_sided(matrix: Array) -> Spectrum:
    """The spectrum whose basis is of the rows, also where there are more rows than columns."""
    return factored([matrix], [gram(matrix)])


def leading(kernel: Array, axis: int, rank: int) -> Array:
    """The first vectors of a basis along an axis."""
    rows = np.ascontiguousarray(np.moveaxis(kernel, axis, 0)).reshape(kernel.shape[axis], -1)
    return left_sided(rows).bases[0][:, :rank]
