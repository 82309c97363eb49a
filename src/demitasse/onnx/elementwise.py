"""Layers that work element by element, on one input or on several of one shape."""

from __future__ import annotations

import math
from functools import reduce
from itertools import repeat

import numpy as np

from demitasse.onnx.call import Call, Export, Result

__all__ = [
    "absolute",
    "axpy",
    "bnll",
    "clip",
    "dropout",
    "eltwise",
    "elu",
    "exp",
    "hard_sigmoid",
    "hard_swish",
    "log",
    "mish",
    "power",
    "prelu",
    "relu",
    "relu6",
    "same",
    "sigmoid",
    "softmax",
    "swish",
    "tanh",
    "threshold",
]


def own(call: Call, name: str) -> float | None:
    """A parameter of a layer whose message is called after its type, if the file gives it."""
    message = call.layer.message.message(f"{call.layer.type.lower()}_param")
    return message.number(name) if name in message else None


def parameter(call: Call, name: str, default: float) -> float:
    """The same, or what it is by default."""
    value = own(call, name)
    return default if value is None else value


def plain(kind: str) -> Export:
    """A layer that is one operator without attributes."""
    return lambda call: call.op(kind, call.x)


absolute: Export = plain("Abs")
bnll: Export = plain("Softplus")
hard_swish: Export = plain("HardSwish")
mish: Export = plain("Mish")
sigmoid: Export = plain("Sigmoid")
tanh: Export = plain("Tanh")


def same(call: Call) -> Result:
    """The input under every name."""
    return tuple(repeat(call.x, max(1, len(call.layer.outputs))))


def dropout(call: Call) -> Result:
    """Nothing, outside of training; some forks scale here instead of there."""
    param = call.layer.message.message("dropout_param")
    if param.flag("scale_train", True):
        return call.x
    return call.op("Mul", call.x, call.floats(1 - param.number("dropout_ratio", 0.5)))


def relu(call: Call) -> Result:
    """With a slope below zero, if it is not 0."""
    slope = parameter(call, "negative_slope", 0.0)
    return call.op("LeakyRelu", call.x, alpha=slope) if slope else call.op("Relu", call.x)


def relu6(call: Call) -> Result:
    """Between 0 and 6."""
    return call.op("Clip", call.x, call.floats(0.0), call.floats(6.0))


def prelu(call: Call) -> Result:
    """A slope for each channel, or one for all."""
    shared = call.param.flag("channel_shared")
    return call.op("PRelu", call.x, call.spread(0, (1,) if shared else (-1, *(1,) * (len(call.shape) - 2))))


def elu(call: Call) -> Result:
    """Exponential below zero."""
    return call.op("Elu", call.x, alpha=parameter(call, "alpha", 1.0))


def clip(call: Call) -> Result:
    """Between two limits."""
    limits = (call.floats(parameter(call, name, 0.0)) for name in ("min", "max"))
    return call.op("Clip", call.x, *limits)


def threshold(call: Call) -> Result:
    """1 above it, 0 elsewhere."""
    return call.to_floats(call.op("Greater", call.x, call.floats(parameter(call, "threshold", 0.0))))


def swish(call: Call) -> Result:
    """x · sigmoid(βx)."""
    beta = parameter(call, "beta", 1.0)
    inner = call.x if beta == 1 else call.op("Mul", call.x, call.floats(beta))
    return call.op("Mul", call.x, call.op("Sigmoid", inner))


def hard_sigmoid(call: Call) -> Result:
    """A straight line between 0 and 1."""
    message = call.layer.message.message("hard_sigmoid_param")
    return call.op("HardSigmoid", call.x, alpha=message.number("alpha", 0.2), beta=message.number("beta", 0.5))


def linear(call: Call, x: str, times: float, plus: float) -> str:
    """times · x + plus, without what does nothing."""
    y = x if times == 1 else call.op("Mul", x, call.floats(times))
    return y if plus == 0 else call.op("Add", y, call.floats(plus))


def power(call: Call) -> Result:
    """(shift + scale · x) ^ power."""
    exponent, times, plus = (
        parameter(call, name, default) for name, default in (("power", 1), ("scale", 1), ("shift", 0))
    )
    inner = linear(call, call.x, times, plus)
    return inner if exponent == 1 else call.op("Pow", inner, call.floats(exponent))


def exp(call: Call) -> Result:
    """base ^ (shift + scale · x)."""
    base, times, plus = logarithmic(call)
    rate = 1.0 if base == -1 else math.log(base)
    y = call.op("Exp", linear(call, call.x, rate * times, 0.0))
    outer = math.exp(rate * plus)
    return y if outer == 1 else call.op("Mul", y, call.floats(outer))


def log(call: Call) -> Result:
    """Logarithm of shift + scale · x."""
    base, times, plus = logarithmic(call)
    y = call.op("Log", linear(call, call.x, times, plus))
    return y if base == -1 else call.op("Mul", y, call.floats(np.float64(1) / np.log(base)))


def logarithmic(call: Call) -> tuple[float, float, float]:
    """Base (-1: e), scale and shift."""
    return parameter(call, "base", -1.0), parameter(call, "scale", 1.0), parameter(call, "shift", 0.0)


def softmax(call: Call) -> Result:
    """Along one axis."""
    return call.op("Softmax", call.x, axis=call.placed.axis(call.param.integer("axis", 1), call.shape))


def eltwise(call: Call) -> Result:
    """Product, weighted sum, or maximum."""
    operation = call.param.string("operation", "SUM")
    if operation in ("PROD", "0"):
        return reduce(lambda a, b: call.op("Mul", a, b), call.inputs)
    if operation in ("MAX", "2"):
        return call.op("Max", *call.inputs)
    weights = call.param.numbers("coeff") or (1.0,) * len(call.inputs)
    terms = (linear(call, x, weight, 0.0) for x, weight in zip(call.inputs, weights, strict=True))
    return reduce(lambda a, b: call.op("Add", a, b), terms)


def axpy(call: Call) -> Result:
    """SENet: a scale per channel times the second input, plus the third."""
    times, x, plus = call.inputs
    lacking = len(call.placed.inputs[1]) - len(call.shape)
    if lacking:
        times = call.op("Unsqueeze", times, call.integers(*range(len(call.shape), len(call.placed.inputs[1]))))
    return call.op("Add", call.op("Mul", times, x), plus)
