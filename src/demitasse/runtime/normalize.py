"""Layers that scale and shift: BatchNorm, Scale, Bias, the forks' BN and Normalize; LRN and MVN."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.runtime.operation import Call
from demitasse.runtime.pooling import average
from demitasse.runtime.sums import centred

__all__ = ["batch_norm", "bias", "bn", "local_response", "mean_variance", "normalize", "scale"]


def batch_norm(call: Call) -> torch.Tensor:
    """To zero mean and unit variance per channel: the stored ones, or the batch's, which then are added to the stored.

    Blobs: sums of means, sums of variances, and the factor that both are to be divided by; a factor of 0 makes both 0.
    """
    param, x = call.param, call.x
    eps = param.number("eps", 1e-5)
    if param.flag("use_global_stats", not call.training):
        mean, variance = stored_statistics(call)
        y = F.batch_norm(x, mean, variance, None, None, False, 0.0, eps)
    else:
        y = F.batch_norm(centred(x), None, None, None, None, True, 0.0, eps)
        with torch.no_grad():
            add_statistics(call, param.number("moving_average_fraction", 0.999))
    if len(call.weights) < 5:
        return y
    scale_, shift = (weight.reshape(-1, *(1,) * (x.dim() - 2)) for weight in call.weights[3:])
    return y * scale_ + shift


def stored_statistics(call: Call) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance per channel, constants for the gradient."""
    mean, variance, factor = call.weights[:3]
    if torch.is_grad_enabled():
        mean, variance = mean.detach(), variance.detach()
    divisor = factor.item()
    if divisor == 1:
        return mean, variance
    share = 1 / divisor if divisor else 0.0
    return mean * share, variance * share


def add_statistics(call: Call, kept: float) -> None:
    """The batch's mean and unbiased variance on top of what is kept of the stored sums, in place."""
    x = call.x.detach()
    mean, variance, factor = call.weights[:3]
    number = x.numel() // x.shape[1]
    axes = (0, *range(2, x.dim()))
    batch_variance, batch_mean = torch.var_mean(x, axes, correction=0)
    mean.mul_(kept).add_(batch_mean)
    variance.mul_(kept).add_(batch_variance, alpha=number / (number - 1) if number > 1 else 1.0)
    factor.mul_(kept).add_(1)


def bn(call: Call) -> torch.Tensor:
    """Two blobs (SegNet): scale and shift of the batch's normalised values, or, in mode INFERENCE, of the values.
    Four (PSPNet): slope, bias, mean and variance, as in BatchNorm but with running averages."""
    param, x = call.param, call.x
    weights = [weight.reshape(-1) for weight in call.weights]
    if len(weights) == 2:
        if param.string("bn_mode", "LEARN") in ("INFERENCE", "1"):
            return scaled(x, *(weight.reshape(-1, *(1,) * (x.dim() - 2)) for weight in weights))
        return F.batch_norm(x, None, None, weights[0], weights[1], True, 0.0, param.number("var_eps", 1e-9))
    slope, shift, mean, variance = weights
    learning = call.training and not param.flag("frozen")
    momentum, eps = param.number("momentum", 0.9), param.number("eps", 1e-5)
    if not learning:
        return F.batch_norm(x, mean.detach(), variance.detach(), slope, shift, False, 0.0, eps)
    with torch.no_grad():
        batch_variance, batch_mean = torch.var_mean(x.detach(), (0, *range(2, x.dim())), correction=0)
        mean.mul_(momentum).add_(batch_mean, alpha=1 - momentum)
        variance.mul_(momentum).add_(batch_variance, alpha=1 - momentum)
    return F.batch_norm(x, None, None, slope, shift, True, 0.0, eps)


def scale(call: Call) -> torch.Tensor:
    """Times a scale that spans some axes: a blob, or the second input; with ``bias_term``, plus a bias likewise."""
    factors = (*call.inputs[1:], *call.weights)
    return scaled(call.x, *(spanned(call, factor) for factor in factors))


def bias(call: Call) -> torch.Tensor:
    """Plus a bias that spans some axes: a blob, or the second input."""
    return call.x + spanned(call, (*call.inputs[1:], *call.weights)[0])


