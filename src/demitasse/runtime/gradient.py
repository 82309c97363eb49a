"""Gradients that a layer of Caffe writes down itself, where they are not those of what it computes forward.

Caffe's layers have their backward pass written by hand. Most are the derivative of the forward pass, and autograd
finds them; the others (a clamp that the gradient passes by, a small number added below a fraction line, centres that
move whatever the weight of the loss) are given here as they are.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["passed_by", "with_gradient"]


def passed_by(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """``value``, whose gradient goes to ``x`` unchanged: what was done to x is passed by on the way back."""
    result: torch.Tensor = PassedBy.apply(x, value)  # type: ignore[no-untyped-call]
    return result


def with_gradient(value: torch.Tensor, *pairs: tuple[torch.Tensor, torch.Tensor], scaled: bool = True) -> torch.Tensor:
    """A single number whose gradient on each tensor is given beside it, whatever computed the number.

    ``pairs``: (tensor, gradient of its shape). With ``scaled``, gradients are multiplied by the one that arrives, the
    weight of a loss; without, they are what they are.
    """
    tensors, gradients = zip(*pairs, strict=True)
    result: torch.Tensor = Given.apply(value, scaled, *tensors, *gradients)  # type: ignore[no-untyped-call]
    return result


class PassedBy(torch.autograd.Function):
    """See `passed_by`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """The value."""
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient as it came."""
        return gradient, None


class Given(torch.autograd.Function):
    """See `with_gradient`."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, scaled: bool, *both: torch.Tensor) -> torch.Tensor:
        """The number; the gradients are kept."""
        ctx.scaled = scaled
        ctx.save_for_backward(*both[len(both) // 2 :])
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """What was kept, times the gradient that comes."""
        kept = ctx.saved_tensors
        given = [each * gradient for each in kept] if ctx.scaled else kept
        return (None, None, *given, *(None,) * len(kept))
