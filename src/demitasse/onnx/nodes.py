"""An ONNX graph in the making: nodes in order, and constants, each stored once.

Large models keep their weights in a second file, since a protobuf message ends at 2 GB: `Storage` says where bytes go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from demitasse.errors import MissingExtraError, OptionError

__all__ = ["Nodes", "Storage", "import_onnx", "write_model"]

ALIGNED: Final = 64
"""Where weights begin in a file of their own: a multiple of this many bytes."""

INLINE: Final = 1024
"""Bytes from which on a constant is large."""

LARGEST: Final = (1 << 31) - 1
"""Bytes of a protobuf message."""


def import_onnx() -> Any:
    """The onnx module. MissingExtraError if it is absent."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "onnx", "writing an ONNX model") from None
    return onnx


class Storage:
    """Takes the values of constants: into ``file``, which the model calls ``location``, or, if there is none, into the
    model, where large ones wait until it is written."""

    def __init__(self, file: BinaryIO | None = None, location: str = "") -> None:
        self.file = file
        self.location = location
        self.waiting: list[Waiting] = []

    def put(self, proto: Any, parts: Iterable[npt.NDArray[Any]], nbytes: int) -> None:
        """Give a TensorProto its values, little-endian and in order."""
        if nbytes < INLINE:
            proto.raw_data = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
            return
        if self.file is None:
            self.waiting.append(Waiting(proto, parts, nbytes))
            return
        self.file.write(bytes(-self.file.tell() % ALIGNED))
        start = self.file.tell()
        for part in parts:
            self.file.write(np.ascontiguousarray(part).data)
        proto.data_location = type(proto).EXTERNAL
        for key, value in (("location", self.location), ("offset", start), ("length", nbytes)):
            proto.external_data.add(key=key, value=str(value))


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A large constant without its values, and these in parts."""

    proto: Any
    parts: Iterable[npt.NDArray[Any]]
    nbytes: int

    def head(self) -> bytes:
        """What stands before the values in the file: an initializer (field 5) of the graph, up to the length of its
        ``raw_data`` (field 9)."""
        message: bytes = self.proto.SerializeToString() + tag(9) + varint(self.nbytes)
        return tag(5) + varint(len(message) + self.nbytes) + message


def write_model(file: BinaryIO, model: Any, storage: Storage) -> None:
    """A ModelProto with the constants that wait, which never are in memory together. OptionError from 2 GB on."""
    heads = [constant.head() for constant in storage.waiting]
    graph = model.graph.SerializeToString(deterministic=True)
    size = len(graph) + sum(map(len, heads)) + sum(constant.nbytes for constant in storage.waiting)
    if size > LARGEST:
        raise OptionError(f"the model would take {size} bytes; from {LARGEST} on, weights need a file of their own")
    model.ClearField("graph")
    file.write(model.SerializeToString(deterministic=True) + tag(7) + varint(size) + graph)
    for head, constant in zip(heads, storage.waiting, strict=True):
        file.write(head)
        for part in constant.parts:
            file.write(np.ascontiguousarray(part).data)


def tag(field: int) -> bytes:
    """Of a field that has a length (protobuf)."""
    return varint(field << 3 | 2)


def varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


class Nodes:
    """Nodes and constants under names that are all different."""

    def __init__(self, storage: Storage) -> None:
        self.onnx = import_onnx()
        self.storage = storage
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names: set[str] = set()
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def unique(self, name: str) -> str:
        """The name, with a number behind it if it is taken; taken from now on."""
        found, number = name, 1
        while found in self.names:
            number += 1
            found = f"{name}_{number}"
        self.names.add(found)
        return found

    def add(self, kind: str, inputs: Iterable[str], under: str, number: int = 1, **attributes: Any) -> list[str]:
        """A node of that operator; the names of its outputs. Both are called after ``under``."""
        outputs = [self.unique(f"{under}/{kind}") for _ in range(number)]
        given = {key: value for key, value in attributes.items() if value is not None}
        name = outputs[0]
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), outputs, name=name, **given))
        return outputs

    def constant(self, values: npt.ArrayLike, under: str) -> str:
        """The name of a constant of these values; equal small ones are one."""
        array = np.ascontiguousarray(values)
        array = array.reshape(np.shape(values))
        if array.nbytes > INLINE:
            return self.stored(under, array.dtype, array.shape, (array,), array.nbytes)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.stored(under, array.dtype, array.shape, (array,), array.nbytes)
        return self._known[key]

    def stored(
        self, under: str, dtype: Any, shape: tuple[int, ...], parts: Iterable[npt.NDArray[Any]], nbytes: int
    ) -> str:
        """A constant whose values come in parts. ``dtype``: of numpy, or ONNX's number of a type that numpy lacks."""
        kind = dtype if isinstance(dtype, int) else self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        name = self.unique(under)
        proto = self.onnx.TensorProto(name=name, data_type=kind, dims=shape)
        self.storage.put(proto, parts, nbytes)
        if not self.storage.waiting or self.storage.waiting[-1].proto is not proto:
            self.constants.append(proto)
        return name

    def renamed(self, names: Mapping[str, str]) -> None:
        """What nodes compute under other names, wherever it is written or read."""
        for node in self.nodes:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
