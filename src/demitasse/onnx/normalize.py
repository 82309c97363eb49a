"""Layers that scale and shift: BatchNorm, BN, Scale, Bias; LRN, MVN, Normalize."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from demitasse.layers.normalize import Scale
from demitasse.onnx.call import Call, Result
from demitasse.onnx.pooling import Windows, averages

__all__ = ["batch_norm", "bias", "bn", "lrn", "mvn", "normalize", "scale"]

Values = npt.NDArray[Any]


def batch_norm(call: Call) -> Result:
    """With stored statistics, or with those of the batch where the file says so."""
    eps = call.param.number("eps", 1e-5)
    learned = call.param.flag("scale_bias")
    if not call.param.flag("use_global_stats", True):
        y = by_batch(call, eps)
        along = (-1, *(1,) * (len(call.shape) - 2))
        return call.op("Add", call.op("Mul", y, call.spread(3, along)), call.spread(4, along)) if learned else y
    sums, squares, factor = (call.array(i).astype(np.float64) for i in range(3))
    divisor = factor.reshape(-1)[0]
    mean, variance = (values.reshape(-1) * (1 / divisor if divisor else 0.0) for values in (sums, squares))
    times = call.array(3).reshape(-1) if learned else np.ones_like(mean)
    plus = call.array(4).reshape(-1) if learned else np.zeros_like(mean)
    return normalised(call, (times, plus, mean, variance), eps)


def normalised(call: Call, statistics: tuple[Values, Values, Values, Values], eps: float) -> str:
    """By scale, shift, mean and variance of each channel."""
    times, plus, mean, variance = statistics
    name = call.layer.name
    if call.half or len(call.shape) < 2:
        times = times / np.sqrt(variance + eps)
        along = (-1, *(1,) * (len(call.shape) - 2))
        y = call.op("Mul", call.x, call.store(times.reshape(along), f"{name}/scale"))
        return call.op("Add", y, call.store((plus - mean * times).reshape(along), f"{name}/shift"))
    named = zip(("scale", "shift", "mean", "variance"), statistics, strict=True)
    stored = (call.store(values, f"{name}/{what}") for what, values in named)
    return call.op("BatchNormalization", call.x, *stored, epsilon=eps)


def bn(call: Call) -> Result:
    """Two blobs (SegNet): scale and shift, of values that are normalised by the batch unless the mode is INFERENCE.
    Four (PSPNet): scale, shift, mean and variance."""
    blobs = len(call.placed.parameters() or ())
    if blobs == 4:
        times, plus, mean, variance = (call.array(i).reshape(-1) for i in range(4))
        return normalised(call, (times, plus, mean, variance), call.param.number("eps", 1e-5))
    along = (-1, *(1,) * (len(call.shape) - 2))
    inference = call.param.string("bn_mode", "LEARN") in ("INFERENCE", "1")
    x = call.x if inference else by_batch(call, call.param.number("var_eps", 1e-9))
    return call.op("Add", call.op("Mul", x, call.spread(0, along)), call.spread(1, along))


def by_batch(call: Call, eps: float) -> str:
    """To zero mean and unit variance over everything but the channels."""
    axes = call.integers(0, *range(2, len(call.shape)))
    centred = call.op("Sub", call.x, call.op("ReduceMean", call.x, axes, keepdims=1))
    variance = call.op("ReduceMean", call.op("Mul", centred, centred), axes, keepdims=1)
    return call.op("Div", centred, call.op("Sqrt", call.op("Add", variance, call.floats(eps))))


def operand(call: Call, index: int, x: str | None = None) -> str:
    """A blob (or the second input) with axes of size 1 behind, so that it spans the axes that Caffe gives it."""
    placed = cast(Scale, call.placed)
    first = placed.axis(call.param.integer("axis", 1), call.shape) if placed.span else 0
    behind = len(call.shape) - first - len(placed.span)
    if x is None:
        return call.spread(index, (*placed.span, *(1,) * behind))
    if not behind:
        return x
    axes = range(len(placed.span), len(placed.span) + behind)
    return call.op("Unsqueeze", x, call.integers(*axes))


def scale(call: Call) -> Result:
    """Times a blob or the second input, plus a bias if there is one."""
    placed = cast(Scale, call.placed)
    second = call.inputs[1] if len(call.inputs) == 2 else None
    y = call.op("Mul", call.x, operand(call, 0, second))
    return call.op("Add", y, operand(call, 0 if second else 1)) if placed.bias else y


def bias(call: Call) -> Result:
    """Plus a blob or the second input."""
    return call.op("Add", call.x, operand(call, 0, call.inputs[1] if len(call.inputs) == 2 else None))


def lrn(call: Call) -> Result:
    """Across channels ONNX has the same formula; within a channel Caffe pools the squares, and leaves out ``k``."""
    size = call.param.integer("local_size", 5)
    alpha, beta = call.param.number("alpha", 1.0), call.param.number("beta", 0.75)
    if call.param.string("norm_region", "ACROSS_CHANNELS") in ("ACROSS_CHANNELS", "0"):
        return call.op("LRN", call.x, size=size, alpha=alpha, beta=beta, bias=call.param.number("k", 1.0))
    height, width = (call.known(length, "the size of its input varies") for length in call.shape[2:])
    pad = (size - 1) // 2
    windows = Windows((height, width), (size, size), (1, 1), ((pad, pad), (pad, pad)), (height, width))
    mean = averages(call, call.op("Mul", call.x, call.x), windows)
    base = call.op("Add", call.op("Mul", mean, call.floats(alpha)), call.floats(1.0))
    return call.op("Mul", call.x, call.op("Pow", base, call.floats(-beta)))


def mvn(call: Call) -> Result:
    """Minus the mean, over the standard deviation plus ``eps``: of each plane, or of each image."""
    rank, param = len(call.shape), call.layer.message.message("mvn_param")
    first = 1 if param.flag("across_channels") else 2
    if first >= rank:
        return call.op("Mul", call.x, call.floats(0.0))
    axes = call.integers(*range(first, rank))
    centred = call.op("Sub", call.x, call.op("ReduceMean", call.x, axes, keepdims=1))
    if not param.flag("normalize_variance", True):
        return centred
    deviation = call.op("Sqrt", call.op("ReduceMean", call.op("Mul", centred, centred), axes, keepdims=1))
    return call.op("Div", centred, call.op("Add", deviation, call.floats(param.number("eps", 1e-9))))


def normalize(call: Call) -> Result:
    """SSD: to unit length over channels, or over the whole image, times a learned scale."""
    rank = len(call.shape)
    axes = call.integers(*(range(1, rank) if call.param.flag("across_spatial", True) else (1,)))
    power = call.op("ReduceSumSquare", call.x, axes, keepdims=1)
    eps = call.floats(call.param.number("eps", 1e-10))
    if call.param.flag("add_eps_before_sqrt", True):
        length = call.op("Sqrt", call.op("Add", power, eps))
    else:
        length = call.op("Add", call.op("Sqrt", power), eps)
    along = () if call.param.flag("channel_shared", True) else (-1, *(1,) * (rank - 2))
    return call.op("Mul", call.op("Div", call.x, length), call.spread(0, along))
