"""Layers that change how large a picture is, by copying or interpolating."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import Shape

__all__ = ["Interp", "Pad", "Padding", "Resize", "ResizeBilinear", "SizeFromParameters", "Upsample"]


class SizeFromParameters(LayerType):
    """Height and width as given, or a multiple of the input's."""

    height: ClassVar[str] = "dst_h"
    width: ClassVar[str] = "dst_w"
    factor: ClassVar[str] = "scale_factor"

    def outputs(self) -> tuple[Shape | None, ...]:
        images, channels, height, width = self.axes(4)
        factor = self.size(self.factor, 0)
        if factor:
            return ((images, channels, height * factor, width * factor),)
        return ((images, channels, self.positive(self.height), self.positive(self.width)),)


class BilinearInterpolate(SizeFromParameters):
    """To a size or by a factor."""

    field: ClassVar[str] = "bilinear_interpolate_param"


class MaxUnPool(SizeFromParameters):
    """Values back to where maximum pooling found them."""

    field: ClassVar[str] = "max_unpool_param"
    takes: ClassVar[Counts] = (2, 2)


class Resize(SizeFromParameters):
    """To a size."""

    field: ClassVar[str] = "resize_param"
    height: ClassVar[str] = "height"
    width: ClassVar[str] = "width"


class ResizeBilinear(LayerType):
    """DeepLab v3 as exported from TensorFlow: to a size, or by a factor."""

    field: ClassVar[str] = "resize_bilinear_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.axes(4)
        planes = self.param.string("data_format", "NHWC") == "NCHW"
        first = 2 if planes else 1
        sizes = [
            self.size(f"output_{side}") or int(shape[first + i] * self.param.number(f"scale_{side}", 1.0))
            for i, side in enumerate(("height", "width"))
        ]
        return ((*shape[:first], *sizes, *shape[first + 2 :]),)


class Upsample(LayerType):
    """SegNet: values back to where pooling found them, by a mask; YOLO: every pixel repeated."""

    field: ClassVar[str] = "upsample_param"
    takes: ClassVar[Counts] = (1, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.inputs[0]
        masked = len(self.inputs) == 2
        scale = self.size("scale", 2 if masked else 1)
        if len(shape) == 3:
            return ((*shape[:2], shape[2] * scale),)
        images, channels, height, width = self.axes(4)
        rows = self.size("upsample_h") or height * self.size("scale_h", scale) - self.param.flag("pad_out_h")
        columns = self.size("upsample_w") or width * self.size("scale_w", scale) - self.param.flag("pad_out_w")
        return ((images, channels, rows, columns),)


class Interp(LayerType):
    """DeepLab, PSPNet: bilinear, corners aligned, to a size, by a factor, or to the size of a second input."""

    field: ClassVar[str] = "interp_param"
    takes: ClassVar[Counts] = (1, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        images, channels, *size = self.axes(4)
        if len(self.inputs) == 2:
            return ((images, channels, *self.axes(4, 1)[2:]),)
        begin, end = self.param.integer("pad_beg"), self.param.integer("pad_end")
        if begin > 0 or end > 0:
            self.refuse("pad_beg and pad_end crop, and cannot be above 0")
        return ((images, channels, *(self._length(i, n + begin + end) for i, n in enumerate(size))),)

    def _length(self, axis: int, length: int) -> int:
        """New height (axis 0) or width (axis 1)."""
        given = ("height", "width")
        if all(name in self.param for name in given):
            return self.positive(given[axis])
        if "full_zoom_factor" in self.param:
            return length * self.positive("full_zoom_factor")
        if not any(name in self.param for name in ("shrink_factor", "zoom_factor")):
            self.refuse("gives neither height and width, nor zoom_factor, nor shrink_factor")
        shrunk = (length - 1) // self.positive("shrink_factor", 1) + 1
        return shrunk + (shrunk - 1) * (self.positive("zoom_factor", 1) - 1)


class Padding(LayerType):
    """DeepLab: rows and columns of zeros around, or fewer where negative."""

    field: ClassVar[str] = "padding_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        more = self.param.integer("pad_beg") + self.param.integer("pad_end")
        images, channels, height, width = self.axes(4)
        return ((images, channels, height + more, width + more),)


class Pad(LayerType):
    """Rows above and below, columns left and right."""

    field: ClassVar[str] = "pad_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        images, channels, height, width = self.axes(4)
        rows, columns = self.size("pad_u") + self.size("pad_d"), self.size("pad_l") + self.size("pad_r")
        return ((images, channels, height + rows, width + columns),)
