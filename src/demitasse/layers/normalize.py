"""Layers that scale and shift: BatchNorm, Scale, Bias, the forks' BN and Normalize; LRN and MVN."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from demitasse.layers.layertype import Counts, SameShape
from demitasse.layers.sizes import Shape

__all__ = ["BN", "LRN", "MVN", "BatchNorm", "Bias", "Normalize", "Scale"]


class BatchNorm(SameShape):
    """Blobs: sums of means, sums of variances, and the factor that both are to be divided by.

    NVCaffe's ``scale_bias`` adds a scale and a bias per channel.
    """

    field: ClassVar[str] = "batch_norm_param"

    def parameters(self) -> tuple[Shape, ...] | None:
        channels = self.inputs[0][self.axis(1, self.inputs[0])]
        for spec in self.layer.message.messages("param")[:3]:
            if spec.number("lr_mult", 1.0) != 0.0:
                self.refuse("its statistics are not learned: every param needs lr_mult: 0")
        shapes: tuple[Shape, ...] = ((channels,), (channels,), (1,))
        return (*shapes, (channels,), (channels,)) if self.param.flag("scale_bias") else shapes


class BN(SameShape):
    """Scale and shift (SegNet), or scale, shift, mean and variance (PSPNet, ICNet): each 1 × channels × 1 × 1.

    Both forks use this name and the same message with other fields, by which they are told apart.
    """

    field: ClassVar[str] = "bn_param"

    def parameters(self) -> tuple[Shape, ...] | None:
        if any(name in self.param for name in ("slope_filler", "bias_filler", "momentum", "frozen", "icnet")):
            blobs = 4
        elif any(name in self.param for name in ("scale_filler", "shift_filler", "bn_mode")):
            blobs = 2
        else:
            blobs = len(self.layer.tensors)
        return ((1, self.legacy(0)[1], 1, 1),) * blobs if blobs else None


class Scale(SameShape):
    """Times a scale that spans some axes: a blob, or the second input. With ``bias_term``, plus a bias likewise."""

    field: ClassVar[str] = "scale_param"
    takes: ClassVar[Counts] = (1, 2)

    @cached_property
    def bias(self) -> bool:
        """Whether a bias follows."""
        return self.param.flag("bias_term")

    @cached_property
    def span(self) -> Shape:
        """Shape of the scale."""
        if len(self.inputs) == 2:
            return self.inputs[1]
        axes = self.param.integer("num_axes", 1)
        if axes < -1:
            self.refuse(f"num_axes is {axes}; it must be -1 (all that follow), 0 or more")
        shape = self.inputs[0]
        first = self.axis(self.param.integer("axis", 1), shape)
        if first + axes > len(shape):
            self.refuse(f"num_axes is {axes} from axis {first} on; the input has {len(shape)} axes")
        return shape[first:] if axes == -1 else shape[first : first + axes]

    def parameters(self) -> tuple[Shape, ...] | None:
        learned = (self.span,) if len(self.inputs) == 1 else ()
        return (*learned, self.span) if self.bias else learned

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.inputs[0]
        first = self.axis(self.param.integer("axis", 1), shape) if self.span else 0
        self.same(shape[first : first + len(self.span)], self.span, f"the sizes from axis {first} on should agree")
        return (shape,)


class Bias(Scale):
    """Plus a bias that spans some axes: a blob, or the second input."""

    field: ClassVar[str] = "bias_param"

    @cached_property
    def bias(self) -> bool:
        return False


class Normalize(SameShape):
    """SSD: to unit length over the channels, then times a scale per channel or one for all."""

    field: ClassVar[str] = "norm_param"

    def parameters(self) -> tuple[Shape, ...] | None:
        return ((),) if self.param.flag("channel_shared", True) else ((self.legacy(0)[1],),)


class LRN(SameShape):
    """Local response normalisation, across or within channels."""

    field: ClassVar[str] = "lrn_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        if self.size("local_size", 5) % 2 == 0:
            self.refuse(f"local_size is {self.size('local_size', 5)}; it must be odd")
        return (self.axes(4),)


class MVN(SameShape):
    """Zero mean and unit variance, over the picture or over all of it."""

    def outputs(self) -> tuple[Shape | None, ...]:
        self.legacy(0)
        return super().outputs()
