"""What a .demi holds: layers, the tensors of each, and the blocks that they are cut into. See docs/format.md.

The index is a value. `encode` and `decode` turn it into bytes and back; `decode` believes nothing: counts are bounded
by the bytes that are there, sizes by the `Limits` of the caller, and the blocks must cover every tensor exactly once.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from demitasse.codec.cursor import Cursor
from demitasse.errors import ContainerError
from demitasse.varint import varint

__all__ = ["SHIFTS", "Block", "Entry", "Index", "Kind", "Limits", "Piece", "by_kind"]

AXES = 32
"""Caffe's own limit to the dimensions of a blob."""

_TRELLIS, _ROW_STEPS, _SHIFTS, _WIDE = 1, 2, 4, 8

SHIFTS = 6
"""Points of reconstruction that have a shift of their own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may ask for. Raise them for a model that is really larger.

    ``elements``: weights of all tensors together. ``text``: bytes of prototxt, metadata and index together.
    """

    elements: int = 1 << 30
    text: int = 1 << 23


class Kind(IntEnum):
    """How the elements of a tensor are coded."""

    FLOAT32 = 0
    FLOAT64 = 1
    FLOAT16 = 2
    BYTES = 3
    LEVELS = 4
    CLUSTERED = 5
    CODEBOOK = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor: kind and shape, and of the quantised kinds what is needed beside the integers.

    ``steps`` is the number of steps of a `Kind.LEVELS`: 1 (then ``step`` is it) or one per row, which are a hidden
    tensor of their own; ``shifts`` are in 1/256; ``wide``: of the trellis. ``codebook`` is the number of entries of a
    `Kind.CLUSTERED`, hidden likewise.
    """

    kind: Kind
    shape: tuple[int, ...]
    trellis: bool = False
    steps: int = 0
    step: float = 0.0
    shifts: tuple[int, ...] = (0,) * SHIFTS
    codebook: int = 0
    wide: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def shift_values(self) -> npt.NDArray[np.float32]:
        """As in `demitasse.net.Levels`."""
        return np.array(self.shifts, np.float32) / np.float32(256)

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns: the first of the `axes`, and all after it."""
        return (self.axes[0] if self.axes else 1), math.prod(self.axes[1:])

    @property
    def axes(self) -> tuple[int, ...]:
        """The shape without the leading ones of Caffe's old blobs; levels have none."""
        shape = self.shape
        while len(shape) > 1 and shape[0] == 1 and self.kind is not Kind.LEVELS:
            shape = shape[1:]
        return shape

    @property
    def hidden(self) -> Entry | None:
        """The tensor that holds the steps or the codebook, if there is one."""
        if self.kind is Kind.CLUSTERED:
            return Entry(Kind.CODEBOOK, (self.codebook,))
        if self.kind is Kind.LEVELS and self.steps != 1:
            return Entry(Kind.FLOAT32, (self.steps,))
        return None


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows ``start`` to ``stop`` of a tensor (its number in `Index.entries`)."""

    entry: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Block:
    """Whole tensors, or some rows of one, that are coded together. ``offset`` counts from the start of the file.

    ``fast``: the writer means to use the faster of two coders; a reader sees it in the block.
    """

    kind: Kind
    pieces: tuple[Piece, ...]
    whole: bool
    fast: bool = False
    offset: int = 0
    nbytes: int = 0
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """``layers``: name and number of tensors of each; ``entries``: the layers' tensors in order, then hidden ones."""

    layers: tuple[tuple[str, int], ...]
    entries: tuple[Entry, ...]
    blocks: tuple[Block, ...]

    def encode(self, text: bytes) -> bytes:
        """As bytes; names are references into ``text``, the prototxt, where it has them between double quotes."""
        out = bytearray(varint(len(self.layers)))
        names = _NameCoder(text)
        entries = iter(self.entries)
        for name, count in self.layers:
            out += names.encode(name)
            out += varint(count)
            for _ in range(count):
                out += _entry_bytes(next(entries))
        out += varint(len(self.blocks))
        for block in self.blocks:
            rows = block.pieces[0].stop - block.pieces[0].start
            out += varint(len(block.pieces) << 1 if block.whole else rows << 1 | 1)
            out += varint(block.nbytes)
            out += struct.pack("<I", block.checksum)
        return bytes(out)

    @classmethod
    def decode(cls, cursor: Cursor, text: bytes, first: int, last: int, limits: Limits) -> Index:
        """Read from ``cursor``; the blocks must fill the file from ``first`` to ``last``. ContainerError."""
        names = _NameCoder(text)
        layers: list[tuple[str, int]] = []
        entries: list[Entry] = []
        left = limits.elements
        for _ in range(cursor.varint(cursor.left, "number of layers")):
            name = names.decode(cursor)
            count = cursor.varint(cursor.left, "number of tensors")
            for _ in range(count):
                entry = _read_entry(cursor, limits)
                left -= entry.size + entry.steps + entry.codebook
                if left < 0:
                    raise ContainerError(
                        f"{cursor.what}: the tensors have more than {limits.elements} elements, which is the limit"
                    )
                entries.append(entry)
            layers.append((name, count))
        entries += [hidden for entry in entries if (hidden := entry.hidden) is not None]
        blocks = tuple(_read_blocks(cursor, entries, first, last))
        return cls(tuple(layers), tuple(entries), blocks)


def by_kind(entries: Sequence[Entry]) -> Iterator[tuple[Kind, list[int]]]:
    """The numbers of the tensors of each kind, in the order in which blocks cover them."""
    for kind in Kind:
        numbers = [number for number, entry in enumerate(entries) if entry.kind is kind]
        if numbers:
            yield kind, numbers


