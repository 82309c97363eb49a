"""One tree of exceptions. A message says what, where (file, layer, byte or line) and what to do, in one line.

DemitasseError
├── FileError             a file cannot be read or written at all
│   ├── TextError         prototxt: has .line and .column (from 1)
│   ├── WireError         caffemodel: has .offset in bytes where known
│   └── ContainerError    .demi
├── NetError              a network that makes no sense, or of which too little is known
│   └── WeightsError      weights do not fit the network
├── OptionError           an option is wrong, or cannot do what it is asked to on this network
├── MissingExtraError     an optional dependency is not installed
└── VerificationError     what was written is not what was meant
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ContainerError",
    "DemitasseError",
    "FileError",
    "MissingExtraError",
    "NetError",
    "OptionError",
    "TextError",
    "VerificationError",
    "WeightsError",
    "WireError",
]


class DemitasseError(Exception):
    """Whatever this package raises on purpose.

    Names out of damaged files end up in messages: what cannot be printed in one line is escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))


class FileError(DemitasseError):
    """A file cannot be read, written or understood."""


class TextError(FileError):
    """Malformed prototxt."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class WireError(FileError):
    """Malformed caffemodel (protobuf wire format)."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class ContainerError(FileError):
    """Malformed, damaged or unsupported .demi."""


class NetError(DemitasseError):
    """The network makes no sense, or too little is known about a layer for what was asked."""


class WeightsError(NetError):
    """Weights do not fit the network: missing layer, wrong shape, wrong count."""


class OptionError(DemitasseError):
    """An option is wrong, or asks for what this network cannot do."""


class MissingExtraError(DemitasseError):
    """An optional dependency is needed and not installed."""

    def __init__(self, module: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {module}: pip install 'demitasse[{extra}]'")


class VerificationError(DemitasseError):
    """An output, reloaded, is not what was meant to be written. ``details``: what was found, for JSON."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}
