"""Windows that slide over the spatial axes of a tensor: padding, and every window as axes of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

__all__ = ["padded", "symmetric", "windows"]

Sides = tuple[int, int]


def padded(x: torch.Tensor, sides: Sequence[Sides], value: float = 0.0) -> torch.Tensor:
    """With rows added before and after each of the last axes, or cut off where negative."""
    if not any(before or after for before, after in sides):
        return x
    flat = [side for pair in reversed(sides) for side in pair]
    return F.pad(x, flat, value=value)


def symmetric(sides: Sequence[Sides]) -> tuple[int, ...] | None:
    """The padding per axis, if it is the same on both sides of each."""
    return tuple(before for before, _ in sides) if all(before == after for before, after in sides) else None


def windows(x: torch.Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> torch.Tensor:
    """Every window on the last axes: … × positions × kernel, as a view of ``x``."""
    first = x.dim() - len(kernel)
    for i, (size, step, apart) in enumerate(zip(kernel, stride, dilation, strict=True)):
        x = x.unfold(first + i, apart * (size - 1) + 1, step)
        x = x[..., ::apart] if apart > 1 else x
    return x
