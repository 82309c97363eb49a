"""Pooling, with Caffe's ceiling and its clipping, spatial pyramids, and pooling over regions of interest."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import UNKNOWN, Shape, differ
from demitasse.net import Layer

__all__ = [
    "Pooling",
    "PositionSensitiveROIPooling",
    "ROIAlign",
    "ROIPooling",
    "SpatialPyramidPooling",
    "counted",
    "pooled_size",
]

Pair = tuple[int, int]
"""Height and width."""

METHODS = ("MAX", "AVE", "STOCHASTIC", "AVE_EXC_PAD")
"""By their numbers. The last is Synopsys' fork's: an average of what lies inside the picture."""


def pooled_size(size: int, window: tuple[int, int], pad: tuple[int, int], *, clip: bool, ceil: bool = True) -> int:
    """Positions of a pooling window, of some size and stride, on one axis.

    With ``clip``, a last window that would start behind the input and its leading padding is dropped; Caffe clips both
    axes where either is padded.
    """
    kernel, stride = window
    room = size + sum(pad) - kernel
    positions = (-(-room // stride) if ceil else room // stride) + 1
    if clip and (positions - 1) * stride >= size + pad[0]:
        positions -= 1
    return positions


def counted(
    length: int, kernel: int, stride: int, pad: tuple[int, int], positions: int, *, padding_counts: bool
) -> npt.NDArray[np.float64]:
    """How many elements of each window on one axis an average divides by: those in the picture, and in its padding,
    but for what is behind that. 0 or less for a window that lies behind the picture altogether."""
    start = np.arange(positions) * stride - pad[0]
    end = np.minimum(start + kernel, length + pad[1])
    if not padding_counts:
        start, end = np.maximum(start, 0), np.minimum(end, length)
    return (end - start).astype(np.float64)


class Pooling(LayerType):
    """Maximum or average over windows; a second output of maximum pooling holds where each maximum was found."""

    field: ClassVar[str] = "pooling_param"

    @classmethod
    def output_limits(cls, layer: Layer) -> Counts:
        method = layer.message.message(cls.field).string("pool", "MAX")
        return (1, 2) if method in ("MAX", "0") else (1, 1)

    def _pair(self, name: str, default: int) -> tuple[int, int]:
        """Height and width, from ``name`` or from both of its two names."""
        height, width = ("kernel_h", "kernel_w") if name == "kernel_size" else (f"{name}_h", f"{name}_w")
        either, both = height in self.param or width in self.param, height in self.param and width in self.param
        if either and (name in self.param or not both):
            self.refuse(f"give either {name}, or both {height} and {width}")
        if both:
            return self.size(height), self.size(width)
        value = self.size(name, default)
        return value, value

    @cached_property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the window: of the whole input with ``global_pooling``."""
        if self.everything:
            if any(name in self.param for name in ("kernel_size", "kernel_h", "kernel_w")):
                self.refuse("global_pooling takes the whole input as its window: remove the kernel size")
            height, width = self.axes(4)[2:]
            return height, width
        if not any(name in self.param for name in ("kernel_size", "kernel_h", "kernel_w")):
            self.refuse("has no kernel size: give kernel_size, or kernel_h and kernel_w, or global_pooling")
        kernel = self._pair("kernel_size", 0)
        if 0 in kernel:
            self.refuse(f"the kernel is {kernel[0]}×{kernel[1]}; both sizes must be at least 1")
        return kernel

    @cached_property
    def method(self) -> str:
        """How a window becomes a number, one of `METHODS`."""
        said = self.param.string("pool", "MAX")
        found = METHODS[int(said)] if said.isdecimal() and int(said) < len(METHODS) else said
        if found not in METHODS:
            self.refuse(f"pool is {said}; it can be {', '.join(METHODS)}")
        return found

    @cached_property
    def everything(self) -> bool:
        """One window over the whole input."""
        return self.param.flag("global_pooling")

    @cached_property
    def stride(self) -> tuple[int, int]:
        """Step of the window, in height and width."""
        stride = self._pair("stride", 1)
        if 0 in stride:
            self.refuse(f"the stride is {stride[0]}×{stride[1]}; both steps must be at least 1")
        return stride

    @cached_property
    def padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Padding before and after, in height and in width. Some forks pad each side by its own."""
        if any(side in self.param for side in ("pad_l", "pad_r", "pad_t", "pad_b")):
            return (self.size("pad_t"), self.size("pad_b")), (self.size("pad_l"), self.size("pad_r"))
        height, width = self._pair("pad", 0)
        return (height, height), (width, width)

    @cached_property
    def ceil(self) -> bool:
        """Whether a remainder gets a window; ``ceil_mode`` is the forks' word for ``round_mode``."""
        if "ceil_mode" in self.param:
            return self.param.flag("ceil_mode", True)
        return self.param.string("round_mode", "CEIL") not in ("FLOOR", "1")

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.axes(4)
        padded = any(sum(pad) for pad in self.padding)
        if self.everything and (padded or self.stride != (1, 1)):
            self.refuse("global_pooling allows no padding and no stride")
        if padded and self.method == "STOCHASTIC":
            self.refuse("padding is only for average and maximum pooling")
        sizes: list[int] = []
        for axis in (0, 1):
            kernel, pad = self.kernel[axis], self.padding[axis]
            if padded and not all(side < kernel for side in pad) and kernel is not UNKNOWN:
                self.refuse(f"the padding {max(pad)} has to be smaller than the kernel {kernel}")
            window = (kernel, self.stride[axis])
            sizes.append(pooled_size(shape[2 + axis], window, pad, clip=padded, ceil=self.ceil))
        return ((*shape[:2], *sizes),) * max(1, len(self.layer.outputs))


