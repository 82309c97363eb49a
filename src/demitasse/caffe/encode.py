"""A tree of named fields as protobuf bytes, by upstream's schema: what any Caffe can read.

Fields, enum values and forms of a value that upstream does not know are left out: in a caffemodel they would mean
something else to the next reader. The prototxt beside it keeps them.
"""

from __future__ import annotations

import struct

import numpy as np

from demitasse.caffe.schema import UPSTREAM, Fact, enum_names, enum_numbers, facts_by_name, is_enum
from demitasse.caffe.wire import BYTES
from demitasse.message import Message, Scalar, as_flag, as_integer, as_number
from demitasse.varint import varint

__all__ = ["encode", "field_header", "tag"]


def encode(message: Message, kind: str, *, after: int = 0, before: int = 1 << 29) -> bytes:
    """The fields of a message of that kind whose numbers lie between the two, in the order of their numbers."""
    out = bytearray()
    for fact in facts_by_name(kind).values():
        if after < fact.number < before and fact.name in message:
            out += encode_field(message, fact)
    return bytes(out)


def encode_field(message: Message, fact: Fact) -> bytes:
    """Every value of one field; of a single-valued field the last, of a single-valued message all parts merged."""
    values = [field.value for field in message.fields if field.name == fact.name]
    if fact.is_message:
        parts = [value for value in values if isinstance(value, Message)]
        if len(parts) > 1 and not fact.repeated:
            parts = [Message(field for part in parts for field in part.fields)]
        return b"".join(field_header(fact.number, len(body)) + body for body in (encode(p, fact.type) for p in parts))
    scalars: list[Scalar] = []
    for value in values:
        if isinstance(value, tuple):
            scalars += value
        elif not isinstance(value, Message):
            scalars.append(value)
    coded = [data for data in (encode_scalar(value, fact.type) for value in scalars) if data is not None]
    if not fact.repeated:
        coded = coded[-1:]
    if fact.packed:
        body = b"".join(coded)
        return field_header(fact.number, len(body)) + body if coded else b""
    head = tag(fact.number, fact.kind)
    return b"".join(head + data for data in coded)


def encode_scalar(value: Scalar, kind: str) -> bytes | None:
    """One value without its tag; None if it is not of that type."""
    try:
        if kind == "string" or kind == "bytes":
            data = str(value).encode("utf-8", "surrogateescape")
            return varint(len(data)) + data
        if kind == "float":
            with np.errstate(over="ignore"):
                return bytes(np.array(as_number(value), "<f4"))
        if kind == "double":
            return struct.pack("<d", as_number(value))
        if kind == "bool":
            return varint(int(as_flag(value)))
        if is_enum(kind):
            number = enum_numbers(kind, UPSTREAM).get(value) if isinstance(value, str) else as_integer(value)
            return None if number not in enum_names(kind, UPSTREAM) else varint(number)
        return in_range(as_integer(value), kind)
    except (ValueError, OverflowError):
        return None


def in_range(value: int, kind: str) -> bytes | None:
    """An integer of that type; None if it does not hold it."""
    bits = 64 if kind.endswith("64") else 32
    low, high = (0, 1 << bits) if kind.startswith("u") else (-(1 << bits - 1), 1 << bits - 1)
    return varint(value & 0xFFFF_FFFF_FFFF_FFFF) if low <= value < high else None


def tag(number: int, kind: int) -> bytes:
    """What stands before a value."""
    return varint(number << 3 | kind)


def field_header(number: int, size: int) -> bytes:
    """What stands before a payload of that many bytes."""
    return tag(number, BYTES) + varint(size)