def _entry_bytes(entry: Entry) -> bytes:
    out = bytearray(varint(entry.kind << 6 | len(entry.shape)))
    for axis in entry.shape:
        out += varint(axis)
    if entry.kind is Kind.LEVELS:
        shifted = any(entry.shifts)
        rows = entry.steps != 1
        out += varint(_TRELLIS * entry.trellis | _ROW_STEPS * rows | _SHIFTS * shifted | _WIDE * entry.wide)
        if shifted:
            out += struct.pack(f"{SHIFTS}b", *entry.shifts)
        out += varint(entry.steps) if rows else struct.pack("<f", entry.step)
    elif entry.kind is Kind.CLUSTERED:
        out += varint(entry.codebook)
    return bytes(out)


def _read_entry(cursor: Cursor, limits: Limits) -> Entry:
    head = cursor.varint(max(Kind) << 6 | AXES, "kind of tensor")
    kind, axes = head >> 6, head & 63
    if kind == Kind.CODEBOOK:
        raise ContainerError(f"{cursor.what}: a codebook without a tensor")
    if axes > AXES:
        raise ContainerError(f"{cursor.what}: a tensor has {axes} axes, the limit is {AXES}")
    shape = tuple(cursor.varint(limits.elements, "size of a tensor") for _ in range(axes))
    if math.prod(shape) > limits.elements:
        raise ContainerError(f"{cursor.what}: a tensor has {math.prod(shape)} elements, the limit is {limits.elements}")
    if kind in (Kind.LEVELS, Kind.CLUSTERED) and math.prod(shape) == 0:
        raise ContainerError(f"{cursor.what}: levels of a tensor without elements")
    if kind == Kind.CLUSTERED:
        return Entry(Kind.CLUSTERED, shape, codebook=cursor.varint(math.prod(shape), "size of a codebook"))
    if kind != Kind.LEVELS:
        return Entry(Kind(kind), shape)
    flags = cursor.varint(_TRELLIS | _ROW_STEPS | _SHIFTS | _WIDE, "flags of a tensor")
    if flags & _WIDE and not flags & _TRELLIS:
        raise ContainerError(f"{cursor.what}: a wide trellis that is none")
    shifts = struct.unpack(f"{SHIFTS}b", cursor.take(SHIFTS)) if flags & _SHIFTS else (0,) * SHIFTS
    steps, step = 1, 0.0
    if flags & _ROW_STEPS:
        steps = cursor.varint(shape[0] if shape else 1, "number of steps")
        if steps == 1 or (shape and steps != shape[0]):
            raise ContainerError(f"{cursor.what}: {steps} steps for a tensor of shape {shape}")
    else:
        (step,) = struct.unpack("<f", cursor.take(4))
    return Entry(Kind.LEVELS, shape, bool(flags & _TRELLIS), steps, step, shifts, wide=bool(flags & _WIDE))


def _read_blocks(cursor: Cursor, entries: Sequence[Entry], first: int, last: int) -> Iterable[Block]:
    count = cursor.varint(cursor.left, "number of blocks")
    blocks: list[Block] = []
    offset = first
    for kind, numbers in by_kind(entries):
        at, row = 0, 0
        while at < len(numbers):
            if len(blocks) == count:
                raise ContainerError(f"{cursor.what}: the blocks do not cover all tensors")
            covered = cursor.varint(1 << 62, "cover of a block")
            nbytes = cursor.varint(last - offset, "size of a block")
            (checksum,) = struct.unpack("<I", cursor.take(4))
            rows = entries[numbers[at]].matrix[0]
            if not covered >> 1:
                raise ContainerError(f"{cursor.what}: a block covers nothing")
            if covered & 1:
                stop = row + (covered >> 1)
                pieces: tuple[Piece, ...] = (Piece(numbers[at], row, stop),)
                row = stop
                at, row = (at + 1, 0) if row == rows else (at, row)
                beyond = stop > rows
            else:
                beyond = row > 0 or at + (covered >> 1) > len(numbers)
                taken = numbers[at : at + (covered >> 1)]
                pieces = tuple(Piece(number, 0, entries[number].matrix[0]) for number in taken)
                at += covered >> 1
            if beyond:
                raise ContainerError(f"{cursor.what}: a block covers more than there is")
            blocks.append(Block(kind, pieces, not covered & 1, False, offset, nbytes, checksum))
            offset += nbytes
    if len(blocks) != count or offset != last:
        raise ContainerError(f"{cursor.what}: blocks and tensors do not agree")
    return blocks


class _NameCoder:
    """Layer names as references to the pieces of the prototxt between double quotes; a few bits each, once coded."""

    def __init__(self, text: bytes) -> None:
        self._pieces = text.split(b'"')
        self._last = 0
        self._where: dict[bytes, list[int]] = {}
        for number, piece in enumerate(self._pieces):
            self._where.setdefault(piece, []).append(number)

    def encode(self, name: str) -> bytes:
        raw = name.encode("utf-8", "surrogateescape")
        found = self._where.get(raw)
        if not found:
            return varint(0) + varint(len(raw)) + raw
        place = bisect_right(found, self._last)
        after = found[place if place < len(found) else 0]
        step = (after - self._last) % len(self._pieces)
        self._last = after
        return varint(step + 1)

    def decode(self, cursor: Cursor) -> str:
        step = cursor.varint(len(self._pieces), "name of a layer")
        if step == 0:
            raw = cursor.take(cursor.varint(cursor.left, "length of a name"))
        else:
            self._last = (self._last + step - 1) % len(self._pieces)
            raw = self._pieces[self._last]
        return raw.decode("utf-8", "surrogateescape")
