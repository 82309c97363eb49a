"""The C++ core: entropy coders and quantisers over plain arrays (cpp/)."""

import numpy as np
import numpy.typing as npt

def dequantize(
    levels: npt.NDArray[np.int32], steps: npt.NDArray[np.float32], trellis: bool, shifts: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]: ...
