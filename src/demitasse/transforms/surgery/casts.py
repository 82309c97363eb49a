"""InnerProducts as Convolutions and back: the same numbers, seen as kernels that cover the whole input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.layers import build, infer, known
from demitasse.layers.convolution import Convolution
from demitasse.message import Field, Message
from demitasse.net import Dense, Layer, Net
from demitasse.transforms.consistency import consistent
from demitasse.transforms.surgery.layers import found
from demitasse.transforms.transform import done
from demitasse.transforms.weighted import Weighted, weighted

__all__ = ["to_convolution", "to_inner_product"]

COMMON = ("num_output", "bias_term", "weight_filler", "bias_filler")
"""Parameters that both types have."""


def to_convolution(net: Net, name: str) -> Net:
    """An InnerProduct as a Convolution, so that the network can slide over larger pictures.

    What it gives has two more axes, of size one. NetError if what it reads is not of four axes: cast what stands
    before it first.
    """
    target = place(net, name, "InnerProduct")
    shape = target.placed.inputs[0]
    if len(shape) != 4 or target.axis != 1:
        raise NetError(f"{target.layer} reads {len(shape)} axes from axis {target.axis} on: 4 from 1 on can be cast")
    weights = target.weights.T if target.transposed else target.weights
    kernel = [("kernel_size", shape[2])] if shape[2] == shape[3] else [("kernel_h", shape[2]), ("kernel_w", shape[3])]
    return cast(net, target, "Convolution", "convolution_param", dict(kernel), weights.reshape(-1, *shape[1:]))


def to_inner_product(net: Net, name: str) -> Net:
    """A Convolution whose kernel covers its whole input as an InnerProduct. What it gives has the two last axes less.

    NetError if there is more than one position, or padding, dilation or groups.
    """
    target = place(net, name, "Convolution")
    placed, shape = target.placed, target.placed.inputs[0]
    if not isinstance(placed, Convolution) or placed.group != 1 or target.axis != 1:
        raise NetError(f"{target.layer} has {target.group} groups: only one can be cast")
    if placed.kernel != shape[2:] or any(map(any, placed.padding)) or max(placed.dilation) > 1:
        raise NetError(f"{target.layer} has a kernel that does not just cover its input of {shape[2]}×{shape[3]}")
    return cast(net, target, "InnerProduct", "inner_product_param", {}, target.weights.reshape(len(target.weights), -1))


def place(net: Net, name: str, kind: str) -> Weighted:
    """The layer in its place. NetError if it is of another type, or its shapes are not known."""
    layer = found(net, name)
    if layer.type != kind:
        raise NetError(f"{layer} is no {kind}")
    shape = infer(build(net), strict=False).blobs.get(layer.inputs[0]) if layer.inputs else None
    target = weighted(layer, shape)
    if isinstance(target, str) or not known(shape):
        raise NetError(f"{layer} cannot be cast: {target if isinstance(target, str) else 'shapes are not known'}")
    return target


def cast(
    net: Net,
    target: Weighted,
    kind: str,
    field: str,
    more: dict[str, int],
    weights: npt.NDArray[Any],
) -> Net:
    """The network with the layer as another type."""
    layer = target.layer
    options = layer.message.message(target.field)
    own = Message(one for one in options if one.name in COMMON)
    for name, value in more.items():
        own = own.set(name, value)
    message = layer.message.map(lambda one: Field(field, own, one.lead) if one.name == target.field else one)
    tensors = (Dense(np.ascontiguousarray(weights)), *layer.tensors[1:])
    new: Layer = replace(layer, type=kind, message=message, tensors=tensors)
    layers = [new if one is layer else one for one in net.layers]
    return consistent(net.with_layers(layers, done("surgery", layer.name, f"cast to {kind}")))
