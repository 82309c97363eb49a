"""Positions in codebooks, and codebooks, to bytes and back: the coder's face. docs/format.md describes every byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse import _core
from demitasse.codec.lossless import from_keys, to_keys
from demitasse.errors import ContainerError

__all__ = ["decode", "decode_codebooks", "encode", "encode_codebooks"]

Array = npt.NDArray[Any]


def encode(positions: Sequence[Array], kernels: Sequence[int], codebooks: Sequence[Array]) -> bytes:
    """One stream for matrices of positions (int32) in sorted float32 codebooks.

    ``kernels``: how many columns there are for each input channel.
    """
    return _core.encode_clusters(list(positions), list(kernels), [_bits(codebook) for codebook in codebooks])


def decode(data: bytes | memoryview, out: Sequence[Array], kernels: Sequence[int], codebooks: Sequence[Array]) -> None:
    """Fills the matrices (int32). ContainerError for a damaged stream; no position is outside its codebook."""
    try:
        _core.decode_clusters(data, list(out), list(kernels), [_bits(codebook) for codebook in codebooks])
    except ValueError as error:
        raise ContainerError(str(error)) from None


def encode_codebooks(codebooks: Sequence[Array]) -> bytes:
    """One stream for float32 codebooks, each sorted and without repetition."""
    keys = [to_keys(codebook.ravel()) for codebook in codebooks]
    return _core.encode_codebooks([len(each) for each in keys], np.concatenate(keys))


def decode_codebooks(data: bytes | memoryview, out: Sequence[Array]) -> None:
    """Fills the arrays (float32). ContainerError for a damaged stream."""
    sizes = [codebook.size for codebook in out]
    keys = np.empty(sum(sizes), np.uint32)
    try:
        _core.decode_codebooks(data, sizes, keys)
    except _core.ClustersError as error:
        raise ContainerError(str(error)) from None
    for codebook, part in zip(out, np.split(keys, np.cumsum(sizes)[:-1]), strict=True):
        codebook[...] = from_keys(part).reshape(codebook.shape)


def _bits(codebook: Array) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(codebook, "<f4").view(np.uint32)
