"""The C++ core: entropy coders and quantisers over plain arrays (cpp/)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Buffer = bytes | bytearray | memoryview | npt.NDArray[Any]

def dequantize(
    levels: npt.NDArray[np.int32], steps: npt.NDArray[np.float32], trellis: int, shifts: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]: ...
def quantize(
    weights: npt.NDArray[np.float32],
    shape: tuple[int, int, int, int],
    steps: npt.NDArray[np.float32],
    trellis: int,
    lam: float,
    rounds: int,
    row_importance: npt.NDArray[np.float32] | None,
    column_importance: npt.NDArray[np.float32] | None,
    measure: bool,
    out: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32] | None = None,
) -> tuple[Sequence[float], float, float]: ...
def factorize(matrix: npt.NDArray[np.float64], least: float) -> npt.NDArray[np.float64]: ...
def find_fault(
    weights: npt.NDArray[np.float32], shape: tuple[int, int, int, int], steps: npt.NDArray[np.float32]
) -> tuple[int, int]: ...

class LevelsError(ValueError):
    """A stream of levels that is damaged, or does not fit the layouts given."""

def encode_levels(
    arrays: Sequence[npt.NDArray[np.int32]],
    shapes: Sequence[tuple[int, int, int, int]],
    trellis: Sequence[int],
    coder: int,
) -> bytes: ...
def decode_levels(
    data: npt.NDArray[np.uint8],
    shapes: Sequence[tuple[int, int, int, int]],
    trellis: Sequence[int],
    arrays: Sequence[npt.NDArray[np.int32]],
) -> None: ...
def decode_levels_to_float(
    data: npt.NDArray[np.uint8],
    shapes: Sequence[tuple[int, int, int, int]],
    trellis: Sequence[int],
    steps: Sequence[npt.NDArray[np.float32]],
    shifts: Sequence[npt.NDArray[np.float32]],
    arrays: Sequence[npt.NDArray[np.float32]],
) -> None: ...
def level_bits(levels: npt.NDArray[np.int32], shape: tuple[int, int, int, int], trellis: int) -> float: ...

class LosslessError(ValueError): ...

def crc32c(data: Buffer, seed: int = 0) -> int: ...
def encode_lossless(element: int, arrays: list[npt.NDArray[Any]]) -> bytes: ...
def decode_lossless(element: int, data: Buffer, arrays: list[npt.NDArray[Any]]) -> None: ...
def distinct_values(values: Buffer, limit: int) -> bytes: ...

class ClustersError(ValueError): ...

def encode_clusters(
    positions: list[npt.NDArray[np.int32]], kernels: list[int], codebooks: list[npt.NDArray[np.uint32]]
) -> bytes: ...
def decode_clusters(
    data: Buffer,
    positions: list[npt.NDArray[np.int32]],
    kernels: list[int],
    codebooks: list[npt.NDArray[np.uint32]],
) -> None: ...
def encode_codebooks(sizes: list[int], keys: npt.NDArray[np.uint32]) -> bytes: ...
def decode_codebooks(data: Buffer, sizes: list[int], keys: npt.NDArray[np.uint32]) -> None: ...
def encode_text(text: Buffer) -> bytes: ...
def decode_text(data: Buffer, size: int) -> bytes | None: ...
def priming_text() -> bytes: ...
