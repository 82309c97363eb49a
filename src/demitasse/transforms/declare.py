"""Data layers give way to declared inputs: an Input layer for each value that a deployed network has to be given.

The shape is what the data layer says (crop, resizing, a mean for each channel), as a batch of one; channels come from
the weights of whoever reads them. What is still unknown has to be stated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from demitasse.errors import NetError, OptionError
from demitasse.layers import UNKNOWN, MaybeShape, build, infer, known
from demitasse.message import Message
from demitasse.net import Layer, Net
from demitasse.transforms.roles import is_source
from demitasse.transforms.wiring import Value, Wiring, fresh

__all__ = ["declare_inputs", "input_message", "source_shapes"]

MOVING: Final = frozenset({"Concat", "Dropout", "Power", "ReLU", "Scale", "Split"})
"""Types between data and the layer whose weights tell the channels, that keep their number."""


def source_shapes(net: Net) -> Mapping[str, MaybeShape]:
    """Shapes of blobs as far as the text tells them."""
    try:
        return infer(build(net), strict=False).blobs
    except NetError:
        return {}


def declare_inputs(
    wiring: Wiring, shapes: Mapping[str, MaybeShape], stated: Mapping[str, tuple[int, ...]]
) -> list[Layer]:
    """Replace every data layer of which something is read by Input layers, and remove the others; the new layers.

    OptionError for a shape that is not known, or stated for something that is no input."""
    added: list[Layer] = []
    taken = {layer.name for layer in wiring.layers.values()}
    for key in [key for key, layer in wiring.layers.items() if is_source(layer)]:
        source = wiring.layers[key]
        for number, name in enumerate(source.outputs):
            value = (key, number)
            if wiring.readers(value):
                shape = declared(wiring, value, shapes.get(name), stated.get(name))
                layer = input_layer(fresh(name, taken - {source.name}), name, shape)
                new = wiring.add(layer, (), before=key)
                taken.add(layer.name)
                wiring.redirect(value, (new, 0))
                added.append(layer)
        wiring.remove(key)
    for key, layer in list(wiring.layers.items()):
        if layer.type == "Input" and not stated.keys().isdisjoint(layer.outputs):
            wiring.layers[key] = restated(layer, shapes, stated)
    names = {name for layer in wiring.layers.values() if layer.type == "Input" for name in layer.outputs}
    if unused := [name for name in stated if name not in names]:
        raise OptionError(f'"{unused[0]}" is no input of the network; it has {", ".join(sorted(names)) or "none"}')
    return added


def restated(layer: Layer, shapes: Mapping[str, MaybeShape], stated: Mapping[str, tuple[int, ...]]) -> Layer:
    """An Input layer with the shapes that are stated; the others stay."""
    found: list[tuple[str, Message]] = []
    for name in layer.outputs:
        shape = stated.get(name) or shapes.get(name)
        if shape is None or not known(shape):
            raise OptionError(f'the file does not say the shape of "{name}": give --input for it, too')
        found.append(("shape", Message.of(*(("dim", size) for size in shape))))
    return replace(layer, message=layer.message.set("input_param", Message.of(*found)))


def input_layer(name: str, blob: str, shape: Sequence[int]) -> Layer:
    """An Input layer for one blob."""
    return Layer(name, "Input", (), (blob,), input_message(shape))


def input_message(shape: Sequence[int]) -> Message:
    """The parameters of an Input layer."""
    dims = Message.of(*(("dim", size) for size in shape))
    return Message.of(("input_param", Message.of(("shape", dims))))


def declared(wiring: Wiring, value: Value, shape: MaybeShape, stated: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape to declare."""
    if stated is not None:
        return stated
    name = wiring.names[value]
    if shape is not None and shape:
        sizes = list(shape)
        if len(sizes) != 2 or sizes[0] is UNKNOWN:
            sizes[0] = 1
        if len(sizes) > 1 and sizes[1] is UNKNOWN:
            sizes[1] = channels(wiring, value) or UNKNOWN
        shape = tuple(sizes)
    if not known(shape) or not shape:
        example = "x".join(str(size) if size is not UNKNOWN else "N" for size in shape or (UNKNOWN,) * 4)
        raise OptionError(f'the file does not say the shape of "{name}": give --input {name}={example} (N: numbers)')
    return shape


def channels(wiring: Wiring, value: Value) -> int | None:
    """How many channels the first layer with weights that reads a value needs."""
    waiting = [value]
    for value in waiting:
        for key, _ in wiring.readers(value):
            layer = wiring.layers[key]
            if layer.type == "Convolution" and layer.tensors:
                shape = layer.tensors[0].shape
                return shape[1] * layer.message.message("convolution_param").integer("group", 1)
            if layer.type in MOVING and len(waiting) < 16:
                waiting += [(key, number) for number in range(len(layer.outputs))]
    return None
