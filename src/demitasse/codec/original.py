"""A parameter file byte for byte: its runs of numbers as tensors, and everything else as a frame around them.

What is between the numbers (names, shapes, layer parameters, whatever training left behind) mostly repeats the
prototxt and is coded after it, by the same coder. The sha256 of the whole is kept and checked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.codec.cursor import Cursor
from demitasse.codec.reader import Stored
from demitasse.errors import ContainerError
from demitasse.net import Dense, Tensor
from demitasse.varint import varint

__all__ = ["Frame", "Run", "split"]

Buffer = bytes | bytearray | memoryview | npt.NDArray[Any]

TEXT = 1 << 20
"""A frame with more bytes than that between its runs is not text: those bytes become a tensor of their own."""

_INLINE, _TENSOR = 0, 1


@dataclass(frozen=True, slots=True)
class Run:
    """Numbers in a file: where they start, in bytes, their little-endian type (or bytes) and their shape."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def split(data: Buffer, runs: Sequence[Run]) -> tuple[list[Tensor], bytes]:
    """The tensors of a file, and its frame. ValueError for runs that overlap or lie outside."""
    view = np.frombuffer(data, np.uint8).data
    tensors: list[Tensor] = []
    gaps, between, end = bytearray(), bytearray(), 0
    for run in sorted(runs, key=lambda run: (run.offset, run.end)):
        if run.offset < end or run.end > len(view):
            raise ValueError(f"a run of numbers at byte {run.offset} overlaps another, or the end of the file")
        count = math.prod(run.shape)
        tensors.append(Dense(np.frombuffer(view, run.dtype, count, run.offset).reshape(run.shape)))
        gaps += varint(run.offset - end)
        between += view[end : run.offset]
        end = run.end
    between += view[end:]
    frame = varint(len(tensors)) + bytes(gaps) + varint(len(view)) + hashlib.sha256(view).digest()
    if len(between) <= TEXT:
        return tensors, frame + bytes([_INLINE]) + bytes(between)
    tensors.append(Dense(np.frombuffer(bytes(between), np.uint8)))
    return tensors, frame + bytes([_TENSOR])


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What stands around the tensors of a parameter file of ``size`` bytes. ``gaps``: bytes before each tensor."""

    size: int
    gaps: tuple[int, ...]
    sha256: bytes
    between: bytes | Stored
    tensors: tuple[Stored, ...]

    @classmethod
    def decode(cls, data: bytes, tensors: Sequence[Stored], name: str) -> Frame:
        """From what `split` gave, and the tensors as stored. ContainerError where they do not fit together."""
        cursor = Cursor(data, f"{name}: frame of the parameter file")
        count = cursor.varint(len(tensors), "number of tensors")
        gaps = tuple(cursor.varint(1 << 40, "gap") for _ in range(count))
        size = cursor.varint(1 << 50, "size")
        digest = cursor.take(32)
        kind = cursor.take(1)[0]
        if kind > _TENSOR or len(tensors) != count + kind:
            raise ContainerError(f"{name}: frame and tensors of the parameter file do not agree")
        between: bytes | Stored = cursor.take(cursor.left) if kind == _INLINE else tensors[-1]
        held = len(between) if isinstance(between, bytes) else between.nbytes
        own = tuple(tensors[:count])
        if held + sum(tensor.nbytes for tensor in own) != size or sum(gaps) > held:
            raise ContainerError(f"{name}: the parameter file is not as long as it should be")
        return cls(size, gaps, digest, between, own)

    def parts(self) -> Iterator[memoryview]:
        """The file from its first byte to its last, piece by piece. ContainerError, at the end, if the hash differs."""
        digest = hashlib.sha256()
        for part in self.unchecked():
            digest.update(part)
            yield part
        if digest.digest() != self.sha256:
            raise ContainerError("the parameter file that was restored is not the one that was stored (sha256)")

    def unchecked(self) -> Iterator[memoryview]:
        """The same without the hash: for whoever looks at it later."""
        between = self.between if isinstance(self.between, bytes) else self.between.array().tobytes()
        view, at = memoryview(between), 0
        for gap, tensor in zip(self.gaps, self.tensors, strict=True):
            if gap:
                yield view[at : at + gap]
            at += gap
            for part in tensor.parts():
                if part.size:
                    yield np.ascontiguousarray(part).data.cast("B")
        if at < len(view):
            yield view[at:]
