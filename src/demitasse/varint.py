"""Whole numbers in base 128, as protobuf has them and as the container's index does."""

from __future__ import annotations

__all__ = ["varint"]


def varint(value: int) -> bytes:
    """A whole number ≥ 0, seven bits at a time, low ones first; the top bit of a byte is set where more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
