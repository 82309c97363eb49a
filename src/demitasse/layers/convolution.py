"""Convolution and its relatives: Deconvolution, depthwise forms, masked forms, Im2col."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType, text
from demitasse.layers.sizes import Shape, count, differ
from demitasse.net import Layer

__all__ = [
    "Convolution",
    "Deconvolution",
    "DepthwiseByChannels",
    "Im2col",
    "MaskedConvolution",
    "SlidingWindow",
    "window_positions",
    "with_masks",
]


def window_positions(size: int, extent: int, stride: int) -> int:
    """Positions of a window of ``extent`` on ``size`` padded elements, the remainder dropped.

    Caffe divides as C++ does, towards zero: a window that exceeds the input by less than a stride has one position.
    """
    room = size - extent
    return (-(-room // stride) if room < 0 else room // stride) + 1


class SlidingWindow(LayerType):
    """What a kernel with stride, padding and dilation has over any number of spatial axes."""

    field: ClassVar[str] = "convolution_param"

    @cached_property
    def channel_axis(self) -> int:
        """Channels; the axes behind it are the spatial ones."""
        return self.axis(self.param.integer("axis", 1), self.inputs[0])

    @cached_property
    def spatial(self) -> Shape:
        """Input size along the spatial axes."""
        return self.inputs[0][self.channel_axis + 1 :]

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.inputs[0][self.channel_axis]

    def _per_axis(self, name: str, height: str, width: str, default: int | None, missing: int = 0) -> Shape:
        """A value for each spatial axis, from ``name`` once or per axis, or from the two names for height and width.

        ``default`` is for when nothing is given, ``missing`` for a width without a height, which Caffe takes as 0."""
        given = self.sizes(name)
        axes = len(self.spatial)
        if height in self.param or width in self.param:
            if axes != 2:
                self.refuse(f"{height} and {width} are for 2 spatial axes; the input has {axes}: use {name}")
            if given:
                self.refuse(f"says both {name} and {height} or {width}; use one of them")
            return self.size(height, missing), self.size(width, missing)
        if not given and default is not None:
            return (default,) * axes
        if len(given) not in (1, axes):
            self.refuse(f"{name} is given {len(given)} times; it needs 1 or {axes} values, one per spatial axis")
        return given * axes if len(given) == 1 else given

    @cached_property
    def kernel(self) -> Shape:
        """Kernel size per spatial axis."""
        kernel = self._per_axis("kernel_size", "kernel_h", "kernel_w", None)
        if any(size == 0 for size in kernel):
            self.refuse(f"the kernel is {text(kernel)}; every size must be at least 1")
        return kernel

    @cached_property
    def stride(self) -> Shape:
        """Step per spatial axis."""
        stride = self._per_axis("stride", "stride_h", "stride_w", 1)
        if any(step == 0 for step in stride):
            self.refuse(f"the stride is {text(stride)}; every step must be at least 1")
        return stride

    @cached_property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and after the input per spatial axis. Some forks pad each side of a picture by its own."""
        if any(side in self.param for side in ("pad_l", "pad_r", "pad_t", "pad_b")) and len(self.spatial) == 2:
            return (self.size("pad_t"), self.size("pad_b")), (self.size("pad_l"), self.size("pad_r"))
        return tuple((pad, pad) for pad in self._per_axis("pad", "pad_h", "pad_w", 0))

    @cached_property
    def dilation(self) -> Shape:
        """Distance between kernel elements per spatial axis (``hole`` in DeepLab's first versions)."""
        if "hole" in self.param or "hole_h" in self.param or "hole_w" in self.param:
            return self._per_axis("hole", "hole_h", "hole_w", 1, missing=1)
        given = self.sizes("dilation")
        if len(given) not in (0, 1, len(self.spatial)):
            self.refuse(f"dilation is given {len(given)} times; it needs 1 or {len(self.spatial)} values")
        return (given or (1,)) * len(self.spatial) if len(given) < 2 else given

    @cached_property
    def extent(self) -> Shape:
        """Input elements from the first to the last of a kernel, per spatial axis."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    @cached_property
    def plain_padding(self) -> Shape | None:
        """Padding per spatial axis, where it is the same on both sides and no window is larger than what it pads."""
        axes = zip(self.spatial, self.padding, self.extent, strict=True)
        plain = all(before == after and size + before + after >= extent for size, (before, after), extent in axes)
        return tuple(before for before, _ in self.padding) if plain else None

    def positions(self) -> Shape:
        """Output size along the spatial axes."""
        axes = zip(self.spatial, self.padding, self.extent, self.stride, strict=True)
        return tuple(window_positions(size + sum(pad), extent, stride) for size, pad, extent, stride in axes)


class Convolution(SlidingWindow):
    """Weights: output channels × input channels of one group × kernel; bias: output channels."""

    takes: ClassVar[Counts] = (1, None)
    gives: ClassVar[Counts] = (1, None)
    as_many_outputs: ClassVar[bool] = True

    @cached_property
    def group(self) -> int:
        """Number of groups, which divides the channels on both sides."""
        group = self.positive("group", 1)
        for number, what in ((self.channels, "input channels"), (self.filters, "num_output")):
            if differ(number % group, 0):
                self.refuse(f"group is {group}, and does not divide the {number} {what}")
        return group

    @cached_property
    def filters(self) -> int:
        """Channels of the output."""
        return self.positive("num_output")

    @property
    def bias(self) -> bool:
        """Whether there is a bias per output channel."""
        return self.param.flag("bias_term", True)

    def weight(self) -> Shape:
        """Shape of the weights."""
        return (self.filters, self.channels // self.group, *self.kernel)

    def parameters(self) -> tuple[Shape, ...] | None:
        return (self.weight(), (self.filters,)) if self.bias else (self.weight(),)

    def outputs(self) -> tuple[Shape | None, ...]:
        for which, shape in enumerate(self.inputs):
            self.same(self.inputs[0], shape, f'inputs "{self.name(0)}" and "{self.name(which)}" should have one shape')
        _ = self.group
        shape = (*self.inputs[0][: self.channel_axis], self.filters, *self.positions())
        return (shape,) * len(self.inputs)

    def macs(self) -> int:
        images = count(self.inputs[0], 0, self.channel_axis) * len(self.inputs)
        return images * count(self.positions()) * count(self.weight())


class Deconvolution(Convolution):
    """The transpose of a convolution: weights are input channels × output channels of one group × kernel."""

    def weight(self) -> Shape:
        return (self.channels, self.filters // self.group, *self.kernel)

    def positions(self) -> Shape:
        axes = zip(self.spatial, self.padding, self.extent, self.stride, strict=True)
        return tuple(stride * (size - 1) + extent - sum(pad) for size, pad, extent, stride in axes)

    def macs(self) -> int:
        images = count(self.inputs[0], 0, self.channel_axis) * len(self.inputs)
        return images * count(self.spatial) * count(self.weight())


class DepthwiseByChannels(Convolution):
    """ConvolutionDepthwise: one kernel for each input channel whatever ``num_output`` and ``group`` say."""

    takes: ClassVar[Counts] = (1, 1)
    gives: ClassVar[Counts] = (1, 1)

    @cached_property
    def group(self) -> int:
        return self.channels

    @cached_property
    def filters(self) -> int:
        return self.channels

    def weight(self) -> Shape:
        return (self.channels, 1, *self.kernel)


class MaskedConvolution(Convolution):
    """CConvolution: a convolution with a mask of the same shape behind its blobs for each of them, or for the weights
    alone, as the forks have it (dynamic network surgery, AutoPruning)."""

    def parameters(self) -> tuple[Shape, ...] | None:
        return with_masks(self.layer, super().parameters() or (), "cconvolution_param")


def with_masks(layer: Layer, shapes: tuple[Shape, ...], field: str) -> tuple[Shape, ...]:
    """Shapes of blobs and masks. Only the fork that masks biases has a filler for that mask."""
    if layer.tensors:
        return shapes + shapes[: len(layer.tensors) - len(shapes)]
    masked_bias = "bias_mask_filler" in layer.message.message(field)
    return shapes + (shapes if masked_bias else shapes[:1])


class Im2col(SlidingWindow):
    """Every window as a column: channels become channels × kernel."""

    def outputs(self) -> tuple[Shape | None, ...]:
        columns = self.channels * count(self.kernel)
        return ((*self.inputs[0][: self.channel_axis], columns, *self.positions()),)
