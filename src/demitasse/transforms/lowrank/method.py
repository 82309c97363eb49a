"""What every way to factorize a layer answers: what a rank costs, how much it loses, and the layers that it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from demitasse.layers import UNKNOWN, Shape, count
from demitasse.layers.convolution import Convolution
from demitasse.message import Field, Message, Word
from demitasse.net import Dense, Layer
from demitasse.transforms.lowrank.spectrum import decaying, root
from demitasse.transforms.lowrank.statistics import Seen
from demitasse.transforms.weighted import Weighted

__all__ = ["SMOOTH", "Convolving", "Method"]

Array = npt.NDArray[Any]

SMOOTH: Final = 0.7
"""Correlation of neighbours on a map of which nothing is known."""


@dataclass(frozen=True, eq=False)
class Method(ABC):
    """One way for one layer. ``seen``: what its activations look like, if that is known."""

    target: Weighted
    seen: Seen | None = None

    name: ClassVar[str] = ""

    @property
    @abstractmethod
    def errors(self) -> npt.NDArray[np.float64]:
        """Squared error of the outputs (without activations: of the weights) at each rank from 0, as a share."""

    @abstractmethod
    def parameters(self, rank: int) -> int:
        """Weights of the new layers, biases left out."""

    @abstractmethod
    def macs(self, rank: int) -> int:
        """Multiply-accumulates of the new layers; `UNKNOWN` where shapes are."""

    @abstractmethod
    def layers(self, rank: int) -> list[Layer]:
        """The new layers, from the first to the last, each reading the one before."""

    @property
    def weights(self) -> int:
        """Weights of the layer as it is, bias left out."""
        return self.target.layer.tensors[0].size

    def smaller(self, rank: int) -> bool:
        """Whether a rank is below break-even: fewer weights, and no more multiplications."""
        macs = self.macs(rank)
        return self.parameters(rank) < self.weights and (macs is UNKNOWN or macs <= self.target.placed.macs())

    @cached_property
    def break_even(self) -> int:
        """The largest rank that still makes the layer smaller; 0 if none does."""
        low, high = 0, len(self.errors) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.smaller(middle) else (low, middle - 1)
        return low

    def bias(self, kept: list[Array] | None = None) -> list[Dense]:
        """The last layer's bias. ``kept``: per group the basis onto which outputs are projected; what is lost of their
        mean is made good for."""
        bias = self.target.bias
        if kept is None or self.seen is None:
            return [] if bias is None else [Dense(np.array(bias))]
        means = self.seen.made.mean.reshape(len(kept), -1)
        lost = [mean - basis @ (basis.T @ mean) for mean, basis in zip(means, kept, strict=True)]
        found = np.concatenate(lost) + (0.0 if bias is None else bias)
        return [Dense(found.astype(self.target.layer.tensors[0].dtype))]

    def dense(self, values: Array) -> Dense:
        """Weights in the precision that the layer had."""
        return Dense(np.ascontiguousarray(values, self.target.layer.tensors[0].dtype))

    def part(
        self, name: str, options: Message, tensors: list[Dense], last: bool = False, kind: str = "Convolution"
    ) -> Layer:
        """One of the new layers, without inputs and outputs; of that ``kind``, unless the layer is an InnerProduct."""
        layer = self.target.layer
        specs = layer.message.messages("param")[: len(tensors)]
        options = options.remove("bias_filler") if not last else options
        options = options.remove("bias_term") if len(tensors) > 1 else options.set("bias_term", Word("false"))
        message = layer.message.set_all("param", specs).set(self.target.field, options)
        kind = layer.type if layer.type == "InnerProduct" else kind
        return replace(
            layer, name=layer.name + name, type=kind, message=message, tensors=tuple(tensors), inputs=(), outputs=()
        )

    @property
    def options(self) -> Message:
        """The layer's own parameters."""
        return self.target.layer.message.message(self.target.field)


