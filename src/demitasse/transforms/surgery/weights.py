"""Weights taken from elsewhere, and preprocessing moved into the first layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from demitasse.errors import NetError, OptionError, WeightsError
from demitasse.layers import build, infer, known
from demitasse.message import Message, Word
from demitasse.net import Dense, Layer, Net
from demitasse.transforms.consistency import consistent
from demitasse.transforms.fold import Folding
from demitasse.transforms.surgery.layers import found
from demitasse.transforms.transform import done
from demitasse.transforms.weighted import BLIND, Weighted, weighted
from demitasse.transforms.wiring import Value, Wiring, fresh

__all__ = ["copy_weights", "fold_preprocessing", "swap_channels"]


def copy_weights(net: Net, source: Net, mapping: Mapping[str, str] | None = None) -> Net:
    """The network with weights of another: of all layers of the same name, or of those that ``mapping`` names, from the
    network's own to the other's.

    By name shapes have to agree, as in Caffe; by mapping only how many numbers there are, which keep their order.
    WeightsError if they do not, NetError for a name that is not there.
    """
    theirs = {layer.name: layer for layer in source.layers if layer.tensors}
    pairs = {layer.name: layer.name for layer in net.layers if layer.name in theirs} if mapping is None else mapping
    for own, other in pairs.items():
        found(net, own)
        if other not in theirs:
            raise NetError(f'no layer "{other}" with weights in network "{source.name}"')
    shapes = {
        id(layer): needed
        for layer, needed in zip(build(net).layers, infer(build(net)).parameters, strict=True)
        if needed is not None
    }
    layers = []
    for layer in net.layers:
        if layer.name not in pairs:
            layers.append(layer)
            continue
        tensors = theirs[pairs[layer.name]].tensors
        needed = shapes.get(id(layer), tuple(tensor.shape for tensor in tensors))
        for index, (tensor, shape) in enumerate(zip(tensors, needed, strict=False)):
            same = tensor.size == int(np.prod(shape)) if mapping is not None else tensor.shape == shape
            if not same:
                raise WeightsError(
                    f'{layer}, blob {index} is {list(shape)}, and that of "{pairs[layer.name]}" is {list(tensor.shape)}'
                )
        if len(tensors) != len(needed):
            raise WeightsError(f'{layer} needs {len(needed)} blobs, and "{pairs[layer.name]}" has {len(tensors)}')
        layers.append(
            layer.with_tensors(
                tensor if tensor.shape == shape else Dense(tensor.array().reshape(shape))
                for tensor, shape in zip(tensors, needed, strict=True)
            )
        )
    text = f"weights of {len(pairs)} layers copied from {source.name or 'another network'}"
    return consistent(net.with_layers(layers, done("surgery", "", text)))


def swap_channels(net: Net, order: Sequence[int] = (2, 1, 0), *, input: str | None = None) -> Net:
    """The network for pictures whose channels come in another order: ``order[i]`` is where channel i is to be found
    (blue first to red first and back, by default). Exact: the weights of the first layers change places.

    NetError if something else than a Convolution or InnerProduct of one group reads the input.
    """
    wiring, value, shape = entrance(net, input)
    if sorted(order) != list(range(shape[1])):
        raise OptionError(f'order has to name each of the {shape[1]} channels of "{wiring.names[value]}" once')
    inverse = np.argsort(np.asarray(order))
    for key in seeing(wiring, value):
        target = first_layer(wiring, key, shape)
        if target.group != 1:
            raise NetError(f"{target.layer} has groups, which see other channels each")
        rows = target.by_inputs(target.weights, shape[1])[:, :, inverse]
        weights = np.ascontiguousarray(target.stored(rows, target.weights.shape))
        tensors = (Dense(weights), *target.layer.tensors[1:])
        wiring.change(key, target.layer.with_tensors(tensors))
    text = f"channels of {wiring.names[value]} in the order {', '.join(map(str, order))}"
    return consistent(wiring.net(done("surgery", "", text)))


def fold_preprocessing(
    net: Net, mean: Sequence[float] = (0.0,), scale: float = 1.0, *, input: str | None = None
) -> Net:
    """The network for pictures as they are: it gives for x what it gave for ``(x - mean) * scale``. Exact.

    The first layers take it in, unless they pad their input and there is a mean: what they pad with is zero before
    and after, and so a Scale layer does the work.
    """
    wiring, value, shape = entrance(net, input)
    if len(mean) not in (1, shape[1]):
        raise OptionError(f'mean has {len(mean)} values, and "{wiring.names[value]}" has {shape[1]} channels')
    scales = np.full(shape[1], scale, np.float32)
    shifts = -np.broadcast_to(np.asarray(mean, np.float64), shape[1]) * scale
    name = fresh(f"{wiring.names[value]}_scale", {*wiring.names.values(), *(one.name for one in net.layers)})
    options = Message.of(("scale_param", Message.of(("bias_term", Word("true")))))
    tensors = (Dense(scales), Dense(shifts.astype(np.float32)))
    layer = Layer(name, "Scale", (wiring.names[value],), (name,), options, tensors)
    behind = next(key for key in wiring.layers if any(key == reader for reader, _ in wiring.readers(value)))
    key = wiring.add(layer, [], before=behind)
    wiring.redirect(value, (key, 0))
    wiring.sources[key] = [value]
    work = Folding.of(wiring.net())
    place = next(key for key, one in work.wiring.layers.items() if one.name == name)
    work.ahead(place)
    where = "in the first layers" if place not in work.wiring.layers else f"in {name}: the first layers pad"
    said = f"(x - {', '.join(f'{one:g}' for one in mean)}) * {scale:g} {where}"
    return consistent(work.wiring.net(done("surgery", "", said)))


def entrance(net: Net, input: str | None) -> tuple[Wiring, Value, tuple[int, ...]]:
    """The input of the network of that name, or its first one of four axes, with its shape."""
    wiring = Wiring.of(net)
    shapes = infer(build(net), strict=False).blobs
    for key, layer in wiring.layers.items():
        for number, name in enumerate(layer.outputs if layer.type == "Input" else ()):
            shape = shapes.get(name)
            if known(shape) and (name == input or (input is None and len(shape) == 4)):
                seeing(wiring, (key, number))
                return wiring, (key, number), shape
    raise NetError("the network has no input for pictures" if input is None else f'the network has no input "{input}"')


def seeing(wiring: Wiring, value: Value) -> list[int]:
    """The layers that read the values, and not only their shape. NetError if none does."""
    found = [key for key, _ in wiring.readers(value) if wiring.layers[key].type not in BLIND]
    if not found:
        raise NetError(f'nothing reads the input "{wiring.names[value]}"')
    return found


def first_layer(wiring: Wiring, key: int, shape: tuple[int, ...]) -> Weighted:
    """A reader of the input. NetError if its weights cannot be worked with."""
    target = weighted(wiring.layers[key], shape)
    if isinstance(target, str):
        raise NetError(f"{wiring.layers[key]} reads the input: {target}")
    return dataclasses.replace(target)
