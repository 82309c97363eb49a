"""Weights and texts to bytes and back: the .demi container and the coders inside it. Knows nothing of Caffe's files."""

from __future__ import annotations

from demitasse.codec.container import Reader, is_container, open, write
from demitasse.codec.index import Limits
from demitasse.codec.reader import Stored

__all__ = ["Limits", "Reader", "Stored", "is_container", "open", "write"]