class Convolving(Method):
    """What the methods for convolutions of pictures have in common."""

    @property
    def placed(self) -> Convolution:
        """The layer in its place."""
        placed = self.target.placed
        if not isinstance(placed, Convolution):
            raise TypeError(placed)
        return placed

    @cached_property
    def roots(self) -> tuple[tuple[Array, Array] | None, tuple[Array, Array], tuple[Array, Array]]:
        """How the inputs vary: roots, and their inverses, of what is supposed of channels (None: nothing), of rows and
        of columns of a window. An error of the kernel counts by what it does to such inputs."""
        smooth = (SMOOTH, SMOOTH) if self.seen is None else self.seen.smooth.correlations
        axes = zip(smooth, self.placed.kernel, self.placed.dilation, strict=True)
        rows, columns = (root(decaying(one, size, distance)) for one, size, distance in axes)
        channels = root(self.seen.given.centred) if self.seen is not None and self.placed.group == 1 else None
        return channels, rows, columns

    @cached_property
    def kernel(self) -> Array:
        """The weights by what they do to such inputs."""
        channels, rows, columns = self.roots
        weights: Array = np.einsum("oiyx,yv,xu->oivu", self.target.weights, rows[0], columns[0], optimize=True)
        if channels is not None:
            weights = np.einsum("oiyx,ij->ojyx", weights, channels[0], optimize=True)
        return weights

    def corrected(self, summed: Array) -> list[Dense]:
        """The last layer's bias, such that the mean of the outputs stays. ``summed``: outputs × inputs, the new kernels
        summed over their windows."""
        if self.seen is None or self.placed.group > 1:
            return self.bias()
        bias = 0.0 if self.target.bias is None else self.target.bias
        lost = self.target.weights.sum(axis=(2, 3)) - summed
        return [Dense((bias + lost @ self.seen.given.mean).astype(self.target.layer.tensors[0].dtype))]

    @property
    def inputs(self) -> int:
        """Input channels of a group."""
        return self.placed.channels // self.placed.group

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.placed.filters // self.placed.group

    @property
    def places(self) -> int:
        """Output positions of the whole batch."""
        return self.positions(self.placed.positions())

    def positions(self, sizes: Shape) -> int:
        """Positions of the whole batch on a map of that size."""
        return count(self.placed.inputs[0], 0, self.placed.channel_axis) * count(sizes)

    def windowed(self, outputs: int, height: bool = True, width: bool = True, group: bool = True) -> Message:
        """Parameters of a layer that has kernel, stride, padding and dilation along one axis, both or none."""
        options = self.options.remove(*WINDOW).set("num_output", outputs)
        if not group:
            options = options.remove("group")
        axes = (height, width)
        found: list[Field] = []
        for name, values, default in (
            ("kernel", self.placed.kernel, None),
            ("stride", self.placed.stride, 1),
            ("pad", tuple(before for before, _ in self.placed.padding), 0),
        ):
            neutral = 1 if default is None else default
            sizes = [size if along else neutral for size, along in zip(values, axes, strict=True)]
            if default is None or any(size != default for size in sizes):
                found += sized(name, sizes)
        dilation = [size if along else 1 for size, along in zip(self.placed.dilation, axes, strict=True)]
        if any(size != 1 for size in dilation):
            found += [Field("dilation", size) for size in (dilation[:1] if len(set(dilation)) == 1 else dilation)]
        return Message((*options.fields, *found), options.tail)


WINDOW = (
    *("kernel_size", "kernel_h", "kernel_w", "stride", "stride_h", "stride_w"),
    *("pad", "pad_h", "pad_w", "dilation", "hole", "hole_h", "hole_w"),
)


def sized(name: str, sizes: list[int]) -> list[Field]:
    """Kernel, stride or padding along both axes."""
    if sizes[0] == sizes[1]:
        return [Field("kernel_size" if name == "kernel" else name, sizes[0])]
    return [Field(f"{name}_h", sizes[0]), Field(f"{name}_w", sizes[1])]
