"""Ristretto's layers (Gysel, "Ristretto: Hardware-Oriented Approximation of Convolutional Neural Networks", 2016).

They compute what their namesakes do, on numbers rounded as ``quantization_param`` says: weights always, inputs and
results when testing. Gradients pass the rounding by. Where the original rounds its input in place, for all its
readers, this rounds what it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from demitasse.message import Message
from demitasse.runtime import convolution, inner_product
from demitasse.runtime.gradient import passed_by
from demitasse.runtime.operation import Call, Operation

__all__ = ["rounded_convolution", "rounded_deconvolution", "rounded_inner_product"]

PRECISIONS = ("DYNAMIC_FIXED_POINT", "MINIFLOAT", "INTEGER_POWER_OF_2_WEIGHTS")
ROUNDINGS = ("NEAREST", "STOCHASTIC")

Rounding = Callable[[torch.Tensor], torch.Tensor]


def rounded_convolution(call: Call) -> torch.Tensor:
    """ConvolutionRistretto."""
    return rounded(call, convolution.convolution)


def rounded_deconvolution(call: Call) -> torch.Tensor:
    """DeconvolutionRistretto."""
    return rounded(call, convolution.deconvolution)


def rounded_inner_product(call: Call) -> torch.Tensor:
    """FcRistretto."""
    return rounded(call, inner_product.inner_product)


def rounded(call: Call, operation: Operation) -> torch.Tensor:
    """An operation of one result on rounded numbers. NetError for options that Ristretto does not know."""
    param = call.layer.message.message("quantization_param")
    precision = spelled(call, param, "precision", PRECISIONS)
    for field in ("scale_in", "scale_out", "scale_params", "is_negative_input", "force_u8_input"):
        if field in param:
            call.placed.refuse(f"{field} is of Intel's fork, and is not computed here")
    stochastic = spelled(call, param, "rounding_scheme", ROUNDINGS) == "STOCHASTIC"
    of_weights = rounding(call, stochastic or call.training)
    if precision == "INTEGER_POWER_OF_2_WEIGHTS":
        lowest, highest = param.integer("exp_min", -8), param.integer("exp_max", -1)
        weights = [powers_of_two(call.weights[0], of_weights, lowest, highest), *call.weights[1:]]
    else:
        weights = [trimmed(weight, param, "params", of_weights) for weight in call.weights]
    inputs, of_values = call.inputs, rounding(call, stochastic)
    if not call.training:
        inputs = tuple(trimmed(value, param, "layer_in", of_values) for value in inputs)
    result = operation(replace(call, inputs=inputs, weights=tuple(weights)))
    if not isinstance(result, torch.Tensor):
        call.placed.refuse("has several outputs; Ristretto's layers are run with one")
    return result if call.training else trimmed(result, param, "layer_out", of_values)


def spelled(call: Call, param: Message, field: str, names: tuple[str, ...]) -> str:
    """The name of an enum's value, given by name or number; the first if it is not given."""
    given = param.string(field, names[0])
    given = names[int(given)] if given.isdigit() and int(given) < len(names) else given
    if given not in names:
        call.placed.refuse(f"{field} is {given}; it must be one of {', '.join(names)}")
    return given


def rounding(call: Call, stochastic: bool) -> Rounding:
    """To the nearest whole number, halves to even; or up with the probability of the fraction."""
    if not stochastic:
        return torch.round
    return lambda x: torch.floor(x + torch.empty_like(x).uniform_(generator=call.generator))


def trimmed(x: torch.Tensor, param: Message, what: str, to_whole: Rounding) -> torch.Tensor:
    """Numbers of a part (params, layer_in, layer_out) as fixed point or as small floats."""
    value = x.detach()
    if param.string("precision") in ("MINIFLOAT", "1"):
        return passed_by(x, small_floats(value, param.integer("mant_bits", 23), param.integer("exp_bits", 8), to_whole))
    bits, step = param.integer(f"bw_{what}", 32), 2.0 ** -param.integer(f"fl_{what}", 16)
    largest = 2.0 ** (bits - 1)
    return passed_by(x, to_whole(value.clamp(-largest * step, (largest - 1) * step) / step) * step)


def small_floats(x: torch.Tensor, mantissa: int, exponent: int, to_whole: Rounding) -> torch.Tensor:
    """Floats of fewer bits: too small ones become 0, too large ones the largest."""
    fraction, power = torch.frexp(x.abs())
    bias, steps = 2 ** (exponent - 1) - 1, 2.0**mantissa
    biased = power - 1 + bias
    kept = torch.ldexp(1 + to_whole((fraction * 2 - 1) * steps) / steps, power - 1)
    top = (2 - 1 / steps) * 2.0 ** (2**exponent - 1 - bias)
    values = torch.where(biased > 2**exponent - 1, torch.full_like(kept, top), kept)
    return torch.where((x == 0) | (biased < 0), 0.0, torch.sign(x) * values)


def powers_of_two(x: torch.Tensor, to_whole: Rounding, lowest: int, highest: int) -> torch.Tensor:
    """Signed powers of two with an exponent within limits."""
    value = x.detach()
    exponent = to_whole(torch.log2(value.abs())).clamp(lowest, highest)
    return passed_by(x, torch.where(value >= 0, 1.0, -1.0) * torch.exp2(exponent))
