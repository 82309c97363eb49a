"""A `Net` becomes a prototxt and a caffemodel: plain V2, names and types equal in both, no fields of our own.

The text is the one that was read, with the layers that changed put back into it. The binary is a stream: array by
array, so that writing never holds a second copy of the model.
"""

from __future__ import annotations

import io
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from demitasse.caffe.encode import encode, field_header, tag
from demitasse.caffe.read import INPUT_FIELDS, input_layer
from demitasse.caffe.text import dump
from demitasse.caffe.wire import VARINT
from demitasse.errors import NetError
from demitasse.message import Field, Message, replaced
from demitasse.net import Layer, Net, Tensor
from demitasse.varint import varint

__all__ = ["buffers", "prototxt", "put_blob", "write_caffemodel"]

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

    A layer keeps its place; a new one stands behind the layer before it, or before all others.
    """
    root = net.message
    inputs = input_layer(root)
    # Unchanged inputs of the network stay fields of the network, wherever they stand.
    untouched = next((layer for layer in net.layers if inputs and is_input(layer, inputs)), None)
    kept = untouched.origin if untouched else ()
    slots = {i for i, one in enumerate(root) if one.name == "layer" or one.name in INPUT_FIELDS} - set(kept)
    first = next((i for i, one in enumerate(root) if one.name == "layer"), len(root))
    body = Body(slots, {layer.origin[0] for layer in net.layers if layer.origin})
    done = 0
    for layer in net.layers:
        if layer is not untouched:
            place = min(layer.origin, default=done or first)
            body.extend(root.fields[done:place], done)
            done = max(done, place)
            body.add(layer_field(layer, root))
    body.extend(root.fields[done:], done)
    return named(body.message(root), net.name)


@dataclass(slots=True)
class Body:
    """A message in the making.

    ``slots``: positions in the old one of what is added by itself or gone; ``used``: those of the former. ``loose``: a
    comment behind the field before, that stood in front of one that is gone.
    """

    slots: Container[int]
    used: Container[int]
    fields: list[Field] = field(default_factory=list)
    loose: str = ""

    def add(self, new: Field) -> None:
        """One more field."""
        if self.loose and new.lead is not None:
            new = Field(new.name, new.value, self.loose + new.lead, new.text)
            self.loose = ""
        self.fields.append(new)

    def extend(self, fields: Sequence[Field], start: int) -> None:
        """These fields of the old message, of which ``start`` is the first, but for the slots."""
        for i, old in enumerate(fields, start):
            if i not in self.slots:
                self.add(old)
            elif i not in self.used and old.lead and "#" in (beside := old.lead.split("\n", 1)[0]):
                self.loose += beside

    def message(self, old: Message) -> Message:
        """The new message; the old one if nothing has changed."""
        if len(self.fields) == len(old) and all(a is b for a, b in zip(self.fields, old, strict=True)):
            return old
        return Message(self.fields, self.loose + old.tail if old.tail is not None else None)


def named(root: Message, name: str) -> Message:
    """The tree of the network of that name."""
    if root.string("name") == name:
        return root
    return root.set("name", name) if "name" in root else Message((Field("name", name), *root.fields), root.tail)


def layer_field(layer: Layer, root: Message) -> Field:
    """The field of a layer: the one that it was read from, with what has changed, or a new one."""
    message = layer_message(layer)
    old = root.fields[layer.origin[0]] if layer.origin and layer.origin[0] < len(root) else None
    return replaced(old, message) if old is not None and old.name == "layer" else Field("layer", message)


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
        found = message.strings(name)
        if (found[-1:] if name in ("name", "type") else found) == values:
            continue
        if name in message:
            message = message.set_all(name, values) if values else message.remove(name)
        else:
            new += [Field(name, value) for value in values]
    return Message((*new, *message.fields), message.tail) if new else message


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the stream: bytes, or the numbers of a tensor, whose size is known before they are."""

    size: int
    data: bytes | Tensor


def write_caffemodel(net: Net, file: BinaryIO) -> int:
    """Writes the binary to an open file, and returns its size in bytes.

    Parameters are encoded by upstream's schema; what only forks know stays in the prototxt. float32 is written as
    packed floats, float64 as packed doubles, float16 as raw halves in OpenCV's and NVCaffe's form. What was read
    from a file that has weights alone is written likewise: names and types, by which they are found, no parameters.
    """
    bare = next((note.data for note in net.report if note.step == "read" and "bare" in note.data), None)
    written = 0
    if net.name and (bare is None or bare["named"]):
        written += put(file, [whole(encode(Message.of(("name", net.name)), "NetParameter"))])
    for layer in net.layers:
        if bare is not None:
            if not (layer.tensors or bare["weightless"]):
                continue
            layer = named_only(layer, connected=bool(bare["connected"]))
        parts = list(layer_parts(layer))
        size = sum(part.size for part in parts)
        written += put(file, [whole(field_header(_LAYER, size)), *parts])
    return written


def named_only(layer: Layer, *, connected: bool) -> Layer:
    """A layer of which only name, type and weights are known, and maybe what it reads and gives."""
    inputs, outputs = (layer.inputs, layer.outputs) if connected else ((), ())
    return Layer(layer.name, layer.type, inputs, outputs, tensors=layer.tensors)


def layer_parts(layer: Layer) -> Iterator[Part]:
    """One layer's fields in the order of their numbers, blobs among them."""
    message = layer_message(layer)
    yield whole(encode(message, "LayerParameter", before=_BLOBS))
    for index, tensor in enumerate(layer.tensors):
        yield from blob_field(tensor, _BLOBS, f"{layer}, blob {index}")
    yield whole(encode(message, "LayerParameter", after=_BLOBS))


def put_blob(file: BinaryIO, tensor: Tensor, number: int, where: str) -> int:
    """Writes a blob as the field of that number, and returns the bytes; ``where`` names it in errors."""
    return put(file, blob_field(tensor, number, where))


def blob_field(tensor: Tensor, number: int, where: str) -> list[Part]:
    """A blob with what stands before it."""
    parts = blob_parts(tensor, where)
    return [whole(field_header(number, sum(part.size for part in parts))), *parts]


def blob_parts(tensor: Tensor, where: str) -> list[Part]:
    """One blob: numbers and shape, as Caffe's snapshots have them."""
    dims = b"".join(varint(dim) for dim in tensor.shape)
    packed = field_header(1, len(dims)) + dims if dims else b""
    shape = whole(field_header(_SHAPE, len(packed)) + packed)
    numbers = Part(tensor.nbytes, tensor)
    kind = tensor.dtype.newbyteorder("=")
    if kind == np.float32:
        return [whole(field_header(5, tensor.nbytes)), numbers, shape]
    if kind == np.float64:
        return [shape, whole(field_header(8, tensor.nbytes)), numbers]
    if kind == np.float16:
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
