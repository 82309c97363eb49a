"""Weights as ONNX constants, no larger than they are in a .demi's terms, and exactly the same numbers.

Levels on a uniform grid become ``DequantizeLinear`` of 4-, 8- or 16-bit integers with a scale for the tensor or for
each row. A trellis is no obstacle: what its two quantisers give are integers on one grid of half the spacing. Levels
whose reconstruction is shifted towards zero lie on no uniform grid: they become a look-up in a table of the values, as
shared values (a codebook) do; ONNX Runtime computes look-ups of constants once, when it loads the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.net import Clustered, Levels, Tensor
from demitasse.onnx.nodes import Nodes

__all__ = ["SMALL", "Weights"]

SMALL: Final = 256
"""Elements below which coding saves less than the nodes that undo it take."""

Integers = npt.NDArray[np.signedinteger[Any]]


class Weights:
    """Stores each weight once. ``bytes`` counts what each form of storage takes, tables and scales included."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.bytes: Counter[str] = Counter()
        self._known: dict[tuple[str, tuple[int, ...], bool], str] = {}

    def value(self, name: str, tensor: Tensor, shape: Sequence[int], half: bool) -> str:
        """The value that holds the tensor, in another shape and in float32 or float16."""
        key = (name, tuple(shape), half)
        if key not in self._known:
            self._known[key] = _Writer(self, name, tuple(shape), half).written(tensor)
            tensor.release()
        return self._known[key]


