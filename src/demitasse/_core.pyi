"""The C++ core: entropy coders and quantisers over plain arrays (cpp/)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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
