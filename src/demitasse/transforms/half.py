"""Half precision: every weight as float16, in the form that OpenCV and NVCaffe read (raw bytes in the caffemodel).

A float16 has 11 significant bits, ends at 65504, and loses bits below 6.1e-5. What does not fit is refused, tensor by
tensor, rather than written as infinity or zero; ``clamp`` allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from demitasse.errors import OptionError
from demitasse.net import Dense, Layer, Net, Note, Tensor
from demitasse.transforms.transform import altered, done
from demitasse.transforms.weighted import WEIGHTED

__all__ = ["Half"]

LARGEST: Final = 65504.0
"""The largest float16."""

COARSE: Final = 2.0**-10
"""Relative error of a tensor beyond which it has lost more than the last bit: rounding alone gives at most half."""

TOGETHER: Final = 1 << 20
"""Weights that are converted at once."""


@dataclass(frozen=True, slots=True)
class Half:
    """The transform. ``clamp``: what is too large becomes the largest float16, what is too small loses bits or
    becomes zero, and the report says where; otherwise OptionError. A NaN is refused either way."""

    tolerance: ClassVar[float | None] = 2e-2

    clamp: bool = False

    def __call__(self, net: Net) -> Net:
        """The network with all weights as float16."""
        notes: list[Note] = []
        layers = []
        saved = 0
        for layer in net.layers:
            tensors: list[Tensor] = []
            for index, tensor in enumerate(layer.tensors):
                beside = energy(layer.tensors[0]) if index == 1 and layer.type in WEIGHTED else 0.0
                same = tensor.dtype == np.float16
                tensors.append(tensor if same else self.converted(layer, index, beside, notes))
                saved += tensor.size * tensor.dtype.itemsize - tensors[-1].nbytes
            layers.append(layer.with_tensors(tensors) if tensors else layer)
        if not saved:
            return net.noting(done("half", "", "nothing to do: there are no weights of more than 16 bits"))
        text = f"{net.parameters} weights as float16: OpenCV reads them, BVLC Caffe does not"
        return net.with_layers(layers, done("half", "", text, bytes_saved=saved), *notes)

    def converted(self, layer: Layer, index: int, beside: float, notes: list[Note]) -> Dense:
        """One tensor. ``beside``: the sum of squares of the weights, if it is a bias: one that is nothing beside them
        may lose what it has. OptionError for what does not fit, unless it may be clamped."""
        tensor = layer.tensors[index]
        found = np.empty(tensor.size, np.float16)
        at = over = lost = 0
        signal = noise = 0.0
        for values in pieces(tensor):
            if np.isnan(values).any():
                raise OptionError(f"{layer}, blob {index} holds NaN: it cannot be made smaller as it is")
            beyond = np.abs(values) > LARGEST
            over += int(np.count_nonzero(beyond))
            rounded = np.clip(values, -LARGEST, LARGEST).astype(np.float16)
            lost += int(np.count_nonzero((rounded == 0) & (values != 0)))
            wide = np.where(beyond, 0, values).astype(np.float64)
            signal += float(np.vdot(wide, wide))
            wide -= np.where(beyond, 0, rounded)
            noise += float(np.vdot(wide, wide))
            found[at : at + values.size] = rounded
            at += values.size
        tensor.release()
        coarse = noise > COARSE**2 * (signal + beside)
        if over and not self.clamp:
            hint = "; fold BatchNorm first, or allow it with --clamp" if layer.type == "BatchNorm" else ""
            raise OptionError(
                f"{layer}, blob {index}: {over} of {tensor.size} weights exceed {LARGEST:g}, the largest float16"
                + (hint or ": allow it with --clamp")
            )
        if coarse and not self.clamp:
            raise OptionError(
                f"{layer}, blob {index}: its weights are so small that float16 keeps few of their bits "
                f"(relative error {(noise / signal) ** 0.5:.1e}, {lost} become zero): allow it with --clamp"
            )
        if over or coarse:
            text = f"blob {index}: {over} weights too large and {lost} too small for float16, clamped"
            notes.append(altered("half", layer.name, text, index=index, overflow=over, underflow=lost))
        elif lost:
            text = f"blob {index}: {lost} weights that are next to nothing became zero"
            notes.append(done("half", layer.name, text, index=index, underflow=lost))
        return Dense(found.reshape(tensor.shape))


def energy(tensor: Tensor) -> float:
    """The sum of squares."""
    total = sum(float(np.vdot(values, values)) for values in map(np.float64, pieces(tensor)))
    tensor.release()
    return total


def pieces(tensor: Tensor) -> Iterator[npt.NDArray[np.floating]]:
    """The values in order, flat, not too many at a time."""
    for part in tensor.parts():
        for start in range(0, part.size, TOGETHER):
            yield part[start : start + TOGETHER]
