"""Which channels hold the same number everywhere, whatever the input: layer by layer, forwards.

A constant is known only where it is one at every position, borders included: a padded convolution of a constant is
none, an average over a padded window is none. Channels that vary, or of which nothing is known, are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from demitasse.layers.convolution import SlidingWindow
from demitasse.layers.pooling import Pooling
from demitasse.layers.sizes import UNKNOWN, known
from demitasse.layers.tying import Tied
from demitasse.layers.units import Units, carried
from demitasse.transforms.affine import Affine, affine
from demitasse.transforms.shrink.functions import FUNCTIONS, Function

__all__ = ["CONSTANTS", "Constants", "Known", "bordered", "gathered_width", "places", "varying"]

Constants = npt.NDArray[np.float64]
"""One number for each position along the units' axis; NaN where it varies."""

Known = Sequence["Constants | None"]


def varying(length: int) -> Constants:
    """Nothing is known."""
    return np.full(length, np.nan)


def only_zero(values: Constants) -> Constants:
    """Zeros; other constants are not kept."""
    return np.where(values == 0, 0.0, np.nan)


def array(tied: Tied, blob: int) -> Constants:
    """A blob of weights."""
    return tied.layer.tensors[blob].array().astype(np.float64)


def same(tied: Tied, inputs: Known) -> Known:
    """Constants stay what they are."""
    return [inputs[0]] * len(tied.outputs)


def zeros(tied: Tied, inputs: Known) -> Known:
    """Zeros stay zeros."""
    first = inputs[0]
    return [None if first is None else only_zero(first)] * len(tied.outputs)


def function(name: str, compute: Function) -> Callable[[Tied, Known], Known]:
    """A function of each element; ``name`` is that of its parameter message."""

    def rule(tied: Tied, inputs: Known) -> Known:
        first = inputs[0]
        if first is None:
            return [None]
        with np.errstate(all="ignore"):
            found = compute(first, tied.layer.message.message(name))
        return [np.where(np.isfinite(found), found, np.nan)]

    return rule


def pooled(tied: Tied, inputs: Known) -> Known:
    """Maxima leave padding out; averages count it, and a last window may reach beyond it."""
    first, placed = inputs[0], tied.placed
    if first is None or not isinstance(placed, Pooling):
        return [first] * len(tied.outputs)
    kernel, steps = placed.kernel, placed.stride
    plain = all(k is not UNKNOWN and s <= k for k, s in zip(kernel, steps, strict=True)) or placed.everything
    if placed.method == "AVE":
        plain = plain and not any(sum(pad) for pad in placed.padding)
    elif placed.method == "STOCHASTIC":
        plain = False
    sparse = not placed.everything and any(s > k for k, s in zip(kernel, steps, strict=True))
    if sparse and placed.method == "MAX":  # A window without an element gives the lowest number there is.
        return [varying(len(first))] * len(tied.outputs)
    out = first if plain else only_zero(first)
    return [out, *(varying(len(first)),) * (len(tied.outputs) - 1)]


def batch_norm(tied: Tied, inputs: Known) -> Known:
    """By stored statistics; by those of the batch, only zeros stay what they are."""
    first = inputs[0]
    if first is None or len(tied.layer.tensors) < 3:
        return [None if first is None else varying(len(first))]
    param = tied.placed.param
    mean, variance, factor = (array(tied, blob).reshape(-1) for blob in range(3))
    if not param.flag("use_global_stats", True):
        out = only_zero(first)
    else:
        scale = 0.0 if factor[0] == 0 else 1 / factor[0]
        with np.errstate(all="ignore"):
            out = (first - mean * scale) / np.sqrt(variance * scale + param.number("eps", 1e-5))
    if len(tied.layer.tensors) == 5:
        out = out * array(tied, 3).reshape(-1) + array(tied, 4).reshape(-1)
    return [np.where(np.isfinite(out), out, np.nan)]


def fork_batch_norm(tied: Tied, inputs: Known) -> Known:
    """The forks' BN, where it is a factor and a bias for each channel; by statistics of the batch nothing is known."""
    first = inputs[0]
    if first is None:
        return [None]
    found = affine(tied.layer, tied.placed.inputs[0])
    if not isinstance(found, Affine) or len(found.scale) != len(first):
        return [varying(len(first))]
    return [np.where((found.scale == 0) | (first == 0), 0.0, first * found.scale) + found.shift]


