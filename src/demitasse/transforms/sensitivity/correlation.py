"""How what a layer reads goes together, and the feedback that follows from it.

The error of an output is the sum over a row of weight error × input. Where neighbouring inputs go together, later
weights can make good what an earlier one got wrong, as far as their inputs predict its own: its error times the
coefficients of that prediction is added to what they aim for (GPTQ, Frantar et al., 2023). Here only the ``order``
inputs after it count, so that all it takes is a band of second moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demitasse.net import Layer
from demitasse.transforms.sensitivity.grid import Array, Wide, exact
from demitasse.transforms.sensitivity.operators import KERNELS, MATRICES, geometry_of, weights_shape

__all__ = ["ORDER", "Band", "band_of"]

ORDER = 32
"""Inputs that a prediction looks at: three and a half channels of a 3 × 3 kernel."""

POSITIONS = 1024
"""Places of a map that are looked at, at most."""

DAMPING = 0.02
"""Added to every input's second moment, as a share of the mean one: what generated pictures cannot know. Where there
are few samples, more is added."""

STRONGEST = 8.0
BLOCK = 128
SOLVED_TOGETHER = 512
CHANNELS_APART = 16
"""Of a depthwise layer's channels one in so many is looked at, at most this many are."""


@dataclass(frozen=True, slots=True)
class Band:
    """``moments[j, d]``: sum over samples of input j × input j + d, for d up to `ORDER`; ``samples``: how many."""

    moments: Wide
    samples: int

    def __add__(self, other: Band) -> Band:
        return Band(self.moments + other.moments, self.samples + other.samples)

    def feedback(self) -> npt.NDArray[np.float32]:
        """What an error at input j adds to the target of input j + 1 + d: (inputs, `ORDER`)."""
        count = len(self.moments)
        mean = float(self.moments[:, 0].sum()) / count
        if not mean > 0:
            return np.zeros((count, ORDER), np.float32)
        moments = self.moments.copy()
        moments[:, 0] += mean * (DAMPING + ORDER / self.samples)
        out = np.zeros((count, ORDER))
        for start in range(0, count, SOLVED_TOGETHER):
            part = range(start, min(start + SOLVED_TOGETHER, count))
            out[part.start : part.stop] = predicted(moments, part, mean * DAMPING)
        if not np.isfinite(out).all():  # not the moments of anything
            return np.zeros(out.shape, np.float32)
        out = np.clip(out, -STRONGEST, STRONGEST)
        return np.round(out * 4096).astype(np.float32) / np.float32(4096)


def predicted(moments: Wide, inputs: range, least: float) -> Wide:
    """Best linear prediction of each of these inputs from those after it: (inputs, `ORDER`), the nearest first.

    ``least``: what stays unpredictable of every input at least. Cholesky's algorithm on all at once, element by
    element: no sum whose order could differ between machines.
    """
    first = np.arange(inputs.start, inputs.stop)
    back = np.arange(ORDER + 1)
    index = first[:, None] + back[None, ::-1]  # the inputs after, the nearest last, then the input itself
    inside = np.maximum(index[:, :, None], index[:, None, :]) < len(moments)
    low = np.minimum(index[:, :, None], index[:, None, :])
    apart = np.abs(index[:, :, None] - index[:, None, :])
    matrix = np.where(inside, moments[np.minimum(low, len(moments) - 1), apart], np.where(apart == 0, least, 0.0))
    for p in range(ORDER):
        root = np.sqrt(np.maximum(matrix[:, p, p], least))
        matrix[:, p, p] = root
        column = matrix[:, p + 1 :, p] / root[:, None]
        matrix[:, p + 1 :, p] = column
        matrix[:, p + 1 :, p + 1 :] -= column[:, :, None] * column[:, None, :]
    solution = np.zeros((len(first), ORDER))
    rest = matrix[:, ORDER, :ORDER].copy()
    for p in reversed(range(ORDER)):
        solution[:, p] = rest[:, p] / matrix[:, p, p]
        rest[:, :p] -= solution[:, p, None] * matrix[:, p, :p]
    return solution[:, ::-1]


def band_of(layer: Layer, values: Array) -> Band | None:
    """Second moments of what each column of the layer's first tensor is multiplied with; None if it has no columns."""
    if layer.type in KERNELS:
        return band(unrolled(layer, values))
    if layer.type in MATRICES and not layer.message.message("inner_product_param").flag("transpose"):
        return band(values.reshape(-1, weights_shape(layer)[-1]).T[:, :POSITIONS])
    return None


def unrolled(layer: Layer, values: Array) -> Array:
    """Columns of the kernel × samples: places of the map (and groups of channels) that the kernel sees."""
    shape = weights_shape(layer)
    image = values[0]
    geometry = geometry_of(layer, shape, len(image))
    (vertical, horizontal) = geometry.pad
    image = np.pad(image, ((0, 0), (vertical, vertical), (horizontal, horizontal)))
    size = geometry.shrunk(values.shape[2], values.shape[3])
    groups = range(0, geometry.group, -(-geometry.group // CHANNELS_APART))
    stride = max(1, -(-size[0] * size[1] * len(groups) // POSITIONS))
    per_group = shape[1]
    seen = []
    for _, _, (rows, columns) in geometry.windows(size):
        flat = image[:, rows, columns].reshape(geometry.group, per_group, -1)[:, :, ::stride]
        seen.append(np.concatenate([flat[group] for group in groups], axis=1))
    return np.stack(seen, axis=1).reshape(per_group * len(seen), -1)


def band(samples: Array) -> Band:
    """Of inputs × samples."""
    wide = exact(samples)
    count = len(wide)
    moments = np.zeros((count, ORDER + 1))
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        product = wide[start:stop] @ wide[start : stop + ORDER].T
        for d in range(ORDER + 1):
            diagonal = np.diagonal(product, d)
            moments[start : start + len(diagonal), d] = diagonal[: stop - start]
    return Band(moments, wide.shape[1])
