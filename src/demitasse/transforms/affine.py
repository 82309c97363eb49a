"""Layers that multiply each channel by a number and add another, and nothing else: BatchNorm in use, also as forks have
it, Scale, Bias, and Power of exponent one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.layers import MaybeShape
from demitasse.layers.build import phase_of
from demitasse.net import Layer, Tensor

__all__ = ["AFFINE", "Affine", "affine"]

AFFINE: Final = ("BN", "BatchNorm", "Bias", "Power", "Scale")
"""Types that may be affine, depending on their options."""

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """``scale * x + shift`` along an axis: vectors of its size, or of size one for the same everywhere (``axis`` is
    None then)."""

    scale: Wide
    shift: Wide
    axis: int | None

    @property
    def shifts(self) -> bool:
        """Whether something is added."""
        return bool(np.any(self.shift))

    def spread(self, channels: int) -> Affine:
        """With one number for each of that many channels."""
        return Affine(np.broadcast_to(self.scale, channels), np.broadcast_to(self.shift, channels), self.axis)

    def then(self, other: Affine) -> Affine:
        """This, and the other after it."""
        axis = self.axis if self.axis is not None else other.axis
        return Affine(self.scale * other.scale, self.shift * other.scale + other.shift, axis)

    def joins(self, other: Affine) -> bool:
        """Whether both are along the same axis."""
        return self.axis is None or other.axis is None or self.axis == other.axis


def affine(layer: Layer, shape: MaybeShape) -> Affine | str:
    """What a layer does to an input of that shape; or why it is no such thing."""
    found = RULES[layer.type](layer, None if shape is None else len(shape))
    if isinstance(found, Affine) and not (np.isfinite(found.scale).all() and np.isfinite(found.shift).all()):
        return "its numbers are not finite"
    return found


def batch_norm(layer: Layer, axes: int | None) -> Affine | str:
    """(x - mean) / sqrt(variance + eps), with statistics that are sums to be divided by the third blob; by nothing at
    all, and zero, where that is zero (``batch_norm_layer.cpp``)."""
    options = layer.message.message("batch_norm_param")
    if not options.flag("use_global_stats", True):
        return "it normalises by the statistics of each batch"
    if phase_of(layer.message, "TEST") != "TEST":
        return "it works as in training"
    if len(layer.tensors) not in (3, 5):
        return "it has no statistics" if not layer.tensors else f"it has {len(layer.tensors)} blobs"
    mean, variance, count, *learned = (wide(tensor) for tensor in layer.tensors)
    factor = 0.0 if count[0] == 0 else 1.0 / count[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1.0 / np.sqrt(variance * factor + float(np.float32(options.number("eps", 1e-5))))
        found = Affine(scale, -mean * factor * scale, 1)
    return found.then(Affine(learned[0], learned[1], 1)) if learned else found


def fork_batch_norm(layer: Layer, axes: int | None) -> Affine | str:
    """SegNet's BN in mode INFERENCE (scale and shift, into which the statistics have gone), and PSPNet's (slope, shift,
    mean and variance, as they are)."""
    options = layer.message.message("bn_param")
    if len(layer.tensors) == 2:
        if options.string("bn_mode", "LEARN") not in ("INFERENCE", "1"):
            return "it normalises by the statistics of each batch"
        return Affine(wide(layer.tensors[0]), wide(layer.tensors[1]), 1)
    if phase_of(layer.message, "TEST") != "TEST":
        return "it works as in training"
    if len(layer.tensors) != 4:
        return "it has no statistics" if not layer.tensors else f"it has {len(layer.tensors)} blobs"
    slope, shift, mean, variance = map(wide, layer.tensors)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = slope / np.sqrt(variance + float(np.float32(options.number("eps", 1e-5))))
        return Affine(scale, shift - mean * scale, 1)


def scaling(layer: Layer, axes: int | None) -> Affine | str:
    """A learned scale, and a learned bias behind it."""
    options = layer.message.message("scale_param")
    where = spanned(layer, "scale_param", axes)
    if isinstance(where, str):
        return where
    biased = options.flag("bias_term")
    if len(layer.tensors) != 1 + biased:
        return "it has no weights" if not layer.tensors else f"it has {len(layer.tensors)} blobs"
    scale = wide(layer.tensors[0])
    return Affine(scale, wide(layer.tensors[1]) if biased else np.zeros_like(scale), where[0])


def adding(layer: Layer, axes: int | None) -> Affine | str:
    """A learned bias."""
    where = spanned(layer, "bias_param", axes)
    if isinstance(where, str):
        return where
    if len(layer.tensors) != 1:
        return "it has no weights"
    shift = wide(layer.tensors[0])
    return Affine(np.ones_like(shift), shift, where[0])


def power(layer: Layer, axes: int | None) -> Affine | str:
    """(shift + scale · x) ^ power."""
    options = layer.message.message("power_param")
    if options.number("power", 1.0) != 1.0:
        return "its exponent is not 1"
    scale, shift = options.number("scale", 1.0), options.number("shift", 0.0)
    return Affine(np.array([float(np.float32(scale))]), np.array([float(np.float32(shift))]), None)


RULES: Final = {
    "BN": fork_batch_norm,
    "BatchNorm": batch_norm,
    "Bias": adding,
    "Power": power,
    "Scale": scaling,
}


def spanned(layer: Layer, field: str, axes: int | None) -> tuple[int | None] | str:
    """The one axis that a Scale or Bias goes along, or None for a single number; or why that is not so."""
    options = layer.message.message(field)
    if len(layer.inputs) != 1:
        return "it takes its numbers from another layer"
    axis, number = options.integer("axis", 1), options.integer("num_axes", 1)
    if number == 0 or (layer.tensors and not layer.tensors[0].shape):
        return (None,)
    if axis < 0 and axes is not None:
        axis += axes
    if number == -1 and axes is not None:
        number = axes - axis
    if number != 1 or axis < 0:
        return "it spans several axes"
    return (axis,)


def wide(tensor: Tensor) -> npt.NDArray[Any]:
    """The values as a vector of float64."""
    return tensor.array().astype(np.float64).reshape(-1)
