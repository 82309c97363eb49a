"""Weights as ONNX constants that stay small where they are quantised.

Levels on a uniform grid become ``DequantizeLinear`` of 4- or 8-bit integers with a scale for the tensor or for each
row. A trellis is no obstacle: what its two quantisers give are integers on one grid of half the spacing. Levels whose
reconstruction is shifted towards zero, or that reach too far for 8 bits, are rounded (`demitasse.onnx.narrow`). Shared
values (a codebook) become a look-up in a table; ONNX Runtime computes look-ups of constants once, when it loads the
model. Where all have to stay exactly the same numbers, levels get 16 bits where they need them, and shifted ones
become look-ups, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.codec.reader import Stored
from demitasse.net import Clustered, Levels, Tensor
from demitasse.onnx.narrow import Form, chosen, narrowed
from demitasse.onnx.nodes import Nodes

__all__ = ["SMALL", "Weights"]

SMALL: Final = 256
"""Elements below which coding saves less than the nodes that undo it take."""

TOGETHER: Final = 1 << 20
"""Weights that are rounded at a time."""

Integers = npt.NDArray[np.signedinteger[Any]]


class Weights:
    """Stores each weight once. ``bytes`` counts what each form of storage takes, tables and scales included.

    ``exact``: nothing is rounded. ``signal``, ``noise``: sums of squares of the weights that were, and of the changes.
    """

    def __init__(self, nodes: Nodes, exact: bool = False) -> None:
        self.nodes = nodes
        self.exact = exact
        self.signal = self.noise = 0.0
        self.bytes: Counter[str] = Counter()
        self._known: dict[tuple[str, tuple[int, ...], bool], str] = {}

    @property
    def rounded(self) -> float:
        """Relative error (L2) of the weights that were rounded; 0 if none was."""
        return math.sqrt(self.noise / self.signal) if self.noise else 0.0

    def value(self, name: str, tensor: Tensor, shape: Sequence[int], half: bool) -> str:
        """The value that holds the tensor, in another shape and in float32 or float16."""
        key = (name, tuple(shape), half)
        if key not in self._known:
            self._known[key] = _Writer(self, name, tuple(shape), half).written(tensor)
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
        if isinstance(tensor, Stored) and tensor.size >= SMALL:
            tensor = tensor.coded()
        if tensor.size >= SMALL and isinstance(tensor, Clustered) and len(tensor.codebook) <= 1 << 16:
            return self.narrowed(self.look_up(tensor.indices, np.asarray(tensor.codebook), "shared values"))
        if tensor.size >= SMALL and isinstance(tensor, Levels) and self.fits(tensor):
            grid = Grid.of(tensor)
            if grid.low >= -(1 << 15) and grid.high < 1 << 15:
                return self.narrowed(self.levels(grid))
        return self.dense(tensor)

    def narrowed(self, value: str) -> str:
        """A decoded weight in the precision that is asked for. Scales are float32: small ones are none in float16."""
        return self.node("Cast", value, to=self.nodes.onnx.TensorProto.FLOAT16) if self.half else value

    def fits(self, tensor: Levels) -> bool:
        """Whether the steps stand for slices along the first axis."""
        return len(tensor.steps) == 1 or (bool(self.shape) and self.shape[0] == len(tensor.steps))

    def dense(self, tensor: Tensor) -> str:
        """Every number. What is float16 in the network stays it in the file."""
        stored = np.dtype(np.float16) if tensor.dtype == np.float16 else self.dtype
        name = self.stored(stored, self.shape, floats(tensor, stored), tensor.size * stored.itemsize, stored.name)
        return name if stored == self.dtype else self.node("Cast", name, to=self.nodes.onnx.TensorProto.FLOAT)

    def levels(self, grid: Grid) -> str:
        """On a uniform grid where they are on one, else by a table."""
        steps, size = grid.tensor.steps, grid.tensor.size
        bits = next(bits for bits in (4, 8, 16) if -(1 << bits - 1) <= grid.low and grid.high < 1 << bits - 1)
        rounds = not self.weights.exact and len(self.shape) > 1
        if not grid.shifted and (bits <= 8 or not rounds):
            return self.scaled(places(grid.tensor), size, bits, steps)
        if rounds:
            return self.rounded(grid.tensor)
        positions, table = grid.ranked()
        if len(steps) == 1:
            return self.look_up(positions, table * steps, "shifted levels")
        rows = (-1, *(1,) * (len(self.shape) - 1))
        values = self.look_up(positions, table, "shifted levels")
        return self.node("Mul", values, self.small(steps.reshape(rows)))

    def rounded(self, tensor: Levels) -> str:
        """On the smallest grid that is fine enough."""
        values = np.concatenate(list(units(tensor))).reshape(self.shape[0], -1)
        steps = np.broadcast_to(np.asarray(tensor.steps, np.float32), (len(values),))
        form = chosen(values, tensor.trellis)
        count = max(1, TOGETHER // values.shape[1])
        parts: list[Integers] = []
        scales = []
        for start in range(0, len(values), count):
            rows = slice(start, start + count)
            found = narrowed(values[rows], form)
            squares = np.square(steps[rows], dtype=np.float64)
            self.weights.noise += float(found.noise @ squares)
            self.weights.signal += float(np.square(values[rows], dtype=np.float64).sum(axis=1) @ squares)
            parts.append(found.integers.reshape(-1))
            scales.append(found.scales * steps[rows, None])
        worth = np.concatenate(scales)
        if not form.block:
            return self.scaled(iter(parts), tensor.size, form.bits, worth[:, 0])
        return self.in_blocks(parts, worth, form, values.shape)

    def in_blocks(self, parts: list[Integers], worth: npt.NDArray[Any], form: Form, shape: tuple[int, ...]) -> str:
        """DequantizeLinear with a scale for each block of a row. The scales are float16, as shares of the largest."""
        proto = self.nodes.onnx.TensorProto
        kind = {4: proto.INT4, 8: proto.INT8}[form.bits]
        stored = self.packed(iter(parts), int(np.prod(shape)), form.bits, kind, f"int{form.bits}", shape)
        largest = float(worth.max())
        shares = (worth / largest).astype(np.float16)
        half = self.stored(shares.dtype, shares.shape, iter([shares]), shares.nbytes, "scales and tables")
        scale = self.node("Mul", self.node("Cast", half, to=proto.FLOAT), self.small(np.float32(largest)))
        value = self.node("DequantizeLinear", stored, scale, axis=1, block_size=form.block)
        if shape == self.shape:
            return value
        sizes = np.array(self.shape, np.int64)
        return self.node(
            "Reshape", value, self.nodes.stored(self.name, sizes.dtype, sizes.shape, iter([sizes]), sizes.nbytes)
        )

    def scaled(self, parts: Iterator[Integers], size: int, bits: int, steps: npt.NDArray[Any]) -> str:
        """DequantizeLinear."""
        proto = self.nodes.onnx.TensorProto
        kind = {4: proto.INT4, 8: proto.INT8, 16: proto.INT16}[bits]
        values = self.packed(parts, size, bits, kind, f"int{bits}")
        if len(steps) == 1:
            return self.node("DequantizeLinear", values, self.small(steps[0]))
        return self.node("DequantizeLinear", values, self.small(steps), axis=0)

    def look_up(self, positions: npt.NDArray[Any], table: npt.NDArray[Any], form: str) -> str:
        """``table[positions]``."""
        bits = next(bits for bits in (4, 8, 16) if len(table) <= 1 << bits)
        proto = self.nodes.onnx.TensorProto
        kind = {4: proto.UINT4, 8: proto.UINT8, 16: proto.UINT16}[bits]
        stored = self.packed(iter([positions.reshape(-1)]), positions.size, bits, kind, f"uint{bits} ({form})")
        return self.node("Gather", self.small(table), self.node("Cast", stored, to=proto.INT32), axis=0)

    def packed(
        self,
        parts: Iterator[npt.NDArray[Any]],
        size: int,
        bits: int,
        kind: int,
        form: str,
        shape: tuple[int, ...] | None = None,
    ) -> str:
        """Integers of that many bits; of four, two a byte, the first in the lower half."""
        shape = self.shape if shape is None else shape
        if bits == 4:
            nibbles = np.concatenate([part.astype(np.int8).view(np.uint8) & 15 for part in parts])
            nibbles = np.append(nibbles, np.zeros(size % 2, np.uint8))
            return self.stored(kind, shape, iter([nibbles[::2] | nibbles[1::2] << 4]), len(nibbles) // 2, form)
        width = np.dtype(np.int8 if bits == 8 else np.int16)
        # Unsigned ones have the same bits. Joined at once: levels take four times as much until they are written.
        narrow = np.concatenate([part.astype(width, casting="unsafe") for part in parts])
        return self.stored(kind, shape, iter([narrow]), size * width.itemsize, form)

    def small(self, values: Any) -> str:
        """Scales and tables."""
        array = np.asarray(values).astype(np.float32)
        return self.stored(array.dtype, array.shape, iter([array]), array.nbytes, "scales and tables")

    def stored(self, kind: Any, shape: tuple[int, ...], parts: Iterator[npt.NDArray[Any]], size: int, form: str) -> str:
        """A constant, counted."""
        self.weights.bytes[form] += size
        return self.nodes.stored(self.name, kind, shape, parts, size)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.nodes.add(kind, inputs, self.name, **attributes)[0]


def floats(tensor: Tensor, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """Its values in parts; it is released when they have been taken."""
    for part in tensor.parts():
        yield part.astype(dtype, copy=False)
    tensor.release()


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Levels as places on the grid that both quantisers of a trellis have in common: what they are without shifts.

    ``values``: what the places from ``low`` to ``high`` are worth in steps, 0 for those that do not occur.
    """

    tensor: Levels
    low: int
    high: int
    occurs: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float32]

    @classmethod
    def of(cls, tensor: Levels) -> Grid:
        """Of a tensor with elements."""
        found = [(int(part.min()), int(part.max())) for part in places(tensor)]
        low, high = min(low for low, _ in found), max(high for _, high in found)
        occurs, values = np.zeros(high - low + 1, bool), np.zeros(high - low + 1, np.float32)
        for part, worth in zip(places(tensor), units(tensor), strict=True):
            occurs[part - low] = True
            values[part - low] = worth
        return cls(tensor, low, high, occurs, values)

    @property
    def shifted(self) -> bool:
        """Whether some values are not on the grid."""
        return bool((self.values != np.arange(self.low, self.high + 1))[self.occurs].any())

    def ranked(self) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """Positions in the list of the values that occur, and that list: outliers leave wide gaps on the grid."""
        rank = (np.cumsum(self.occurs) - 1).astype(np.uint16)
        positions = np.empty(self.tensor.size, np.uint16)
        at = 0
        for part in places(self.tensor):
            positions[at : at + part.size] = rank[part - self.low]
            at += part.size
        return positions, self.values[self.occurs]


def places(tensor: Levels) -> Iterator[Integers]:
    """Integers on the common grid, in parts: the levels themselves, if there is no trellis."""
    plain = replace(tensor, steps=np.ones(1, np.float32), shifts=np.zeros_like(tensor.shifts))
    for part in plain.parts():
        yield part.astype(np.int32)


def units(tensor: Levels) -> Iterator[npt.NDArray[np.float32]]:
    """What the levels are worth in steps, in parts."""
    yield from replace(tensor, steps=np.ones(1, np.float32)).parts()
