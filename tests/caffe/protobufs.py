"""Caffemodels in a few lines: protobuf as the tests need it, written apart from the program's own writer."""

import struct
from collections.abc import Sequence

import numpy as np


def varint(value: int) -> bytes:
    out = bytearray()
    value %= 1 << 64
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def payload(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def fixed32(field: int, value: float) -> bytes:
    return varint(field << 3 | 5) + struct.pack("<f", value)


def fixed64(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def packed(field: int, values: Sequence[float], kind: str = "<f4") -> bytes:
    return payload(field, np.asarray(values, kind).tobytes())


def unpacked(field: int, values: Sequence[float]) -> bytes:
    return b"".join(fixed32(field, value) for value in values)


def shape(*dims: int) -> bytes:
    return payload(7, payload(1, b"".join(map(varint, dims))))


def legacy(*dims: int) -> bytes:
    return b"".join(number(i + 1, dim) for i, dim in enumerate(dims))


def blob(values: np.ndarray) -> bytes:
    """As Caffe writes it."""
    return packed(5, values.ravel()) + shape(*values.shape)


def layer(name: str, kind: str, *blobs: bytes, extra: bytes = b"") -> bytes:
    """A V2 layer in its net."""
    return payload(100, payload(1, name) + payload(2, kind) + b"".join(payload(7, data) for data in blobs) + extra)


def v1_layer(name: str, kind: int, *blobs: bytes, extra: bytes = b"") -> bytes:
    return payload(2, b"".join(payload(6, data) for data in blobs) + payload(4, name) + number(5, kind) + extra)


def v0_layer(name: str, kind: str, *blobs: bytes) -> bytes:
    inner = payload(1, name) + payload(2, kind) + b"".join(payload(50, data) for data in blobs)
    return payload(2, payload(1, inner) + payload(2, "data") + payload(3, name))
