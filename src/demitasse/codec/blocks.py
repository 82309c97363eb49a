"""Cutting tensors into blocks that can be decoded alone, and coding the elements of a block.

A block is either some whole tensors of one kind (small ones share their statistics) or some rows of one big tensor
(so that every core is busy on it).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.codec import levels, lossless
from demitasse.codec.index import Block, Entry, Kind, Piece, by_kind
from demitasse.codec.tensors import Coded
from demitasse.errors import ContainerError

__all__ = ["Target", "decode_block", "encode_block", "plan", "zero_position"]

Array = npt.NDArray[Any]

ELEMENTS = {
    Kind.FLOAT32: 1 << 20,
    Kind.FLOAT64: 1 << 19,
    Kind.FLOAT16: 1 << 21,
    Kind.BYTES: 1 << 22,
    Kind.LEVELS: 1 << 22,
    Kind.CLUSTERED: 1 << 22,
}
"""How many elements the writer puts into a block, about; a reader takes any number."""

ROWS_TOGETHER = 8
"""The level coder takes eight rows at a time: a tensor is cut at multiples of that."""


def plan(entries: Sequence[Entry]) -> Iterator[Block]:
    """The blocks for these tensors, in file order; places and checksums are still to come."""
    for kind, numbers in by_kind(entries):
        together: list[Piece] = []
        size = 0
        for number in numbers:
            rows, columns = entries[number].matrix
            if together and size + rows * columns > ELEMENTS[kind]:
                yield Block(kind, tuple(together), whole=True)
                together, size = [], 0
            if rows * columns <= ELEMENTS[kind]:
                together.append(Piece(number, 0, rows))
                size += rows * columns
                continue
            for start, stop in _row_ranges(rows, columns, ELEMENTS[kind]):
                yield Block(kind, (Piece(number, start, stop),), whole=False)
        if together:
            yield Block(kind, tuple(together), whole=True)


def _row_ranges(rows: int, columns: int, elements: int) -> Iterable[tuple[int, int]]:
    """Parts of about equal size, no larger than ``elements`` unless eight rows are."""
    parts = -(-rows * columns // elements)
    step = -(-rows // parts)
    step = -(-step // ROWS_TOGETHER) * ROWS_TOGETHER
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def encode_block(block: Block, tensors: Sequence[Coded]) -> bytes:
    """The bytes of a block; ``tensors`` holds what its pieces are rows of, in their order."""
    parts = [tensor.rows(piece.start, piece.stop) for piece, tensor in zip(block.pieces, tensors, strict=True)]
    if block.kind not in (Kind.LEVELS, Kind.CLUSTERED):
        return lossless.encode(parts)
    if block.kind is Kind.CLUSTERED:
        parts = [part.astype(np.int32) - zero_position(t.hidden) for part, t in zip(parts, tensors, strict=True)]
    layouts = [_layout(piece, tensor.entry) for piece, tensor in zip(block.pieces, tensors, strict=True)]
    try:
        return levels.encode([levels.LevelTensor(part, layout) for part, layout in zip(parts, layouts, strict=True)])
    except ValueError as error:
        raise ContainerError(f"levels cannot be stored: {error}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Where the elements of a piece go: its entry, what its hidden tensor holds, and its matrix to fill."""

    entry: Entry
    hidden: Array | None
    out: Array


def decode_block(block: Block, data: bytes, targets: Sequence[Target], *, floats: bool) -> None:
    """Fills the targets of the block's pieces: with weights, or (``floats`` false) with what the kind stores.

    That is int32 levels, or int32 positions in the codebook. ContainerError where the bytes are no such block.
    """
    if block.kind not in (Kind.LEVELS, Kind.CLUSTERED):
        lossless.decode(data, [target.out for target in targets])
        return
    layouts = [_layout(piece, target.entry) for piece, target in zip(block.pieces, targets, strict=True)]
    if block.kind is Kind.LEVELS and floats:
        steps = [_steps(piece, target) for piece, target in zip(block.pieces, targets, strict=True)]
        shifts = [np.array(target.entry.shifts, np.float32) for target in targets]
        levels.decode_to_float(data, layouts, steps, shifts, [target.out for target in targets])
        return
    for part, target in zip(levels.decode(data, layouts), targets, strict=True):
        part = part.reshape(target.out.shape)
        if block.kind is Kind.LEVELS:
            target.out[...] = part
            continue
        positions = _positions(part, target.hidden)
        target.out[...] = positions if not floats or target.hidden is None else target.hidden[positions]


def _layout(piece: Piece, entry: Entry) -> levels.Layout:
    rows = piece.stop - piece.start
    shape = entry.shape
    if entry.kind is not Kind.LEVELS:
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
    if len(shape) > 1:
        return levels.Layout.of((rows, *shape[1:]), entry.trellis)
    if entry.trellis or entry.steps > 1:
        return levels.Layout(rows, trellis=entry.trellis)
    return levels.Layout(1, rows)


def _steps(piece: Piece, target: Target) -> npt.NDArray[np.float32]:
    if target.hidden is None:
        return np.array([target.entry.step], np.float32)
    return target.hidden[piece.start : piece.stop].astype(np.float32)


def zero_position(codebook: Array | None) -> int:
    """Where zero stands among the values of a codebook (sorted), which makes positions into levels."""
    if codebook is None or not len(codebook):
        return 0
    return min(int(np.signbit(codebook).sum()), len(codebook) - 1)


def _positions(part: Array, codebook: Array | None) -> Array:
    count = 0 if codebook is None else len(codebook)
    positions = part + np.int32(zero_position(codebook))
    if positions.size and (positions.min() < 0 or positions.max() >= count):
        raise ContainerError(f"a weight points outside its codebook of {count} values")
    return positions
