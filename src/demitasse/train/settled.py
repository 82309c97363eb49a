"""What training for bytes leaves, made ready to be stored: without what died in it, and in the order that codes best.

Outputs of hidden layers may stand in any order, if what reads them follows. The coder learns as it goes, from row to
row: rows with many weights come first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from demitasse.net import Layer, Levels, Net, Tensor
from demitasse.transforms.shrink import Shrink

__all__ = ["by_use", "ordered", "settled"]

CHANNELWISE: Final = frozenset(
    ("AbsVal", "BNLL", "Dropout", "ELU", "Exp", "Log", "Pooling", "Power", "ReLU", "Sigmoid", "Swish", "TanH")
)
"""Types that do the same to every channel, with no weights of their own."""


def settled(net: Net, grid: float) -> Net:
    """The network without dead units, ordered, and with biases on their grid.

    What a dead unit gave all the time is in the biases behind it; these are rounded to multiples of ``grid`` again, if
    that is what they were before.
    """
    before = {layer.name: layer.tensors for layer in net.layers}

    def rounded(name: str, k: int, tensor: Tensor) -> Tensor:
        was = before[name][k] if name in before and k < len(before[name]) else None
        if not isinstance(was, Levels) or isinstance(tensor, Levels) or len(tensor.shape) != 1:
            return tensor
        return Levels(np.rint(tensor.array() / grid).astype(np.int32), np.array([grid], np.float32))

    small = Shrink()(net)
    return ordered(
        small.with_layers(
            layer.with_tensors(rounded(layer.name, k, tensor) for k, tensor in enumerate(layer.tensors))
            for layer in small.layers
        )
    )


def ordered(net: Net) -> Net:
    """The same network with the outputs of its quantised layers in the order of `by_use`, where one layer alone reads
    them."""
    layers = list(net.layers)
    for i in range(len(layers)):
        reader = reader_of(layers, i)
        if reader is None:
            continue
        weights = quantised(layers[i])[0]
        order = by_use(weights.levels)
        layers[i] = layers[i].with_tensors(replace(one, levels=one.levels[order]) for one in quantised(layers[i]))
        seen, *rest = layers[reader].tensors
        assert isinstance(seen, Levels)  # as `reader_of` found it
        # Columns are by input, then by position.
        columns = seen.levels.reshape(seen.shape[0], len(order), -1)[:, order].reshape(seen.shape)
        layers[reader] = layers[reader].with_tensors([replace(seen, levels=columns), *rest])
    return net.with_layers(layers)


def by_use(levels: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.intp]:
    """The rows of a matrix or of filters, those with most weights first."""
    return np.argsort(-np.count_nonzero(levels.reshape(levels.shape[0], -1), axis=1), kind="stable")


def reader_of(layers: list[Layer], i: int) -> int | None:
    """The layer, by position, that alone reads what one gives, both of them free to change the order; or none."""
    if not can_be_ordered(layers[i]) or not all(one.steps.size == 1 for one in quantised(layers[i])):
        return None
    blob = layers[i].outputs[0]
    for k in range(i + 1, len(layers)):
        layer = layers[k]
        if blob not in layer.inputs:
            continue
        later = [one for one in layers[k + 1 :] if blob in one.inputs]
        if later and layer.outputs != (blob,):
            return None
        if layer.type in CHANNELWISE and len(layer.inputs) == 1 and len(layer.outputs) == 1:
            blob = layer.outputs[0]
        elif can_be_ordered(layer) and len(layer.inputs) == 1:
            return k
        else:
            return None
    return None


def can_be_ordered(layer: Layer) -> bool:
    """Whether it has quantised weights whose axes are outputs and inputs, none of them shared or in groups."""
    field = {"InnerProduct": "inner_product_param", "Convolution": "convolution_param"}.get(layer.type)
    if field is None or not layer.tensors or not quantised(layer):
        return False
    options = layer.message.message(field)
    plain = options.integer("group", 1) == 1 and options.integer("axis", 1) == 1 and not options.flag("transpose")
    return plain and not any(spec.string("name") for spec in layer.message.messages("param"))


def quantised(layer: Layer) -> tuple[Levels, ...]:
    """The tensors of a layer that has levels only, without a trellis; else none."""
    found = tuple(one for one in layer.tensors if isinstance(one, Levels) and not one.trellis)
    return found if len(found) == len(layer.tensors) else ()
