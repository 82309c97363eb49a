"""Split layers, which Caffe inserts after a layer whose output is read more than once, and how it names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from demitasse.message import Message
from demitasse.net import Layer

__all__ = ["insert_splits"]

Place = tuple[int, int]
"""Position of a layer, and of one of its outputs."""


def insert_splits(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with a Split ``BLOB_LAYER_i_split`` behind each output that has several readers.

    Every layer may read only what one before it gives.
    A loss weight counts as a reader, and moves to the first output of the Split. An output in place of its input
    is a blob of its own: readers before and after are counted apart.
    """
    sources, readers, weights = trace(layers)
    taken = {place: int(bool(weights.get(place))) for place in readers}
    result: list[Layer] = []
    for i, layer in enumerate(layers):
        inputs = list(layer.inputs)
        for j, source in enumerate(sources[i]):
            if readers[source] > 1:
                inputs[j] = split_output(layers, source, taken[source])
                taken[source] += 1
        shared = [(i, j) for j in range(len(layer.outputs)) if readers.get((i, j), 0) > 1]
        moved = any(weights.get(place) for place in shared)
        message = layer.message.remove("loss_weight") if moved else layer.message
        result.append(replace(layer, inputs=tuple(inputs), message=message))
        result.extend(split_layer(layers, place, readers[place], weights.get(place, 0.0)) for place in shared)
    return result


def trace(layers: Sequence[Layer]) -> tuple[list[list[Place]], dict[Place, int], dict[Place, float]]:
    """Where each input of each layer comes from, how many readers each output has, and its loss weight."""
    last: dict[str, Place] = {}
    sources: list[list[Place]] = []
    readers: dict[Place, int] = {}
    weights: dict[Place, float] = {}
    for i, layer in enumerate(layers):
        sources.append([last[name] for name in layer.inputs])
        for place in sources[-1]:
            readers[place] = readers.get(place, 0) + 1
        last.update({name: (i, j) for j, name in enumerate(layer.outputs)})
        for name, weight in zip(layer.outputs, layer.message.numbers("loss_weight"), strict=False):
            weights[last[name]] = weight
            if weight:
                readers[last[name]] = readers.get(last[name], 0) + 1
    return sources, readers, weights


def split_name(layers: Sequence[Layer], place: Place) -> str:
    """Name of the Split behind an output."""
    layer, output = layers[place[0]], place[1]
    return f"{layer.outputs[output]}_{layer.name}_{output}_split"


def split_output(layers: Sequence[Layer], place: Place, reader: int) -> str:
    """What the Split calls the output for that reader."""
    return f"{split_name(layers, place)}_{reader}"


def split_layer(layers: Sequence[Layer], place: Place, readers: int, weight: float) -> Layer:
    """The Split behind an output."""
    name = split_name(layers, place)
    blob = layers[place[0]].outputs[place[1]]
    outputs = tuple(split_output(layers, place, reader) for reader in range(readers))
    pairs = [("name", name), ("type", "Split"), ("bottom", blob), *(("top", output) for output in outputs)]
    message = Message.of(*pairs)
    if weight:
        for reader in range(readers):
            message = message.add("loss_weight", weight if reader == 0 else 0.0)
    return Layer(name, "Split", (blob,), outputs, message)
