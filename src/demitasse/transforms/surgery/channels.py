"""Channels taken out by number, and copies of channels put in such that the network computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError, OptionError
from demitasse.layers import build, infer
from demitasse.layers.ties import Ties, tie
from demitasse.net import Dense, Layer, Net
from demitasse.transforms.consistency import consistent
from demitasse.transforms.removal import removed
from demitasse.transforms.surgery.layers import found
from demitasse.transforms.transform import done
from demitasse.transforms.weighted import BLIND, WEIGHTED, Weighted, weighted
from demitasse.transforms.wiring import Wiring

__all__ = ["add_channels", "keep_channels"]

CHANNELWISE: Final = frozenset(
    {
        *("AbsVal", "BNLL", "BatchNorm", "Bias", "Clip", "Dropout", "ELU", "Exp", "HardSigmoid", "HardSwish", "Log"),
        *("PReLU", "Pooling", "Power", "ReLU", "ReLU6", "Scale", "Sigmoid", "Split", "Swish", "TanH", "Threshold"),
    }
)
"""Types that treat every channel for itself, with one number or none of each blob a channel."""

Places = npt.NDArray[np.int64]


def keep_channels(net: Net, layer: str, indices: Sequence[int]) -> Net:
    """Only these output channels of a layer, in their old order; whatever reads or shares them changes along.

    Channels that are tied to those that leave, by Eltwise for one, leave with them. OptionError for numbers that are
    none of the layer's, NetError for channels that have to stay, with the reason.
    """
    ties = tie(net)
    position = net.layers.index(found(net, layer))
    places = ties.by_position.get(position, ())
    units = places[0].outputs[0] if places and places[0].outputs else None
    if units is None:
        raise NetError(f"{net.layers[position]} has no channels that could be followed")
    count = len(units)
    if len(set(indices)) != len(indices) or not indices or not all(0 <= index < count for index in indices):
        raise OptionError(f"{layer} has channels 0 to {count - 1}: name one or more of them, each once")
    leaving = np.setdiff1d(np.arange(count), np.asarray(indices))
    if not len(leaving):
        return net
    gone = ties.closed([units.ids[leaving]])
    check_free(ties, gone, layer)
    layers = removed(ties, ~gone)
    return consistent(net.with_layers(layers, done("surgery", layer, f"{len(indices)} of {count} channels kept")))


def check_free(ties: Ties, gone: npt.NDArray[np.bool_], layer: str) -> None:
    """NetError if something holds a channel that should leave."""
    for pin in ties.pins:
        if gone[pin.ids].any():
            raise NetError(f"{layer}: channels have to stay because of {ties.net.layers[pin.layer]}: {pin.text}")


def add_channels(net: Net, layer: str, count: int, *, of: Sequence[int] | None = None) -> Net:
    """A layer with so many output channels more, copies of those that are there (``of``: of which; by default one after
    the other), and with weights of their readers shared out among them: the outputs stay the same.

    The widening of Net2Net (Chen, Goodfellow and Shlens, 2016). NetError if what reads the layer treats channels
    together or adds them to others'.
    """
    wiring = Wiring.of(net)
    shapes = infer(build(net), strict=False).blobs
    old = found(net, layer)
    key = next((key for key, one in wiring.layers.items() if one is old), None)
    shape = shapes.get(old.inputs[0]) if old.inputs else None
    target = weighted(old, shape)
    if key is None or isinstance(target, str) or target.group != 1:
        why = target if isinstance(target, str) else "it has groups, or is not of the test phase"
        raise NetError(f"{old} cannot be widened: {why}")
    copies = np.asarray(of if of is not None else np.arange(count) % target.outputs, np.int64)
    if count < 1 or len(copies) != count or copies.min() < 0 or copies.max() >= target.outputs:
        raise OptionError(f"{layer}: {count} channels need as many of 0 to {target.outputs - 1} to be copies of")
    every = np.concatenate([np.arange(target.outputs), copies])
    share = 1.0 / np.bincount(every)[every]
    wiring.change(key, widened(target, every))
    waiting = [(key, 0)]
    while waiting:
        value = waiting.pop()
        if value in wiring.fixed:
            raise NetError(f'"{wiring.names[value]}" is an output of the network, and cannot be widened')
        for reader, _ in wiring.readers(value):
            one = wiring.layers[reader]
            if one.type in WEIGHTED:
                wiring.change(reader, reading(one, shapes.get(wiring.names[value]), every, share))
            elif one.type in CHANNELWISE and len(one.inputs) == 1:
                wiring.change(reader, copied(one, target.outputs, every))
                waiting += [(reader, number) for number in range(len(one.outputs))]
            elif one.type not in BLIND:
                raise NetError(f"{one} reads {layer}, and does not treat its channels one by one")
    return consistent(wiring.net(done("surgery", layer, f"{count} channels added to {target.outputs}")))


def widened(target: Weighted, every: Places) -> Layer:
    """The layer with these of its output channels."""
    layer = target.layer
    axis = 1 if target.transposed or layer.type == "Deconvolution" else 0
    weights = np.take(target.weights, every, axis)
    bias = [] if target.bias is None else [Dense(target.bias[every])]
    options = layer.message.message(target.field).set("num_output", len(every))
    return replace(layer, message=layer.message.set(target.field, options), tensors=(Dense(weights), *bias))


def copied(layer: Layer, channels: int, every: Places) -> Layer:
    """A layer with one number a channel, with these channels."""
    tensors = [
        Dense(tensor.array()[every]) if tensor.shape == (channels,) and channels > 1 else tensor
        for tensor in layer.tensors
    ]
    if layer.type == "BatchNorm" and channels == 1:
        tensors = [Dense(tensor.array()[every]) for tensor in layer.tensors[:2]] + list(layer.tensors[2:])
    return layer.with_tensors(tensors)


def reading(layer: Layer, shape: tuple[int, ...] | None, every: Places, share: npt.NDArray[np.float64]) -> Layer:
    """A reader that sees these channels, and gives each its share. ``shape``: of what it read before."""
    target = weighted(layer, shape)
    if isinstance(target, str) or target.group != 1 or shape is None:
        why = target if isinstance(target, str) else "it has groups"
        raise NetError(f"{layer} reads the channels: {why}")
    rows = target.by_inputs(target.weights, shape[target.axis])[:, :, every] * share[None, None, :, None]
    whole = list(target.weights.shape)
    axis = 0 if target.transposed or layer.type == "Deconvolution" else 1
    whole[axis] = whole[axis] // shape[target.axis] * len(every)
    weights = target.stored(rows, tuple(whole)).astype(target.weights.dtype)
    return layer.with_tensors((Dense(np.ascontiguousarray(weights)), *layer.tensors[1:]))
