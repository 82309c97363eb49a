"""A `Net` becomes a prototxt and a caffemodel: plain V2, names and types equal in both, no fields of our own.

The text is the one that was read, with the layers that changed put back into it. The binary is a stream: array by
array, so that writing never holds a second copy of the model.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from demitasse.caffe.encode import encode, field_header, tag, varint
from demitasse.caffe.read import INPUT_FIELDS, input_layer
from demitasse.caffe.text import dump
from demitasse.caffe.wire import VARINT
from demitasse.errors import NetError
from demitasse.message import Field, Message, replaced
from demitasse.net import Layer, Net, Tensor

__all__ = ["buffers", "prototxt", "write_caffemodel"]

_LAYER: Final = 100
_BLOBS: Final = 7
_SHAPE: Final = 7

_CHUNK: Final = 1 << 24
"""Bytes handed to the file at a time."""


def buffers(net: Net) -> tuple[bytes, bytes]:
    """The prototxt and the caffemodel in memory."""
    file = io.BytesIO()
    write_caffemodel(net, file)
    return prototxt(net), file.getvalue()


def prototxt(net: Net) -> bytes:
    """The network as text: the bytes that were read, except for layers that are changed, new or gone."""
    return dump(tree(net))


def tree(net: Net) -> Message:
    """``net.message`` with the network's name and layers put into it.

    A layer keeps its place; a new one stands behind the layer before it.
    """
    root = net.message
    fields: list[Field] = []
    slots = {i for i, field in enumerate(root.fields) if field.name == "layer" or field.name in INPUT_FIELDS}
    inputs = input_layer(root)
    done = 0

    def others(stop: int) -> None:
        nonlocal done
        for i in range(done, stop):
            if i not in slots or i in kept:
                fields.append(root.fields[i])
        done = max(done, stop)

    # Unchanged inputs of the network stay fields of the network, wherever they stand.
    same = next((layer for layer in net.layers if inputs and is_input(layer, inputs)), None)
    kept = set(same.origin) if same else set()
    for layer in net.layers:
        if layer is same:
            continue
        message = layer_message(layer)
        if not layer.origin:
            fields.append(Field("layer", message))
            continue
        others(min(layer.origin))
        old = root.fields[min(layer.origin)] if max(layer.origin) < len(root.fields) else None
        is_layer = old is not None and old.name == "layer"
        fields.append(replaced(old, message) if is_layer and old is not None else Field("layer", message))
    others(len(root.fields))
    if len(fields) == len(root.fields) and all(a is b for a, b in zip(fields, root.fields, strict=True)):
        message = root
    else:
        message = Message(fields, root.tail)
    if net.name != message.string("name"):
        message = message.set("name", net.name) if "name" in message else prepended(message, "name", net.name)
    return message


def is_input(layer: Layer, inputs: Layer) -> bool:
    """Whether a layer is still the Input layer that stands for the network's own inputs."""
    return (
        layer.origin == inputs.origin
        and layer.type == "Input"
        and layer.name == inputs.name
        and layer.outputs == inputs.outputs
        and layer.message == inputs.message
    )


def layer_message(layer: Layer) -> Message:
    """The layer's message with its name, type, inputs and outputs as the layer has them."""
    message = layer.message
    front: list[tuple[str, tuple[str, ...]]] = [
        ("name", (layer.name,) if layer.name else ()),
        ("type", (layer.type,) if layer.type else ()),
        ("bottom", layer.inputs),
        ("top", layer.outputs),
    ]
    new: list[Field] = []
    for name, values in front:
        if message.strings(name) == values:
            continue
        if name in message:
            message = message.set_all(name, values) if values else message.remove(name)
        else:
            new += [Field(name, value) for value in values]
    return Message((*new, *message.fields), message.tail) if new else message


def prepended(message: Message, name: str, value: str) -> Message:
    """With one more field in front."""
    return Message((Field(name, value), *message.fields), message.tail)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the stream: bytes, or the numbers of a tensor, whose size is known before they are."""

    size: int
    data: bytes | Tensor


def write_caffemodel(net: Net, file: BinaryIO) -> int:
    """Writes the binary to an open file, and returns its size in bytes.

    Parameters are encoded by upstream's schema; what only forks know stays in the prototxt. float32 is written as
    packed floats, float64 as packed doubles, float16 as raw halves in OpenCV's and NVCaffe's form.
    """
    written = 0
    if net.name:
        written += put(file, [whole(encode(Message.of(("name", net.name)), "NetParameter"))])
    for layer in net.layers:
        parts = list(layer_parts(layer))
        size = sum(part.size for part in parts)
        written += put(file, [whole(field_header(_LAYER, size)), *parts])
    return written


def layer_parts(layer: Layer) -> Iterator[Part]:
    """One layer's fields in the order of their numbers, blobs among them."""
    message = layer_message(layer)
    yield whole(encode(message, "LayerParameter", before=_BLOBS))
    for index, tensor in enumerate(layer.tensors):
        parts = blob_parts(tensor, f"{layer}, blob {index}")
        yield whole(field_header(_BLOBS, sum(part.size for part in parts)))
        yield from parts
    yield whole(encode(message, "LayerParameter", after=_BLOBS))


def blob_parts(tensor: Tensor, where: str) -> list[Part]:
    """One blob: numbers and shape, as Caffe's snapshots have them."""
    dims = b"".join(varint(dim) for dim in tensor.shape)
    packed = field_header(1, len(dims)) + dims if dims else b""
    shape = whole(field_header(_SHAPE, len(packed)) + packed)
    numbers = Part(tensor.nbytes, tensor)
    if tensor.dtype == np.float32:
        return [whole(field_header(5, tensor.nbytes)), numbers, shape]
    if tensor.dtype == np.float64:
        return [shape, whole(field_header(8, tensor.nbytes)), numbers]
    if tensor.dtype == np.float16:
        return [shape, whole(tag(10, VARINT) + varint(2) + field_header(12, tensor.nbytes)), numbers]
    raise NetError(f"{where}: {tensor.dtype} cannot be stored in a caffemodel")


def whole(data: bytes) -> Part:
    """Bytes as a piece of the stream."""
    return Part(len(data), data)


def put(file: BinaryIO, parts: list[Part]) -> int:
    """Writes pieces one after the other; a tensor is decoded when its turn comes, and let go behind it."""
    for part in parts:
        if isinstance(part.data, bytes):
            file.write(part.data)
            continue
        for values in part.data.parts():
            data = little_endian(values)
            for start in range(0, len(data), _CHUNK):
                file.write(data[start : start + _CHUNK])
    return sum(part.size for part in parts)


def little_endian(values: npt.NDArray[Any]) -> memoryview:
    """An array's bytes as the file has them, not copied where they already are."""
    values = np.ascontiguousarray(values)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return values.reshape(-1).view(np.uint8).data
