"""Gradients of layers whose output is overwritten: by a later layer in place, or over their own input.

Caffe's backward pass reads whatever the memory of a blob then holds, and a layer in place has one memory for the
gradients on both sides. For most layers in place the result is the same; where it is not, this is what Caffe computes
(``src/caffe/layers``, each layer's ``Backward_cpu``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from demitasse.net import Layer
from demitasse.runtime.operation import Call

__all__ = ["Memory", "overwritten", "with_memory"]

Rule = Callable[[Call, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Gradient on the input from that on the output, and what the memories of input and output hold in the end; in place
they are one tensor."""

Memory = dict[str, torch.Tensor]
"""What each blob holds now."""


def relu(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """Tells by the input on which side of 0 it was."""
    slope = call.layer.message.message("relu_param").number("negative_slope")
    return gradient * torch.where(bottom > 0, 1.0, slope)


def tanh(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the output."""
    return gradient * (1 - top * top)


def sigmoid(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the output."""
    return gradient * top * (1 - top)


def elu(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From both."""
    alpha = call.layer.message.message("elu_param").number("alpha", 1.0)
    return gradient * torch.where(bottom > 0, torch.ones_like(top), alpha + top)


def softplus(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the input."""
    return gradient * torch.sigmoid(bottom)


def clip(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the input, which in place has been clipped."""
    param = call.layer.message.message("clip_param")
    inside = (bottom >= param.number("min", -math.inf)) & (bottom <= param.number("max", math.inf))
    return gradient * inside


def exponential(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the output."""
    param = call.layer.message.message("exp_param")
    base = param.number("base", -1.0)
    return gradient * top * (param.number("scale", 1.0) * (1.0 if base == -1 else math.log(base)))


def swish(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the output, and the sigmoid, which is kept apart."""
    beta = call.layer.message.message("swish_param").number("beta", 1.0)
    return gradient * (beta * top + torch.sigmoid(call.x * beta) * (1 - beta * top))


def softmax(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the output."""
    axis = call.placed.axis(call.param.integer("axis", 1), call.placed.inputs[0])
    return (gradient - (gradient * top).sum(axis, keepdim=True)) * top


def logarithm(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From the input. In place the factor is written over the gradient before they are multiplied."""
    param = call.layer.message.message("log_param")
    base, scale = param.number("base", -1.0), param.number("scale", 1.0)
    factor = scale / (1.0 if base == -1 else math.log(base)) / (bottom * scale + param.number("shift"))
    return factor * (factor if bottom is top else gradient)


def power(call: Call, gradient: torch.Tensor, bottom: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """From both. In place the factor is written over the gradient before they are multiplied."""
    param = call.layer.message.message("power_param")
    exponent, scale, shift = param.number("power", 1.0), param.number("scale", 1.0), param.number("shift")
    if exponent * scale == 0:
        return torch.zeros_like(gradient)
    if exponent == 1:
        factor = torch.full_like(gradient, scale)
    elif exponent == 2:
        factor = 2 * scale * (bottom * scale + shift)
    elif shift == 0:
        factor = exponent * (top / bottom)
    else:
        factor = exponent * scale * (top / (bottom * scale + shift))
    return factor * (factor if bottom is top else gradient)


RULES: Mapping[str, Rule] = {
    "BNLL": softplus,
    "Clip": clip,
    "ELU": elu,
    "Exp": exponential,
    "Log": logarithm,
    "Power": power,
    "ReLU": relu,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
    "Swish": swish,
    "TanH": tanh,
}

OVER_THEIR_INPUT = ("BNLL", "Clip", "Log", "Power")
"""Types whose gradient differs in place even if nothing overwrites their output."""


@dataclass(frozen=True, slots=True)
class Overwritten:
    """A layer's output that does not stay in memory as it was. ``blob``: its name; ``in_place``: over the input."""

    blob: str
    in_place: bool
    rule: Rule


def overwritten(layers: Sequence[Layer]) -> Mapping[int, Overwritten]:
    """The layers, by position, whose gradient has to be computed from what memory holds at the end of the pass."""
    result: dict[int, Overwritten] = {}
    later: set[str] = set()
    for i in reversed(range(len(layers))):
        layer = layers[i]
        names = zip(layer.inputs, layer.outputs, strict=False)
        in_place = {given for read, given in names if read == given}
        if layer.type in RULES and layer.outputs:
            blob = layer.outputs[0]
            if blob in later or (blob in in_place and layer.type in OVER_THEIR_INPUT):
                result[i] = Overwritten(blob, blob in in_place, RULES[layer.type])
        later = (later - set(layer.outputs)) | in_place
    return result


def with_memory(call: Call, output: torch.Tensor, how: Overwritten, memory: Memory) -> torch.Tensor:
    """The output, with a gradient as Caffe's."""
    result: torch.Tensor = FromMemory.apply(call.x, output, call, how, memory)  # type: ignore[no-untyped-call]
    return result


class FromMemory(torch.autograd.Function):
    """Passes the output on; the gradient is a `Rule`'s."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, output: torch.Tensor, call: Call, how: Overwritten, memory: Memory
    ) -> torch.Tensor:
        """The output."""
        ctx.call, ctx.how, ctx.memory = call, how, memory
        ctx.save_for_backward(x)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """By the layer's rule, from what memory holds by now."""
        top = ctx.memory[ctx.how.blob]
        bottom = top if ctx.how.in_place else ctx.saved_tensors[0]
        return ctx.how.rule(ctx.call, gradient, bottom, top), None, None, None, None