def scale(tied: Tied, inputs: Known) -> Known:
    """Times a factor plus a bias, where these are one number for the channel."""
    first, units, layer = inputs[0], tied.inputs[0], tied.layer
    if first is None or units is None:
        return [None]
    learned = len(tied.inputs) == 1
    if layer.type == "Bias":
        factor: Constants | None = np.ones(len(first))
        bias = per_channel(tied, 0, len(first)) if learned else inputs[1]
    else:
        factor = (per_channel(tied, 0, len(first)) if learned else inputs[1]) if inputs else varying(len(first))
        has_bias = tied.placed.param.flag("bias_term")
        bias = per_channel(tied, int(learned), len(first)) if has_bias else np.zeros(len(first))
    if factor is None or bias is None:
        return [varying(len(first))]
    nothing = (factor == 0) | (first == 0)
    return [np.where(nothing, 0.0, first * factor) + bias]


def per_channel(tied: Tied, blob: int, channels: int) -> Constants:
    """One number for each channel, NaN where a blob has several for it."""
    if blob >= len(tied.layer.tensors):
        return varying(channels)
    values = array(tied, blob)
    axes = tied.weights.get(blob, {})
    axis = next((axis for axis, ids in axes.items() if len(ids) == channels), None)
    if axis is None:
        table = values.reshape(1, -1)
        each = np.where(table.min(1) == table.max(1), table[:, 0], np.nan)
        return np.repeat(each, channels)
    table = np.moveaxis(values, axis, 0).reshape(channels, -1)
    return np.where(table.min(axis=1) == table.max(axis=1), table[:, 0], np.nan)


def eltwise(tied: Tied, inputs: Known) -> Known:
    """Sums, products and maxima of constants; a product with zero is zero."""
    found = [values for values in inputs if values is not None]
    if len(found) < len(inputs):
        return [None if tied.outputs[0] is None else varying(len(tied.outputs[0]))]
    table = np.stack(found)
    param = tied.placed.param
    operation = param.string("operation", "SUM")
    if operation in ("PROD", "0"):
        return [np.where((table == 0).any(axis=0), 0.0, table.prod(axis=0))]
    if operation in ("MAX", "2"):
        return [table.max(axis=0)]
    coefficients = np.array(param.numbers("coeff") or (1.0,) * len(table))[:, None]
    return [np.where(coefficients == 0, 0.0, table * coefficients).sum(axis=0)]


def axpy(tied: Tied, inputs: Known) -> Known:
    """A factor times one blob plus another."""
    factor, x, y = inputs
    if factor is None or x is None or y is None:
        return [None if tied.outputs[0] is None else varying(len(tied.outputs[0]))]
    return [np.where((factor == 0) | (x == 0), 0.0, factor * x) + y]


def agreeing(tied: Tied, inputs: Known) -> Known:
    """The same channels from several inputs: constant where all agree."""
    found = [values for values in inputs if values is not None]
    if len(found) < len(inputs):
        return [None if tied.outputs[0] is None else varying(len(tied.outputs[0]))]
    table = np.stack(found)
    return [np.where((table == table[0]).all(axis=0), table[0], np.nan)]


def concat(tied: Tied, inputs: Known) -> Known:
    """Behind each other, or the same channels of several inputs."""
    out = tied.outputs[0]
    if out is not None and sum(len(u) for u in tied.inputs if u is not None) == len(out):
        parts = [
            varying(len(units)) if values is None else values
            for units, values in zip(tied.inputs, inputs, strict=True)
            if units is not None
        ]
        return [np.concatenate(parts)]
    return agreeing(tied, inputs)


def cut(tied: Tied, inputs: Known) -> Known:
    """Pieces of the channels, or the same channels in each piece."""
    first = inputs[0]
    sizes = [0 if out is None else len(out) for out in tied.outputs]
    if first is None or sum(sizes) != len(first):
        return [first] * len(tied.outputs)
    return np.split(first, np.cumsum(sizes)[:-1])


def moved(tied: Tied, inputs: Known) -> Known:
    """Channels at other places, or several times."""
    first, units, out = inputs[0], tied.inputs[0], tied.outputs[0]
    if first is None or units is None or out is None:
        return [None if out is None else varying(len(out))]
    where = places(tied, units, out)
    return [varying(len(out)) if where is None else first[where]]


