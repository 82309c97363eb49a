"""Gradients that are sums over a whole batch, summed so that what should be zero is.

What normalises over a batch (BatchNorm) passes on a gradient whose sum per channel is zero but for rounding. A bias in
front of it collects that rounding and nothing else, and solvers such as Adam would make steps of it.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["biased", "centred"]


class Centred(torch.autograd.Function):
    """The identity; of the gradient, the mean per channel is taken away."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        """The same values."""
        return x.view_as(x)

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient around its mean over everything but the channels."""
        mean = channel_sums(gradient) / (gradient.numel() // gradient.shape[1])
        return gradient - mean.to(gradient.dtype).reshape(-1, *(1,) * (gradient.dim() - 2))


class Biased(torch.autograd.Function):
    """Output to which a bias has been added already, and the gradient of that bias."""

    @staticmethod
    def forward(_: Any, y: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """The same values."""
        return y.view_as(y)

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient itself, and its sum per channel."""
        return gradient, channel_sums(gradient).to(gradient.dtype)


def channel_sums(x: torch.Tensor) -> torch.Tensor:
    """float64 sums over everything but the channels: positions in float32, then pictures in float64."""
    return x.flatten(2).sum(2).double().sum(0) if x.dim() > 2 else x.double().sum(0)


def centred(x: torch.Tensor) -> torch.Tensor:
    """The same tensor, of shape (batch, channels, …); see `Centred`."""
    if not x.requires_grad:
        return x
    result: torch.Tensor = Centred.apply(x)  # type: ignore[no-untyped-call]
    return result


def biased(y: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The same tensor, of shape (batch, channels, …), which a constant ``bias`` per channel is part of."""
    if bias is None or not bias.requires_grad or not torch.is_grad_enabled():
        return y
    result: torch.Tensor = Biased.apply(y, bias)  # type: ignore[no-untyped-call]
    return result
