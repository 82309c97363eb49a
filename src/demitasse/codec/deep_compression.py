"""Reading the .net files of Deep Compression (Han, Mao, Dally: ICLR 2016), as published for SqueezeNet.

The file has, in little-endian order: the number of stored weights of every layer (uint32); then for each layer its
codebook (float32; 256 entries for convolutions, 16 for others), its biases (float32), the codebook positions of its
stored weights (a byte, or half a byte, low half first), and how many weights were left out before each of them (half a
byte). What was left out has position 0. There are no shapes: they are those of the network.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demitasse.errors import FileError, WeightsError
from demitasse.net import Clustered, Dense

__all__ = ["CodedLayer", "read_net_file"]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CodedLayer:
    """What the file does not say about a layer: its name, the shape of its weights, and how many biases it has.

    As in the authors' own decoder, a layer with "conv" in its name has positions of 8 bits, any other of 4.
    """

    name: str
    shape: tuple[int, ...]
    biases: int

    @property
    def bits(self) -> int:
        """Of a position in the codebook."""
        return 8 if "conv" in self.name else 4

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


def read_net_file(path: str | os.PathLike[str], layers: Sequence[CodedLayer]) -> list[tuple[Clustered, Dense]]:
    """Weights and biases of every layer, to the bit. ``layers``: all that have weights, in the network's order.

    FileError for a file that cannot be read; WeightsError for one that is not of these layers.
    """
    try:
        size = Path(path).stat().st_size
        most = sum(4 + 4 * 256 + 4 * layer.biases + 2 * layer.size for layer in layers)
        if size > most:
            raise WeightsError(f"{path}: {size} bytes; these {len(layers)} layers have at most {most}")
        source = _Source(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    counts = source.take(4 * len(layers), "the counts of weights").view("<u4")
    out = [_layer(source, layer, int(count)) for layer, count in zip(layers, counts, strict=True)]
    if source.left:
        raise WeightsError(f"{path}: {source.left} bytes are left after the last layer: these are not its layers")
    return out


class _Source:
    def __init__(self, data: bytes, path: str) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._at = 0
        self.path = path

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int, what: str) -> Bytes:
        if count > self.left:
            raise WeightsError(f"{self.path}: ends at byte {len(self._data)}, within {what}")
        self._at += count
        return self._data[self._at - count : self._at]


def _layer(source: _Source, layer: CodedLayer, count: int) -> tuple[Clustered, Dense]:
    where = f'{source.path}: layer "{layer.name}"'
    if count > layer.size:
        raise WeightsError(f"{where} stores {count} weights, and its shape {layer.shape} has {layer.size}")
    what = f'layer "{layer.name}"'
    codebook = source.take(4 << layer.bits, f"the codebook of {what}").view("<f4")
    biases = source.take(4 * layer.biases, f"the biases of {what}").view("<f4")
    positions = source.take(-(-count * layer.bits // 8), f"the positions of {what}")
    gaps = _halves(source.take((count + 1) // 2, f"the gaps of {what}"))[:count]
    if layer.bits == 4:
        positions = _halves(positions)[:count]
    places = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if count and places[-1] >= layer.size:
        raise WeightsError(f"{where} has a weight at place {places[-1]}, and its shape {layer.shape} has {layer.size}")
    indices = np.zeros(layer.size, np.uint8)
    indices[places] = positions
    return Clustered(indices.reshape(layer.shape), codebook.astype(np.float32)), Dense(biases.astype(np.float32))


def _halves(data: Bytes) -> Bytes:
    """Half bytes, low half first."""
    return np.stack([data & 15, data >> 4], axis=1).ravel()
