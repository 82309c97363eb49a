"""The C++ core: entropy coders and quantisers over plain arrays (cpp/)."""

from collections.abc import Sequence

from typing import Any

import numpy as np
import numpy.typing as npt

Buffer = bytes | bytearray | memoryview | npt.NDArray[Any]

def dequantize(
    levels: npt.NDArray[np.int32], steps: npt.NDArray[np.float32], trellis: bool, shifts: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]: ...

class LevelsError(ValueError):
    """A stream of levels that is damaged, or does not fit the layouts given."""

def encode_levels(
    arrays: Sequence[npt.NDArray[np.int32]],
    shapes: Sequence[tuple[int, int, int, int]],
    trellis: Sequence[bool],
    coder: int,
) -> bytes: ...
def decode_levels(
    data: npt.NDArray[np.uint8],
    shapes: Sequence[tuple[int, int, int, int]],
    trellis: Sequence[bool],
    arrays: Sequence[npt.NDArray[np.int32]],
) -> None: ...
def decode_levels_to_float(
    data: npt.NDArray[np.uint8],
    shapes: Sequence[tuple[int, int, int, int]],
    trellis: Sequence[bool],
    steps: Sequence[npt.NDArray[np.float32]],
    shifts: Sequence[npt.NDArray[np.float32]],
    arrays: Sequence[npt.NDArray[np.float32]],
) -> None: ...
def level_bits(levels: npt.NDArray[np.int32], shape: tuple[int, int, int, int], trellis: bool) -> float: ...

class LosslessError(ValueError): ...

def crc32c(data: Buffer, seed: int = 0) -> int: ...
def encode_lossless(element: int, arrays: list[npt.NDArray[Any]]) -> bytes: ...
def decode_lossless(element: int, data: Buffer, arrays: list[npt.NDArray[Any]]) -> None: ...
def distinct_values(values: Buffer, limit: int) -> bytes: ...
