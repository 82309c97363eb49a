"""Layers whose work is one linear map: Convolution, Deconvolution, InnerProduct. Their weights as arrays by output
channel and by input channel, whichever way round they are stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.layers import MaybeShape, layer_type
from demitasse.layers.convolution import Convolution
from demitasse.layers.inner_product import InnerProduct
from demitasse.message import Message, Word
from demitasse.net import Dense, Layer
from demitasse.transforms.affine import Affine

__all__ = ["BLIND", "CONVOLUTIONS", "WEIGHTED", "Weighted", "shared_names", "weighted"]

CONVOLUTIONS: Final = frozenset({"Convolution", "ConvolutionDepthwise", "DepthwiseConvolution"})

WEIGHTED: Final = CONVOLUTIONS | {"Deconvolution", "InnerProduct"}

BLIND: Final = frozenset({"PriorBox", "Silence"})
"""Types to which the values that they read are all the same: only the shape counts."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Weighted:
    """Such a layer with one input and one output, its weights and, maybe, its bias, in its place."""

    layer: Layer
    placed: Convolution | InnerProduct

    @property
    def is_product(self) -> bool:
        """Whether it is an InnerProduct."""
        return self.layer.type == "InnerProduct"

    @cached_property
    def field(self) -> str:
        """Name of its parameter message."""
        return self.placed.field

    @cached_property
    def weights(self) -> Array:
        """As they are stored."""
        return self.layer.tensors[0].array()

    @property
    def bias(self) -> Array | None:
        """One number per output channel."""
        return self.layer.tensors[1].array() if len(self.layer.tensors) > 1 else None

    @property
    def group(self) -> int:
        """Number of groups; 1 for an InnerProduct."""
        return 1 if isinstance(self.placed, InnerProduct) else self.placed.group

    @property
    def transposed(self) -> bool:
        """Whether an InnerProduct's weights are inputs × outputs."""
        return self.is_product and self.layer.message.message(self.field).flag("transpose")

    @property
    def axis(self) -> int:
        """The axis of the output that holds the channels; for an InnerProduct also where what is summed begins."""
        return self.placed.first if isinstance(self.placed, InnerProduct) else self.placed.channel_axis

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.placed.units if isinstance(self.placed, InnerProduct) else self.placed.filters

    @property
    def pads(self) -> bool:
        """Whether some outputs see fewer inputs than others."""
        if isinstance(self.placed, InnerProduct):
            return False
        if self.layer.type == "Deconvolution":
            once = all(size == 1 for size in (*self.placed.kernel, *self.placed.stride))
            return not once or any(map(any, self.placed.padding))
        return any(map(any, self.placed.padding))

    def scaled(self, after: Affine) -> Layer:
        """The layer with an affine one behind it."""
        after = after.spread(self.outputs)
        weights = self.weights.astype(np.float64)
        if self.transposed:
            weights *= after.scale
        elif self.layer.type == "Deconvolution":
            per = self.outputs // self.group
            shape = (self.group, weights.shape[0] // self.group, per, *weights.shape[2:])
            factor = after.scale.reshape(self.group, 1, per, *(1 for _ in weights.shape[2:]))
            weights = (weights.reshape(shape) * factor).reshape(weights.shape)
        else:
            weights *= after.scale.reshape(-1, *(1 for _ in weights.shape[1:]))
        bias = np.zeros(self.outputs) if self.bias is None else self.bias.astype(np.float64)
        return self.rebuilt(weights, bias * after.scale + after.shift)

    def preceded(self, before: Affine, channels: int) -> Layer:
        """The layer with an affine one in front of it, whose channels it sees; exact if nothing is padded, or nothing
        shifted."""
        before = before.spread(channels)
        weights = self.weights.astype(np.float64)
        rows = self.by_inputs(weights, channels)
        added = np.einsum("gocs,gc->go", rows, before.shift.reshape(rows.shape[0], -1)).reshape(-1)
        rows *= before.scale.reshape(rows.shape[0], 1, -1, 1)
        bias = np.zeros(self.outputs) if self.bias is None else self.bias.astype(np.float64)
        return self.rebuilt(self.stored(rows, weights.shape), bias + added)

    def by_inputs(self, weights: Array, channels: int) -> Array:
        """Groups × outputs of a group × input channels of a group × the rest."""
        if self.transposed:
            weights = weights.T
        if self.layer.type == "Deconvolution":
            own, per = channels // self.group, self.outputs // self.group
            grouped = weights.reshape(self.group, own, per, -1)
            return np.ascontiguousarray(grouped.transpose(0, 2, 1, 3))
        return weights.reshape(self.group, self.outputs // self.group, channels // self.group, -1).copy()

    def stored(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """What `by_inputs` gave, as it is stored."""
        if self.layer.type == "Deconvolution":
            return rows.transpose(0, 2, 1, 3).reshape(shape)
        return rows.reshape(shape[::-1]).T if self.transposed else rows.reshape(shape)

    def rebuilt(self, weights: Array, bias: Array) -> Layer:
        """The layer with these weights, in the precision that it had. A bias of zeros is not added where none was."""
        kind = self.layer.tensors[0].dtype
        tensors = [Dense(np.ascontiguousarray(weights, kind))]
        message = self.layer.message
        if self.bias is not None or np.any(bias):
            tensors.append(Dense(bias.astype(kind)))
            options = message.message(self.field).remove("bias_term")
            message = message if self.bias is not None else message.set(self.field, options)
        return replace(self.layer, message=message, tensors=tuple(tensors))


def weighted(layer: Layer, shape: MaybeShape) -> Weighted | str:
    """The layer, if it is such a one on an input of that shape; or why it cannot be worked with."""
    if layer.type not in WEIGHTED:
        return f"{layer.type} has no weights that could take it in"
    if len(layer.inputs) != 1 or len(layer.outputs) != 1:
        return "it has several inputs"
    if shape is None:
        return "the shape of its input is not known"
    placed = layer_type(layer.type)(layer, (shape,))
    if not isinstance(placed, Convolution | InnerProduct):
        return f"{layer.type} is not known"
    needed = placed.parameters() or ()
    if [tensor.shape for tensor in layer.tensors] != list(needed):
        return "it has no weights" if not layer.tensors else "its weights are of another shape than it needs"
    if layer.tensors[0].dtype == np.float16:
        return "its weights are in half precision already"
    return Weighted(layer, placed)


def shared_names(layers: Iterable[Layer]) -> frozenset[str]:
    """The names under which layers share weights."""
    seen: set[str] = set()
    shared: set[str] = set()
    for layer in layers:
        for spec in layer.message.messages("param"):
            name = spec.string("name")
            if name:
                (shared if name in seen else seen).add(name)
    return frozenset(shared)


def without_bias(message: Message, field: str) -> Message:
    """The parameters of a layer that has no bias."""
    return message.set(field, message.message(field).set("bias_term", Word("false")))
