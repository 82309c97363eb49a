"""Pooling with Caffe's windows: a remainder gets a window, which is cut where the picture (and its padding) ends.

ONNX's own ``ceil_mode`` drops and divides otherwise, so windows are laid out by explicit padding behind the picture,
and averages are corrected by a constant where Caffe's windows are smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from demitasse.layers import UNKNOWN
from demitasse.layers.pooling import Pooling, SpatialPyramidPooling, counted
from demitasse.onnx.call import Call, Result

__all__ = ["Windows", "averages", "maxima", "pooling", "spatial_pyramid"]

LOWEST = float(np.finfo(np.float32).min)
"""Where Caffe's search for a maximum begins; what a window without elements gives."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows on height and width: sizes of the picture and of the result with them."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    result: tuple[int, int]
    padding_counts: bool = True

    def behind(self, axis: int) -> int:
        """Padding behind the picture that makes room for the last window; 0 if there is room anyway."""
        last = (self.result[axis] - 1) * self.stride[axis] + self.kernel[axis]
        return max(0, last - self.size[axis] - self.padding[axis][0])

    def pads(self, x: str, call: Call, fill: float) -> tuple[str, dict[str, object]]:
        """The picture, and attributes of a pooling that gives ``result``. ONNX pads by less than a kernel; a window
        that lies behind the picture altogether needs more, which is then written out."""
        before = [pad[0] for pad in self.padding]
        behind = [self.behind(axis) for axis in (0, 1)]
        most = [min(pad, kernel - 1) for pad, kernel in zip(behind, self.kernel, strict=True)]
        if most != behind:
            extra = [pad - inside for pad, inside in zip(behind, most, strict=True)]
            # Zeros in front of the picture stay those of the pooling; behind it, all have to be of one kind.
            value = call.floats(max(fill, float(np.finfo(call.dtype).min)))
            x = call.op("Pad", x, call.integers(0, 0, 0, 0, 0, 0, *extra), value)
        return x, {"kernel_shape": self.kernel, "strides": self.stride, "pads": (*before, *most)}

    def shares(self) -> npt.NDArray[np.float64]:
        """Elements of a kernel over those that Caffe divides by: padding may count, what is behind it does not.

        An empty window is divided by its size all the same, which is 0 or negative."""
        lengths = [
            counted(
                self.size[axis],
                self.kernel[axis],
                self.stride[axis],
                self.padding[axis],
                self.result[axis],
                padding_counts=self.padding_counts,
            )
            for axis in (0, 1)
        ]
        with np.errstate(divide="ignore"):
            shares: npt.NDArray[np.float64] = self.kernel[0] * self.kernel[1] / np.outer(*lengths)
        return shares


def maxima(call: Call, x: str, windows: Windows, *, places: bool = False) -> tuple[str, ...]:
    """Maximum of each window; with ``places``, where it is in its plane, too."""
    padded, attributes = windows.pads(x, call, LOWEST)
    if not places:
        return (call.op("MaxPool", padded, **attributes),)
    if padded != x:
        call.refuse("a window lies behind the picture, and where its maximum is has no meaning")
    values, flat = call.ops("MaxPool", 2, x, **attributes)
    plane = call.op("Mod", flat, call.integers(windows.size[0] * windows.size[1]))
    return values, call.to_floats(plane)


def averages(call: Call, x: str, windows: Windows) -> str:
    """Average of each window."""
    padded, attributes = windows.pads(x, call, 0.0)
    y = call.op("AveragePool", padded, count_include_pad=1, **attributes)
    shares = windows.shares()
    return y if (shares == 1).all() else call.op("Mul", y, call.floats(shares[None, None]))


def sampled(call: Call, x: str, windows: Windows) -> str:
    """STOCHASTIC, outside of training: the average weighted by the elements themselves."""
    squares = averages(call, call.op("Mul", x, x), windows)
    tiny = float(np.finfo(np.float32).tiny) / (windows.kernel[0] * windows.kernel[1])
    return call.op("Div", squares, call.op("Add", averages(call, x, windows), call.floats(tiny)))


def pooling(call: Call) -> Result:
    """MAX, AVE (of forks with or without the padding) or STOCHASTIC."""
    placed = cast(Pooling, call.placed)
    method = placed.method
    if any(size is UNKNOWN for size in call.shape[2:]):
        call.refuse("the size of its input is not known")
    places = len(call.layer.outputs) == 2
    if placed.everything and method == "MAX" and not places:
        return call.op("GlobalMaxPool", call.x)
    if placed.everything and method in ("AVE", "AVE_EXC_PAD"):
        return call.op("GlobalAveragePool", call.x)
    height, width = call.shape[2:]
    result = call.outputs[0][2:]
    windows = Windows(
        (height, width), placed.kernel, placed.stride, placed.padding, (result[0], result[1]), method != "AVE_EXC_PAD"
    )
    if method == "MAX":
        return maxima(call, call.x, windows, places=places)
    if method in ("AVE", "AVE_EXC_PAD"):
        return averages(call, call.x, windows)
    return sampled(call, call.x, windows)


def spatial_pyramid(call: Call) -> Result:
    """Poolings into 1, 4, 16 … bins, laid out in a row."""
    placed = cast(SpatialPyramidPooling, call.placed)
    height, width = (call.known(size, "the size of its input varies") for size in call.shape[2:])
    method = call.param.string("pool", "MAX")
    if method not in ("MAX", "0", "AVE", "1"):
        call.refuse(f"spatial pyramids by {method}")
    levels = []
    for kernel, pad, bins in placed.levels:
        windows = Windows((height, width), kernel, kernel, ((pad[0], pad[0]), (pad[1], pad[1])), bins)
        pooled = maxima(call, call.x, windows)[0] if method in ("MAX", "0") else averages(call, call.x, windows)
        levels.append(pooled)
    if len(levels) == 1:
        return levels[0]
    return call.op("Concat", *(call.op("Flatten", pooled, axis=1) for pooled in levels), axis=1)
