"""Cutting tensors into blocks that can be decoded alone, and coding the elements of a block.

A block is either some whole tensors of one kind (small ones share their statistics) or some rows of one big tensor
(so that every core is busy on it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.codec import clusters, levels, lossless
from demitasse.codec.index import Block, Entry, Kind, Piece, by_kind
from demitasse.codec.tensors import Coded
from demitasse.errors import ContainerError

__all__ = ["Target", "decode_block", "encode_block", "plan", "zero_position"]

Array = npt.NDArray[Any]
Buffer = bytes | memoryview

ELEMENTS = {
    Kind.FLOAT32: 1 << 19,
    Kind.FLOAT64: 1 << 18,
    Kind.FLOAT16: 1 << 20,
    Kind.BYTES: 1 << 22,
    Kind.LEVELS: 1 << 22,
    Kind.CLUSTERED: 1 << 22,
    Kind.CODEBOOK: 1 << 16,
}
"""How many elements the writer puts into a block, about; a reader takes any number."""

LARGE, ALONE = 1 << 25, 1 << 18
"""In networks with more levels than that, tensors with more than that are coded alone, by the faster coder."""

SMALL = 1 << 21
"""Up to so many positions in codebooks, a block uses the coder that is made for them."""

_AS_POSITIONS, _AS_LEVELS = 0, 1

ROWS_TOGETHER = 8
"""The level coder takes eight rows at a time: a tensor is cut at multiples of that."""


def plan(entries: Sequence[Entry]) -> Iterator[Block]:
    """The blocks for these tensors, in file order; places and checksums are still to come."""
    for kind, numbers in by_kind(entries):
        large = kind is Kind.LEVELS and sum(entries[number].size for number in numbers) > LARGE
        together: list[Piece] = []
        size = 0
        for number in numbers:
            rows, columns = entries[number].matrix
            alone = large and rows * columns >= ALONE
            if together and (alone or size + rows * columns > ELEMENTS[kind]):
                yield Block(kind, tuple(together), whole=True)
                together, size = [], 0
            if alone and rows * columns <= ELEMENTS[kind]:
                yield Block(kind, (Piece(number, 0, rows),), whole=True, fast=True)
            elif rows * columns <= ELEMENTS[kind]:
                together.append(Piece(number, 0, rows))
                size += rows * columns
            else:
                for start, stop in _row_ranges(rows, columns, ELEMENTS[kind]):
                    yield Block(kind, (Piece(number, start, stop),), whole=False, fast=alone)
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
    data = _encoded(block, tensors, parts)
    for piece, tensor in zip(block.pieces, tensors, strict=True):
        tensor.release(piece.start, piece.stop)
    return data


def _encoded(block: Block, tensors: Sequence[Coded], parts: Sequence[Array]) -> bytes:
    entries = [tensor.entry for tensor in tensors]
    if block.kind is Kind.CODEBOOK:
        return clusters.encode_codebooks(parts)
    if block.kind is Kind.CLUSTERED:
        return _encode_positions(block, entries, parts, [tensor.hidden for tensor in tensors])
    if block.kind is Kind.LEVELS:
        return _encode_levels(block, entries, parts)
    return lossless.encode(parts)


def _encode_levels(block: Block, entries: Sequence[Entry], parts: Sequence[Array]) -> bytes:
    layouts = [_layout(piece, entry) for piece, entry in zip(block.pieces, entries, strict=True)]
    try:
        tensors = [levels.LevelTensor(part, layout) for part, layout in zip(parts, layouts, strict=True)]
        return levels.encode(tensors, coder=levels.Coder.TABLES if block.fast else levels.Coder.AUTOMATIC)
    except ValueError as error:
        raise ContainerError(f"levels cannot be stored: {error}") from None


def _encode_positions(
    block: Block, entries: Sequence[Entry], parts: Sequence[Array], codebooks: Sequence[Array | None]
) -> bytes:
    """The coder made for positions is the smaller one; many are coded as levels, counted from zero: that is faster."""
    books = [np.zeros(0, np.float32) if codebook is None else codebook for codebook in codebooks]
    if sum(part.size for part in parts) <= SMALL:
        positions = [np.ascontiguousarray(part, np.int32) for part in parts]
        return bytes([_AS_POSITIONS]) + clusters.encode(positions, [_kernel(entry) for entry in entries], books)
    relative = [part.astype(np.int32) - zero_position(book) for part, book in zip(parts, books, strict=True)]
    return bytes([_AS_LEVELS]) + _encode_levels(block, entries, relative)


def _decode_positions(block: Block, data: Buffer, targets: Sequence[Target]) -> list[Array]:
    books = [np.zeros(0, np.float32) if target.hidden is None else target.hidden for target in targets]
    entries = [target.entry for target in targets]
    if data[:1] == bytes([_AS_POSITIONS]):
        out = [np.empty(target.out.shape, np.int32) for target in targets]
        clusters.decode(data[1:], out, [_kernel(entry) for entry in entries], books)
        return out
    if data[:1] != bytes([_AS_LEVELS]):
        raise ContainerError("positions are coded in an unknown way")
    layouts = [_layout(piece, entry) for piece, entry in zip(block.pieces, entries, strict=True)]
    return [_positions(part, book) for part, book in zip(levels.decode(data[1:], layouts), books, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Where the elements of a piece go: its entry, what its hidden tensor holds, and its matrix to fill."""

    entry: Entry
    hidden: Array | None
    out: Array


