"""Weights and texts to bytes and back: the .demi container and the coders inside it. Knows nothing of Caffe's files."""

from __future__ import annotations

from demitasse.codec.container import Reader, is_container, open, write, write_original
from demitasse.codec.index import Limits
from demitasse.codec.original import Frame, Run
from demitasse.codec.reader import Stored

__all__ = ["Frame", "Limits", "Reader", "Run", "Stored", "is_container", "open", "write", "write_original"]
