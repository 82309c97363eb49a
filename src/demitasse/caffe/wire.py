"""Protobuf's wire format, read in place: records of a message as spans of a buffer, nothing copied.

A caffemodel is one protobuf message. Its floats are nearly all of it, and they stay where they are: what is read here
is only where each field begins and ends. Whatever is malformed is a WireError with the byte offset; time is bounded by
a budget of records, and memory by the record at hand, whatever a header promises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from demitasse.errors import WireError

__all__ = ["BYTES", "FIXED32", "FIXED64", "VARINT", "Reader", "Record"]

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

RECORD_BUDGET: Final = 1 << 18
"""Records that one file may hold, a run of equal fixed-size ones counted once. The largest networks have some 10^4."""

_FIXED_SIZE: Final = {FIXED64: 8, FIXED32: 4}
_KIND_NAMES: Final = {3: "a group", 4: "the end of a group"}


class Record(NamedTuple):
    """One field on the wire: its number, wire type and place.

    ``tag`` is the offset of its first byte, ``begin`` and ``end`` bound its payload, ``value`` is the number of a
    varint (0 otherwise). ``stop`` is where the payload should end: beyond ``end`` in a truncated buffer only.
    ``repeats`` > 1: a run of fixed-size records of the same one-byte tag, that follow each other without a gap.
    """

    number: int
    kind: int
    tag: int
    begin: int
    end: int
    value: int = 0
    stop: int = 0
    repeats: int = 1

    @property
    def cut(self) -> bool:
        """Whether the buffer ends before the payload does."""
        return self.stop > self.end


class Reader:
    """Reads records from a buffer. ``name`` begins every message; ``budget`` bounds the records read in its life."""

    __slots__ = ("left", "name", "view")

    def __init__(self, view: memoryview, name: str, budget: int = RECORD_BUDGET) -> None:
        self.view: Final = view
        self.name: Final = name
        self.left = budget

    def error(self, text: str, offset: int) -> WireError:
        """A WireError about this buffer, to be raised."""
        return WireError(f"{self.name}: {text} (byte {grouped(offset)})", offset)

    def records(self, begin: int, end: int, *, partial: bool = False) -> Iterator[Record]:
        """The records between two offsets, in order.

        ``partial``: a payload that runs past ``end`` comes as a record that is `cut` instead of an error; it is the
        last one.
        """
        position = begin
        while position < end:
            record = self.record(position, end, partial)
            yield record
            position = record.stop

    def record(self, tag: int, limit: int, partial: bool = False) -> Record:
        """The record, or run of records, that begins at ``tag``."""
        self.spend(1, tag)
        key, begin = self.varint(tag, limit)
        number, kind = key >> 3, key & 7
        if not 1 <= number < 1 << 29:
            raise self.error(f"field number {number} does not exist", tag)
        if kind == VARINT:
            value, end = self.varint(begin, limit)
            return Record(number, kind, tag, begin, end, value, end)
        if kind == BYTES:
            size, begin = self.varint(begin, limit)
            stop = begin + size
            if stop > limit and not partial:
                raise self.error(
                    f"field {number} should have {grouped(size)} bytes, and {grouped(limit - begin)} are left", tag
                )
            return Record(number, kind, tag, begin, min(stop, limit), 0, stop)
        if kind in _FIXED_SIZE:
            stop = begin + _FIXED_SIZE[kind]
            if stop > limit and not partial:
                raise self.error(f"field {number} is cut short", tag)
            if begin == tag + 1 and stop < limit and self.view[stop] == key:
                count = self.run(tag, limit, stop - tag)
                end = tag + count * (stop - tag)
                return Record(number, kind, tag, begin, end, 0, end, count)
            return Record(number, kind, tag, begin, min(stop, limit), 0, stop)
        what = _KIND_NAMES.get(kind, f"wire type {kind}")
        raise self.error(f"field {number} is {what}, which no caffemodel has", tag)

    def spend(self, count: int, offset: int) -> None:
        """Takes from the budget. WireError once it is used up."""
        if self.left < count:
            raise self.error("more fields than any network has: not a caffemodel, or a hostile one", offset)
        self.left -= count

    def run(self, tag: int, limit: int, stride: int) -> int:
        """How many whole records with the tag byte at ``tag`` follow each other at that stride."""
        most = (limit - tag) // stride
        tags = np.ndarray((most,), np.uint8, self.view, tag, (stride,))
        key = tags[0]
        done, step = 0, 16
        while done < most:
            different = tags[done : done + step] != key
            if different.any():
                return done + int(different.argmax())
            done = min(done + step, most)
            step = min(step * 8, 1 << 20)
        return most

    def varint(self, position: int, limit: int) -> tuple[int, int]:
        """The number at ``position`` and the offset behind it: at most ten bytes, 64 bits."""
        view = self.view
        value = shift = 0
        for at in range(position, min(position + 10, limit)):
            byte = view[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at + 1
            shift += 7
        if limit - position >= 10:
            raise self.error("a number of more than ten bytes", position)
        raise self.error("ends within a number", limit)

    def varints(self, begin: int, end: int, most: int) -> tuple[int, ...]:
        """Packed numbers; WireError if there are more than ``most``."""
        out: list[int] = []
        position = begin
        while position < end:
            if len(out) == most:
                raise self.error(f"more than {most} numbers in a list", begin)
            value, position = self.varint(position, end)
            out.append(value)
        return tuple(out)

    def text(self, record: Record) -> str:
        """A string: UTF-8, other bytes as surrogate escapes."""
        return bytes(self.view[record.begin : record.end]).decode("utf-8", "surrogateescape")


def grouped(number: int) -> str:
    """Thousands apart: ``31 457 280``."""
    return f"{number:,}".replace(",", " ")
