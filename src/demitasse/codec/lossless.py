"""Floats to bytes and back without loss: the coder's face, and codebooks of exact values.

What compresses in trained weights is their magnitude: exponent and first bit of the mantissa, coded with the row and
the column as context. The rest is noise, and is stored as it is. docs/format.md describes every byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse import _core
from demitasse.errors import ContainerError

__all__ = ["decode", "distinct", "encode", "from_keys", "positions", "to_keys"]

Array = npt.NDArray[Any]

_ELEMENTS = {np.dtype("<f4"): 0, np.dtype("<f8"): 1, np.dtype("<f2"): 2, np.dtype("u1"): 3}

DISTINCT = 4096
"""Most entries of a codebook that is looked for in plain floats."""

_SIGN = np.uint32(1 << 31)


def encode(matrices: Sequence[Array]) -> bytes:
    """One stream for matrices of one type: little-endian float32, float64 or float16, or bytes."""
    if not matrices:
        return b""
    dtype = matrices[0].dtype
    return _core.encode_lossless(_ELEMENTS[dtype], [_plain(matrix) for matrix in matrices])


def decode(data: bytes | memoryview, out: Sequence[Array]) -> None:
    """Fills the matrices, bit for bit; they are C-contiguous. ContainerError for a damaged stream."""
    if not out:
        return
    try:
        _core.decode_lossless(_ELEMENTS[out[0].dtype], data, [_plain(matrix) for matrix in out])
    except _core.LosslessError as error:
        raise ContainerError(str(error)) from None


def _plain(matrix: Array) -> Array:
    """As an array that any compiler knows the bits of: half precision has no type of its own in C++."""
    return matrix.view(np.dtype(f"u{matrix.dtype.itemsize}"))


def to_keys(values: Array) -> npt.NDArray[np.uint32]:
    """float32 as integers in the order of the values: -NaN, -inf, …, -0, +0, …, inf, NaN; each bit pattern its own."""
    bits = np.ascontiguousarray(values, "<f4").view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def from_keys(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """The float32 of `to_keys`."""
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float32)


def distinct(values: Array) -> npt.NDArray[np.uint32] | None:
    """The sorted keys of a float32 array that has few distinct values, so that a codebook is the better form.

    None if there are more than 4096, or more than one for every eight elements.
    """
    limit = min(DISTINCT, values.size // 8)
    if limit < 1:
        return None
    bits = np.ascontiguousarray(values, "<f4").view(np.uint32)
    found = np.frombuffer(_core.distinct_values(bits, limit), np.uint32)
    return np.sort(to_keys(found.view(np.float32))) if len(found) else None


def positions(values: Array, keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """Where each of these float32 stands among the sorted keys, all of which are there."""
    return np.searchsorted(keys, to_keys(values)).astype(np.int32)