def scaled(x: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
    """Times a factor, plus a shift, each of a shape that spreads over ``x``."""
    return x * factor if shift is None else torch.addcmul(shift, x, factor)


def spanned(call: Call, values: torch.Tensor) -> torch.Tensor:
    """A scale or a bias, in a shape that spreads over the input."""
    if values.dim() == 0:
        return values
    first = call.placed.axis(call.param.integer("axis", 1), call.placed.inputs[0])
    behind = call.x.dim() - first - values.dim()
    return values.reshape(*values.shape, *(1,) * behind) if behind else values


def normalize(call: Call) -> torch.Tensor:
    """To unit length, over all channels and places or (``across_spatial: false``) over the channels at each place; then
    times a scale per channel, or one for all (Liu et al., ParseNet, 2015)."""
    param, x = call.param, call.x
    spatial = param.flag("across_spatial", True)
    eps = param.number("eps", 1e-10)
    axes = tuple(range(1, x.dim())) if spatial else (1,)
    squares = x.square().sum(axes, keepdim=True)
    length = (squares + eps).sqrt() if param.flag("add_eps_before_sqrt", True) else squares.sqrt() + eps
    factor = call.weights[0]
    factor = factor if factor.dim() == 0 else factor.reshape(-1, *(1,) * (x.dim() - 2))
    unit: torch.Tensor = UnitLength.apply(x, length.detach(), factor, axes)  # type: ignore[no-untyped-call]
    return unit


class UnitLength(torch.autograd.Function):
    """x / length × factor. The gradient is Caffe's: what it takes away along x does not know the channels' factors,
    and so is exact only where they are the same."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, length: torch.Tensor, factor: torch.Tensor, axes: tuple[int, ...]
    ) -> torch.Tensor:
        """The scaled values."""
        unit = x / length
        ctx.save_for_backward(unit, length, factor)
        ctx.axes = axes
        return unit * factor

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, torch.Tensor, None]:
        """Gradients on x and on the factor."""
        unit, length, factor = ctx.saved_tensors
        product = gradient * unit
        of_factor = product.sum_to_size(factor.shape) if factor.dim() else product.sum()
        along = unit * product.sum(ctx.axes, keepdim=True)
        return (gradient - along) / length * factor, None, of_factor, None


def local_response(call: Call) -> torch.Tensor:
    """Divided by a power of the sum of squares around: over ``local_size`` channels, or over a square of that size
    within each channel, where ``k`` does not count (Krizhevsky et al., 2012)."""
    param, x = call.param, call.x
    size, alpha, beta = call.placed.size("local_size", 5), param.number("alpha", 1.0), param.number("beta", 0.75)
    if param.string("norm_region", "ACROSS_CHANNELS") in ("WITHIN_CHANNEL", "1"):
        pad = (size - 1) // 2
        around = average(x.square(), (size, size), (1, 1), ((pad, pad), (pad, pad)), (x.shape[2], x.shape[3]))
        return x * (1 + alpha * around) ** -beta
    squares = F.pad(x.square(), (0, 0, 0, 0, size // 2, size // 2))
    channels = x.shape[1]
    total = squares[:, :channels]
    for shift in range(1, size):
        total = total + squares[:, shift : shift + channels]
    return x * (total * (alpha / size) + param.number("k", 1.0)) ** -beta


def mean_variance(call: Call) -> torch.Tensor:
    """MVN: to zero mean, and unit deviation unless ``normalize_variance: false``, per channel or per picture."""
    param = call.layer.message.message("mvn_param")
    x = call.x
    axes = 1 if param.flag("across_channels") else 2
    rows = x.reshape(x.shape[:axes].numel(), -1)
    if not param.flag("normalize_variance", True):
        return (rows - rows.mean(1, keepdim=True)).reshape(x.shape)
    normalized: torch.Tensor = UnitDeviation.apply(rows, param.number("eps", 1e-9))  # type: ignore[no-untyped-call]
    return normalized.reshape(x.shape)


class UnitDeviation(torch.autograd.Function):
    """Each row minus its mean, divided by its deviation + eps. The gradient is Caffe's, which counts eps as part of the
    deviation, and so is finite where the deviation is 0."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, eps: float) -> torch.Tensor:
        """The normalised rows."""
        centered = rows - rows.mean(1, keepdim=True)
        deviation = centered.square().mean(1, keepdim=True).sqrt() + eps
        result = centered / deviation
        ctx.save_for_backward(result, deviation)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """What is along neither the mean nor the row itself."""
        result, deviation = ctx.saved_tensors
        along = result * (gradient * result).mean(1, keepdim=True)
        return (gradient - gradient.mean(1, keepdim=True) - along) / deviation, None
