"""Layers that look at one element at a time, or combine blobs of one shape element by element."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.message import Message
from demitasse.runtime.operation import Call

__all__ = [
    "absolute",
    "axpy",
    "clip",
    "dropout",
    "eltwise",
    "elu",
    "exponential",
    "hard_sigmoid",
    "hard_swish",
    "logarithm",
    "mish",
    "power",
    "prelu",
    "relu",
    "relu6",
    "sigmoid",
    "softmax",
    "softplus",
    "split",
    "swish",
    "tanh",
    "threshold",
]


def own(call: Call, field: str) -> Message:
    """A parameter message by name: layers without a class of their own have no `param`."""
    return call.layer.message.message(field)


def relu(call: Call) -> torch.Tensor:
    """Maximum of x and 0; x times ``negative_slope`` below 0."""
    param = own(call, "relu_param")
    if len(param):
        if param.flag("relu6"):
            return F.relu6(call.x)
        slope = param.number("negative_slope")
        if slope:
            return F.leaky_relu(call.x, slope)
    return torch.relu(call.x)


def relu6(call: Call) -> torch.Tensor:
    """x between 0 and 6."""
    return F.relu6(call.x)


def prelu(call: Call) -> torch.Tensor:
    """x above 0; below, x times the slope of its channel."""
    slope = call.weights[0]
    return F.prelu(call.x, slope.reshape(1) if slope.dim() == 0 else slope)


def elu(call: Call) -> torch.Tensor:
    """x above 0; below, ``alpha`` times (exp x - 1)."""
    return F.elu(call.x, own(call, "elu_param").number("alpha", 1.0))


def sigmoid(call: Call) -> torch.Tensor:
    """1 / (1 + exp -x)."""
    return torch.sigmoid(call.x)


def tanh(call: Call) -> torch.Tensor:
    """Hyperbolic tangent."""
    return torch.tanh(call.x)


def absolute(call: Call) -> torch.Tensor:
    """x without its sign."""
    return torch.abs(call.x)


def softplus(call: Call) -> torch.Tensor:
    """BNLL: log(1 + exp x)."""
    return torch.clamp_min(call.x, 0) + torch.log1p(torch.exp(-torch.abs(call.x)))


def swish(call: Call) -> torch.Tensor:
    """x times the sigmoid of ``beta`` x."""
    return call.x * torch.sigmoid(call.x * own(call, "swish_param").number("beta", 1.0))


def mish(call: Call) -> torch.Tensor:
    """x times the hyperbolic tangent of log(1 + exp x)."""
    return F.mish(call.x)


def hard_sigmoid(call: Call) -> torch.Tensor:
    """``alpha`` x + ``beta``, between 0 and 1."""
    param = own(call, "hard_sigmoid_param")
    return torch.clamp(call.x * param.number("alpha", 0.2) + param.number("beta", 0.5), 0, 1)


def hard_swish(call: Call) -> torch.Tensor:
    """x times (x + 3 between 0 and 6) / 6."""
    return F.hardswish(call.x)


def threshold(call: Call) -> torch.Tensor:
    """1 above the threshold, else 0."""
    return (call.x > own(call, "threshold_param").number("threshold")).to(call.x.dtype)


def clip(call: Call) -> torch.Tensor:
    """x between ``min`` and ``max``."""
    param = own(call, "clip_param")
    return torch.clamp(call.x, param.number("min", -math.inf), param.number("max", math.inf))


def power(call: Call) -> torch.Tensor:
    """(``shift`` + ``scale`` x) to the ``power``; a constant where ``power`` or ``scale`` is 0, whatever x is."""
    param = own(call, "power_param")
    exponent, scale, shift = param.number("power", 1.0), param.number("scale", 1.0), param.number("shift")
    if exponent * scale == 0:
        return torch.full_like(call.x, 1.0 if exponent == 0 else shift**exponent)
    base = call.x if scale == 1 else call.x * scale
    base = base + shift if shift else base
    return base if exponent == 1 else torch.pow(base, exponent)


def exponential(call: Call) -> torch.Tensor:
    """``base`` to the (``shift`` + ``scale`` x); base e if it is -1 or not given."""
    param = own(call, "exp_param")
    base, scale, shift = param.number("base", -1.0), param.number("scale", 1.0), param.number("shift")
    rate = 1.0 if base == -1 else math.log(base)
    x = call.x if rate * scale == 1 else call.x * (rate * scale)
    factor = 1.0 if shift == 0 else math.exp(shift) if base == -1 else base**shift
    return torch.exp(x) if factor == 1 else torch.exp(x) * factor


def logarithm(call: Call) -> torch.Tensor:
    """Logarithm to ``base`` of (``shift`` + ``scale`` x)."""
    param = own(call, "log_param")
    base, scale, shift = param.number("base", -1.0), param.number("scale", 1.0), param.number("shift")
    x = call.x if scale == 1 else call.x * scale
    x = torch.log(x + shift if shift else x)
    return x if base == -1 else x / math.log(base)


def dropout(call: Call) -> torch.Tensor:
    """In training, zero with probability ``dropout_ratio`` and scaled up otherwise; else x itself.

    Forks that spell ``scale_train: false`` scale down when testing instead.
    """
    param = own(call, "dropout_param")
    ratio = param.number("dropout_ratio", 0.5)
    in_training = param.flag("scale_train", True)
    if not call.training:
        return call.x if in_training else call.x * (1 - ratio)
    keep = torch.empty_like(call.x).bernoulli_(1 - ratio, generator=call.generator)
    return call.x * (keep / (1 - ratio) if in_training else keep)


def softmax(call: Call) -> torch.Tensor:
    """Exponentials that sum to 1 along ``axis``."""
    return torch.softmax(call.x, call.placed.axis(call.param.integer("axis", 1), call.placed.inputs[0]))


def split(call: Call) -> tuple[torch.Tensor, ...]:
    """The input, under each name."""
    return (call.x,) * len(call.layer.outputs)


def axpy(call: Call) -> torch.Tensor:
    """A number per channel times the second input, plus the third."""
    scale, x, y = call.inputs
    return torch.addcmul(y, scale.reshape(*scale.shape[:2], *(1,) * (x.dim() - 2)), x)


def eltwise(call: Call) -> torch.Tensor:
    """Product, sum weighted by ``coeff``, or maximum; the gradient of a maximum goes to one input."""
    kind = call.param.string("operation", "SUM")
    first, *others = call.inputs
    if kind in ("PROD", "0"):
        for other in others:
            first = first * other
        return first
    if kind in ("MAX", "2"):
        return maximum(call.inputs)
    weights = call.param.numbers("coeff") or (1.0,) * len(call.inputs)
    total = first if weights[0] == 1 else first * weights[0]
    for other, weight in zip(others, weights[1:], strict=True):
        total = torch.add(total, other, alpha=weight)
    return total


def maximum(inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Maximum of tensors of one shape."""
    if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
        chosen: torch.Tensor = Maximum.apply(*inputs)  # type: ignore[no-untyped-call]
        return chosen
    result = inputs[0]
    for other in inputs[1:]:
        result = torch.maximum(result, other)
    return result


class Maximum(torch.autograd.Function):
    """Maximum of inputs of one shape. Torch would divide the gradient among equal values; Caffe gives it to one: of the
    first two inputs the second, else the one before."""

    @staticmethod
    def forward(ctx: Any, *inputs: torch.Tensor) -> torch.Tensor:
        """The maximum, and which input it is from."""
        winner = torch.where(inputs[0] > inputs[1], 0, 1)
        result = torch.maximum(inputs[0], inputs[1])
        for which, other in enumerate(inputs[2:], 2):
            winner = torch.where(other > result, which, winner)
            result = torch.maximum(result, other)
        ctx.save_for_backward(winner)
        ctx.number = len(inputs)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All of the gradient to the winner."""
        (winner,) = ctx.saved_tensors
        return tuple(torch.where(winner == which, gradient, 0) for which in range(ctx.number))