class _Writer:
    """Writes one weight."""

    def __init__(self, weights: Weights, name: str, shape: tuple[int, ...], half: bool) -> None:
        self.weights = weights
        self.nodes = weights.nodes
        self.name = name
        self.shape = shape
        self.half = half
        self.dtype = np.dtype(np.float16 if half else np.float32)

    def written(self, tensor: Tensor) -> str:
        """In the smallest form that is exact."""
        if tensor.size >= SMALL and isinstance(tensor, Clustered) and len(tensor.codebook) <= 1 << 16:
            return self.look_up(tensor.indices, np.asarray(tensor.codebook), "shared values")
        if tensor.size >= SMALL and isinstance(tensor, Levels) and self.fits(tensor):
            low, high = extremes(tensor)
            if low >= -(1 << 15) and high < 1 << 15:
                return self.levels(tensor, low, high)
        return self.dense(tensor)

    def fits(self, tensor: Levels) -> bool:
        """Whether the steps stand for slices along the first axis."""
        return len(tensor.steps) == 1 or (bool(self.shape) and self.shape[0] == len(tensor.steps))

    def dense(self, tensor: Tensor) -> str:
        """Every number. What is float16 in the network stays it in the file."""
        stored = np.dtype(np.float16) if tensor.dtype == np.float16 else self.dtype
        parts = (part.astype(stored, copy=False) for part in tensor.parts())
        name = self.stored(stored, self.shape, parts, tensor.size * stored.itemsize, stored.name)
        return name if stored == self.dtype else self.node("Cast", name, to=self.nodes.onnx.TensorProto.FLOAT)

    def levels(self, tensor: Levels, low: int, high: int) -> str:
        """On a uniform grid where they are on one, else by a table."""
        if not tensor.shifts[: magnitude(max(high, -low), tensor.trellis)].any():
            return self.dequantized(tensor, low, high)
        grid = np.arange(low, high + 1)
        table = shifted(grid, tensor)
        if len(tensor.steps) == 1:
            return self.look_up(indices(tensor, low), table * tensor.steps, "shifted levels")
        values = self.look_up(indices(tensor, low), table, "shifted levels")
        rows = (-1, *(1,) * (len(self.shape) - 1))
        return self.node("Mul", values, self.small(tensor.steps.reshape(rows)))

    def dequantized(self, tensor: Levels, low: int, high: int) -> str:
        """Integers times steps."""
        bits = next(bits for bits in (4, 8, 16) if -(1 << bits - 1) <= low and high < 1 << bits - 1)
        proto = self.nodes.onnx.TensorProto
        kind = {4: proto.INT4, 8: proto.INT8, 16: proto.INT16}[bits]
        values = self.packed(integers(tensor), tensor.size, bits, kind, f"int{bits}")
        if len(tensor.steps) == 1:
            return self.node("DequantizeLinear", values, self.small(tensor.steps[0]))
        return self.node("DequantizeLinear", values, self.small(tensor.steps), axis=0)

    def look_up(self, places: npt.NDArray[Any], table: npt.NDArray[Any], form: str) -> str:
        """``table[places]``."""
        bits = next(bits for bits in (4, 8, 16) if len(table) <= 1 << bits)
        proto = self.nodes.onnx.TensorProto
        kind = {4: proto.UINT4, 8: proto.UINT8, 16: proto.UINT16}[bits]
        stored = self.packed(iter([places.reshape(-1)]), places.size, bits, kind, f"uint{bits} ({form})")
        return self.node("Gather", self.small(table), self.node("Cast", stored, to=proto.INT32), axis=0)

    def packed(self, parts: Iterator[npt.NDArray[Any]], size: int, bits: int, kind: int, form: str) -> str:
        """Integers of that many bits; of four, two a byte, the first in the lower half."""
        if bits == 4:
            nibbles = np.concatenate([part.astype(np.int8).view(np.uint8) & 15 for part in parts])
            nibbles = np.append(nibbles, np.zeros(size % 2, np.uint8))
            return self.stored(kind, self.shape, iter([nibbles[::2] | nibbles[1::2] << 4]), len(nibbles) // 2, form)
        width = np.dtype(np.int8 if bits == 8 else np.int16)
        # Unsigned ones have the same bits.
        narrow = (part.astype(width, casting="unsafe") for part in parts)
        return self.stored(kind, self.shape, narrow, size * width.itemsize, form)

    def small(self, values: Any) -> str:
        """Scales and tables."""
        array = np.asarray(values).astype(self.dtype)
        return self.stored(self.dtype, array.shape, iter([array]), array.nbytes, "scales and tables")

    def stored(self, kind: Any, shape: tuple[int, ...], parts: Iterator[npt.NDArray[Any]], size: int, form: str) -> str:
        """A constant, counted."""
        self.weights.bytes[form] += size
        return self.nodes.stored(self.name, kind, shape, parts, size)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.nodes.add(kind, inputs, self.name, **attributes)[0]


def integers(tensor: Levels) -> Iterator[Integers]:
    """Places on the common grid of both quantisers, in parts: levels themselves, if there is no trellis."""
    plain = Levels(tensor.levels, np.ones(1, np.float32), tensor.trellis)
    for part in plain.parts():
        yield part.astype(np.int32)


def extremes(tensor: Levels) -> tuple[int, int]:
    """The lowest and the highest of `integers`."""
    found = [(int(part.min()), int(part.max())) for part in integers(tensor)]
    return min(low for low, _ in found), max(high for _, high in found)


def indices(tensor: Levels, low: int) -> npt.NDArray[np.uint16]:
    """Places on the grid counted from the lowest."""
    places = np.empty(tensor.size, np.uint16)
    at = 0
    for part in integers(tensor):
        places[at : at + part.size] = part - low
        at += part.size
    return places


def magnitude(place: int, trellis: bool) -> int:
    """Of the level that a place on the grid stands for."""
    return -(-place // 2) if trellis else place


def shifted(grid: npt.NDArray[np.signedinteger[Any]], tensor: Levels) -> npt.NDArray[np.float32]:
    """What each place on the grid is worth, in steps."""
    sizes = np.abs(grid)
    levels = -(-sizes // 2) if tensor.trellis else sizes
    shifts = np.concatenate([np.zeros(1, np.float32), tensor.shifts, np.zeros(1, np.float32)])
    values: npt.NDArray[np.float32] = np.sign(grid) * (sizes.astype(np.float32) - shifts[np.minimum(levels, 4)])
    return values.astype(np.float32)