def places(tied: Tied, units: Units, out: Units) -> npt.NDArray[np.int64] | None:
    """For each position of the output, that of the input which stands there; ``None`` if that cannot be told."""
    numbers = np.arange(len(units))
    match tied.layer.type:
        case "ShuffleChannel":
            return numbers.reshape(tied.placed.positive("group", 1), -1).T.reshape(-1)
        case "Tile":
            return np.tile(numbers, len(out) // len(units))
        case "Im2col":
            return np.repeat(numbers, len(out) // len(units))
        case "SPP":
            levels = range(tied.placed.positive("pyramid_height"))
            return numbers if len(levels) == 1 else np.concatenate([np.repeat(numbers, 4**n) for n in levels])
    shape = tied.shapes[0]
    found = None if shape is None else carried(Units(units.axis, numbers), tied.placed.inputs[0], shape)
    return found.ids if found is not None and found.axis == out.axis else None


def zeros_moved(tied: Tied, inputs: Known) -> Known:
    """Rearranged, with zeros around: other constants are not kept."""
    return [None if values is None else only_zero(values) for values in moved(tied, inputs)]


def reshaped(tied: Tied, inputs: Known) -> Known:
    """Reshape, which shuffles pixels in some forks."""
    return gathered(tied, inputs) if "pixelshuffler" in tied.placed.param else moved(tied, inputs)


def gathered(tied: Tied, inputs: Known) -> Known:
    """Several channels become one."""
    first, out = inputs[0], tied.outputs[0]
    if first is None or out is None or not len(out):
        return [None if out is None else varying(len(out))]
    table = first.reshape(len(out), -1)
    return [np.where((table == table[:, :1]).all(axis=1), table[:, 0], np.nan)]


def gathered_width(tied: Tied, inputs: int, outputs: int) -> int:
    """How many channels in a row become one; 0 for layers that do not put channels together."""
    gathers = tied.layer.type in ("PSROIPooling", "PixelShuffle") or (
        tied.layer.type == "Reshape" and "pixelshuffler" in tied.placed.param
    )
    return inputs // max(1, outputs) if gathers else 0


def leaky(tied: Tied, inputs: Known) -> Known:
    """PReLU."""
    first = inputs[0]
    if first is None or not tied.layer.tensors:
        return [None if first is None else only_zero(first)]
    slope = np.broadcast_to(array(tied, 0).reshape(-1), first.shape)
    return [np.where(first < 0, first * slope, first)]


def upsampled(tied: Tied, inputs: Known) -> Known:
    """Every pixel repeated; or, with a mask, zeros around them."""
    return same(tied, inputs) if len(inputs) == 1 else zeros(tied, inputs)


def filtered(tied: Tied, inputs: Known) -> Known:
    """Each input for itself."""
    return list(inputs[: len(tied.outputs)])


def bordered(tied: Tied) -> bool:
    """Whether a window may see zeros beyond the border, or (Deconvolution) reads fewer elements at some places."""
    placed = tied.placed
    if not isinstance(placed, SlidingWindow):
        return False
    padded = any(sum(pad) for pad in placed.padding)
    if "econvolution" in tied.layer.type:
        return padded or any(k != 1 for k in placed.kernel) or any(s != 1 for s in placed.stride)
    short = known(placed.spatial) and any(
        size + sum(pad) < extent
        for size, pad, extent in zip(placed.spatial, placed.padding, placed.extent, strict=True)
    )
    return padded or short


CONSTANTS: dict[str, Callable[[Tied, Known], Known]] = {
    **{kind: function(*row) for kind, row in FUNCTIONS.items()},
    "Axpy": axpy,
    "BN": fork_batch_norm,
    "BatchNorm": batch_norm,
    "BatchReindex": same,
    "Bias": scale,
    "BilinearInterpolate": zeros,
    "Concat": concat,
    "Crop": same,
    "CropCenter": same,
    "Eltwise": eltwise,
    "Filter": filtered,
    "Flatten": moved,
    "Im2col": zeros_moved,
    "Interp": same,
    "LRN": zeros,
    "MVN": zeros,
    "MaxUnPool": zeros,
    "Normalize": zeros,
    "PReLU": leaky,
    "Pad": zeros,
    "Padding": zeros,
    "Permute": same,
    "PixelShuffle": gathered,
    "Pooling": pooled,
    "ROIAlign": zeros,
    "ROIPooling": zeros,
    "Reshape": reshaped,
    "Resize": zeros,
    "SPP": zeros_moved,
    "Scale": scale,
    "ShuffleChannel": moved,
    "Slice": cut,
    "Split": same,
    "Tile": moved,
    "Unsqueeze": same,
    "Upsample": upsampled,
}
"""Types through which a constant passes. Products are computed from their weights; any other type gives none."""
