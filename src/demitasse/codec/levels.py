"""Integer levels of quantised weights to bytes and back: the entropy coder's face.

A stream holds one group: several tensors whose statistics carry over from one to the next, or a range of rows of one
big tensor. It holds no shapes; the reader gives them. docs/format-levels.md describes every byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from demitasse import _core
from demitasse.errors import ContainerError

__all__ = ["Coder", "Layout", "LevelTensor", "bits", "choose", "decode", "decode_to_float", "encode"]

Buffer = bytes | bytearray | memoryview


class Coder(IntEnum):
    """Which coder writes a stream; the stream says which, so reading needs none of this."""

    AUTOMATIC = 0
    MIXING = 1  # smallest: adaptive contexts, about 6 million weights a second
    TABLES = 2  # fastest: static tables, vectorised; one tensor a stream


MIXING_MODEL, MIXING_BLOCK = 12_000_000, 100_000
"""Models of up to so many weights, and blocks in any model, are worth the slower coder."""


def choose(block: int, model: int) -> Coder:
    """The coder for a block of so many weights, in a model of so many.

    Mixing saves 3 to 10 % of size and decodes about 6 M weights a second and core, tables 150 M: below the thresholds
    that is well under a second on two cores.
    """
    return Coder.MIXING if model <= MIXING_MODEL or block <= MIXING_BLOCK else Coder.TABLES


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tensor is seen: ``rows`` output channels of ``channels`` × ``kernel_h`` × ``kernel_w`` weights, C order.

    ``trellis``: levels index the two quantisers of a trellis, whose state starts anew in every row; it has 8 states,
    or, if ``wide``, 256.
    """

    rows: int
    channels: int = 1
    kernel_h: int = 1
    kernel_w: int = 1
    trellis: bool = False
    wide: bool = False

    @classmethod
    def of(cls, shape: Sequence[int], trellis: bool = False, wide: bool = False) -> Layout:
        """The layout of a blob of that shape: 4-D is (out, in, h, w), 2-D (rows, columns), anything else one row."""
        match [int(n) for n in shape]:
            case [rows, channels, height, width]:
                return cls(rows, channels, height, width, trellis, wide)
            case [rows, channels, *kernel] if kernel:
                return cls(rows, channels, 1, int(np.prod(kernel, dtype=np.int64)), trellis, wide)
            case [rows, columns]:
                return cls(rows, columns, 1, 1, trellis, wide)
            case other:
                return cls(1, int(np.prod(other, dtype=np.int64)), 1, 1, trellis, wide)

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.rows * self.channels * self.kernel_h * self.kernel_w

    @property
    def states(self) -> int:
        """Of the trellis; 0 without one."""
        return 0 if not self.trellis else 256 if self.wide else 8

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(rows, channels, kernel height, kernel width)."""
        return (self.rows, self.channels, self.kernel_h, self.kernel_w)


@dataclass(frozen=True, slots=True, eq=False)
class LevelTensor:
    """Levels (int32, ``layout.size`` of them in C order, of any shape, magnitudes up to 2^24) and their layout."""

    levels: npt.NDArray[np.int32]
    layout: Layout


def _octets(data: Buffer) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)


def encode(tensors: Sequence[LevelTensor], *, coder: Coder = Coder.AUTOMATIC) -> bytes:
    """One stream for a group of tensors. The same input gives the same bytes on every machine.

    ValueError for a level beyond ±2^24, or a layout that does not fit its array.
    """
    return _core.encode_levels(
        [np.ascontiguousarray(tensor.levels, np.int32) for tensor in tensors],
        [tensor.layout.shape for tensor in tensors],
        [tensor.layout.states for tensor in tensors],
        int(coder),
    )


def decode(data: Buffer, layouts: Sequence[Layout]) -> list[npt.NDArray[np.int32]]:
    """The levels of each tensor, ``(rows, channels, kernel_h, kernel_w)``. ContainerError for a damaged stream."""
    arrays = [np.empty(layout.shape, np.int32) for layout in layouts]
    try:
        _core.decode_levels(
            _octets(data),
            [layout.shape for layout in layouts],
            [layout.states for layout in layouts],
            arrays,
        )
    except _core.LevelsError as error:
        raise ContainerError(str(error)) from None
    return arrays


def decode_to_float(
    data: Buffer,
    layouts: Sequence[Layout],
    steps: Sequence[npt.NDArray[np.float32]],
    shifts: Sequence[npt.NDArray[np.float32]],
    out: Sequence[npt.NDArray[np.float32]] | None = None,
) -> list[npt.NDArray[np.float32]]:
    """The weights themselves: what ``dequantize`` makes of `decode`'s levels, to the bit, in one pass.

    ``steps[i]`` has one element or one a row, ``shifts[i]`` six (see `demitasse.net.Levels`). ``out``: contiguous
    arrays of the right sizes to write to; new ones if not given. ContainerError for a damaged stream.
    """
    arrays = [np.empty(layout.shape, np.float32) for layout in layouts] if out is None else list(out)
    try:
        _core.decode_levels_to_float(
            _octets(data),
            [layout.shape for layout in layouts],
            [layout.states for layout in layouts],
            [np.ascontiguousarray(step, np.float32) for step in steps],
            [np.ascontiguousarray(shift, np.float32) for shift in shifts],
            arrays,
        )
    except _core.LevelsError as error:
        raise ContainerError(str(error)) from None
    return arrays


def bits(levels: npt.NDArray[np.int32], layout: Layout) -> float:
    """About what `encode` would spend on these levels, in bits, without the work (within a few per cent)."""
    return _core.level_bits(np.ascontiguousarray(levels, np.int32), layout.shape, layout.states)
