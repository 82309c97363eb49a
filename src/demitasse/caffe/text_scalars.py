"""Scalars of the text format: from characters to values and back, by protobuf's rules.

Numbers may be decimal, hexadecimal or octal; strings take C's escapes and Unicode's. Printing takes the shortest
spelling that reads back as the same value.
"""

from __future__ import annotations

import math
import re
from typing import Final

import numpy as np

from demitasse.message import Scalar, Word

__all__ = ["EscapeError", "format_number", "parse_scalar", "quote", "unescape"]

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+\Z")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)\Z")
_HEX: Final = re.compile(r"(-?)0[xX]([0-9a-fA-F]++)\Z")
_OCTAL: Final = re.compile(r"(-?)0([0-7]++)\Z")
_FLOAT: Final = re.compile(
    r"(-?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+)[fF]?\Z",
)
_NEGATIVE_WORD: Final = re.compile(r"-(?:inf|infinity|nan)\Z", re.IGNORECASE)
_LARGEST: Final = 2**64 - 1
_DECIMAL_DIGITS: Final = 20


def parse_scalar(raw: str) -> Scalar:
    """The value of an unquoted token, its sign included. ValueError, with the reason as its text.

    A whole number beyond 64 bits is a float, as protobuf reads it where a float is wanted."""
    if _WORD.match(raw):
        return Word(raw)
    if _DECIMAL.match(raw):
        if len(raw) <= _DECIMAL_DIGITS + 1 and abs(value := int(raw)) <= _LARGEST:
            # Only a float has a negative zero
            return value if value or raw == "0" else -0.0
        return float(raw)
    if _FLOAT.match(raw):
        return float(raw.rstrip("fF"))
    for pattern, base, most in ((_HEX, 16, 18), (_OCTAL, 8, 24)):
        if digits := pattern.match(raw):
            value = int(digits[2], base) if len(digits[2]) <= most else _LARGEST + 1
            if value > _LARGEST:
                raise ValueError("a number of at most 64 bits")
            return -value if digits[1] else value
    if _NEGATIVE_WORD.match(raw):
        return Word(raw)
    raise ValueError("a value")


def format_number(value: int | float) -> str:
    """The shortest decimal that reads back as the same float32, or float64 if it is not one; ``true`` for True."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    with np.errstate(over="ignore"):
        single = np.float32(value)
    text = (str(single) if float(single) == value else repr(value)).removesuffix(".0")
    if "e+" not in text:
        return text
    # 134217728 is shorter than 1.3421773e+08, and exact; 1000000.5 is shorter than 1.0000005e+06
    plain = str(int(value)) if value == int(value) else np.format_float_positional(single, trim="-")
    return plain if len(plain) <= len(text) else text


_ESCAPE: Final = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u[dD]([89abAB][0-9a-fA-F]{2})\\u[dD]([c-fC-F][0-9a-fA-F]{2})"
    rb"|u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|([abfnrtv\\?'\"])|)"
)
_SIMPLE: Final = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
    b"\\": b"\\",
    b"?": b"?",
    b"'": b"'",
    b'"': b'"',
}


class EscapeError(ValueError):
    """A backslash that begins no escape; ``offset`` is its place in the string, in characters."""

    def __init__(self, offset: int) -> None:
        super().__init__("an escape that the text format knows")
        self.offset = offset


def _unescaped(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, high, low, short, long, simple = match.groups()
    if simple:
        return _SIMPLE[simple]
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if high:
        code = 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
        return chr(code).encode()
    if short or long:
        return chr(int(short or long, 16)).encode("utf-8", "surrogatepass")
    raise EscapeError(len(match.string[: match.start()].decode("utf-8", "surrogateescape")))


def unescape(body: str) -> str:
    """What a string literal's characters stand for; bytes that are no UTF-8 as surrogate escapes. EscapeError."""
    if "\\" not in body:
        return body
    raw = body.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(_unescaped, raw).decode("utf-8", "surrogateescape")


_TO_ESCAPE: Final = re.compile('[\x00-\x1f\x7f"\\\\\ud800-\udfff]')
_SPELLED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SPELLED:
        return _SPELLED[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\{code - 0xDC00:03o}"
    if code >= 0xD800:
        return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogatepass"))
    return f"\\{code:03o}"


def quote(value: str) -> str:
    """A double-quoted literal; UTF-8 stays readable, other bytes and control characters become escapes."""
    return f'"{_TO_ESCAPE.sub(_escaped, value)}"'