class SpatialPyramidPooling(LayerType):
    """SPP: pooling into 1, 4, 16 … bins, laid out in a row."""

    field: ClassVar[str] = "spp_param"

    @cached_property
    def levels(self) -> tuple[tuple[Pair, Pair, Pair], ...]:
        """For each level the window, which is also its step, the padding on every side, and the number of bins, each in
        height and width."""
        height, width = self.axes(4)[2:]
        return tuple(self._bins((height, width), 2**level) for level in range(self.positive("pyramid_height")))

    def outputs(self) -> tuple[Shape | None, ...]:
        images, channels = self.axes(4)[:2]
        sizes = [size for _, _, size in self.levels]
        if len(sizes) == 1:
            return ((images, channels, *sizes[0]),)
        return ((images, channels * sum(height * width for height, width in sizes)),)

    def _bins(self, size: Pair, bins: int) -> tuple[Pair, Pair, Pair]:
        """Window, padding and size of one level: Caffe derives a pooling with padding from the number of bins."""
        kernel = -(-size[0] // bins), -(-size[1] // bins)
        pad = (kernel[0] * bins - size[0] + 1) // 2, (kernel[1] * bins - size[1] + 1) // 2
        result: list[int] = []
        for length, window, side in zip(size, kernel, pad, strict=True):
            if side >= window:
                self.refuse(f"an input of {length} is too small for {bins} bins: lower pyramid_height")
            result.append(pooled_size(length, (window, window), (side, side), clip=any(pad)))
        return kernel, pad, (result[0], result[1])


class ROIPooling(LayerType):
    """ROIPooling and ROIAlign: every region (image, x1, y1, x2, y2) into a fixed grid."""

    field: ClassVar[str] = "roi_pooling_param"
    takes: ClassVar[Counts] = (2, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        both = self.sizes("pooled_size")
        grid = (self.positive("pooled_h", *both[:1]), self.positive("pooled_w", *both[-1:]))
        return ((self.rows(1), self.legacy(0)[1], *grid),)


class ROIAlign(ROIPooling):
    """As ROI pooling, by interpolation."""

    field: ClassVar[str] = "roi_align_param"


class PositionSensitiveROIPooling(LayerType):
    """PSROIPooling (R-FCN): each cell of the grid is averaged from channels of its own."""

    field: ClassVar[str] = "psroi_pooling_param"
    takes: ClassVar[Counts] = (2, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        maps, grid = self.positive("output_dim"), self.positive("group_size")
        channels = self.legacy(0)[1]
        if differ(channels, maps * grid * grid):
            self.refuse(f"reads {channels} channels; {maps} outputs in {grid}×{grid} cells need {maps * grid * grid}")
        return ((self.rows(1), maps, grid, grid),)