def decode_block(block: Block, data: Buffer, targets: Sequence[Target], *, floats: bool) -> None:
    """Fills the targets of the block's pieces: with weights, or (``floats`` false) with what the kind stores.

    That is int32 levels, or int32 positions in the codebook. ContainerError where the bytes are no such block.
    """
    outs = [target.out for target in targets]
    if block.kind is Kind.CODEBOOK:
        clusters.decode_codebooks(data, outs)
        return
    if block.kind is Kind.CLUSTERED:
        for positions, target in zip(_decode_positions(block, data, targets), targets, strict=True):
            positions = positions.reshape(target.out.shape)
            target.out[...] = positions if not floats or target.hidden is None else target.hidden[positions]
        return
    if block.kind is not Kind.LEVELS:
        lossless.decode(data, outs)
        return
    layouts = [_layout(piece, target.entry) for piece, target in zip(block.pieces, targets, strict=True)]
    if floats:
        steps = [_steps(piece, target) for piece, target in zip(block.pieces, targets, strict=True)]
        shifts = [target.entry.shift_values for target in targets]
        levels.decode_to_float(data, layouts, steps, shifts, outs)
        return
    for part, target in zip(levels.decode(data, layouts), targets, strict=True):
        target.out[...] = part.reshape(target.out.shape)


def _layout(piece: Piece, entry: Entry) -> levels.Layout:
    rows = piece.stop - piece.start
    if len(entry.axes) > 1:
        return levels.Layout.of((rows, *entry.axes[1:]), entry.trellis, entry.wide)
    if entry.trellis or entry.steps > 1:
        return levels.Layout(rows, trellis=entry.trellis, wide=entry.wide)
    return levels.Layout(1, rows)


def _steps(piece: Piece, target: Target) -> npt.NDArray[np.float32]:
    if target.hidden is None:
        return np.array([target.entry.step], np.float32)
    return target.hidden[piece.start : piece.stop].astype(np.float32)


def zero_position(codebook: Array) -> int:
    """Where zero stands among the values of a codebook (sorted), which makes positions into levels."""
    return min(int(np.signbit(codebook).sum()), max(len(codebook) - 1, 0))


def _kernel(entry: Entry) -> int:
    """How many columns each input channel has: height times width of a convolution's kernel."""
    return max(math.prod(entry.axes[2:]), 1)


def _positions(part: Array, codebook: Array) -> Array:
    count = len(codebook)
    positions = part + np.int32(zero_position(codebook))
    if positions.size and (positions.min() < 0 or positions.max() >= count):
        raise ContainerError(f"a weight points outside its codebook of {count} values")
    return positions
