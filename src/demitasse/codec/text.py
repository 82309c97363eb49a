"""Prototxt, metadata and index to bytes and back: context mixing that starts from a built-in Caffe text."""

from __future__ import annotations

from demitasse import _core
from demitasse.errors import ContainerError

__all__ = ["decode", "encode"]

RATIO = 2048
"""No text shrinks by more than this factor: a byte costs at least 1/240 bit. Bounds what a file can ask for."""


def encode(text: bytes) -> bytes:
    """Any bytes; those that look like prototxt become smallest."""
    return _core.encode_text(text)


def decode(data: bytes, size: int) -> bytes:
    """The text of ``size`` bytes that became ``data``. ContainerError if there is none."""
    if size > RATIO * (len(data) + 8):
        raise ContainerError(f"{len(data)} bytes cannot hold a text of {size}")
    text = _core.decode_text(data, size)
    if text is None:
        raise ContainerError("a text is cut")
    return text
