"""Convolution and its relatives: any number of groups, dilation, and up to three spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.layers.convolution import Convolution, Im2col, SlidingWindow
from demitasse.runtime.operation import Call
from demitasse.runtime.sums import biased
from demitasse.runtime.windows import padded, symmetric, windows

__all__ = ["convolution", "deconvolution", "im2col", "masked_convolution"]

Weights = Sequence[torch.Tensor]

CONVOLUTIONS = (F.conv1d, F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED = (F.conv_transpose1d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def convolution(call: Call) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Each input, convolved with the same weights."""
    return for_each_input(call, convolved, call.weights)


def masked_convolution(call: Call) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """CConvolution: the weights, and in some forks the bias, times the masks behind them."""
    number = 2 if call.of(Convolution).bias else 1
    kept, masks = call.weights[:number], call.weights[number:]
    weights = [weight * masks[k] if k < len(masks) else weight for k, weight in enumerate(kept)]
    return for_each_input(call, convolved, weights)


def deconvolution(call: Call) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Each input, spread out with the same weights: the transpose of a convolution."""
    return for_each_input(call, transposed, call.weights)


def im2col(call: Call) -> torch.Tensor:
    """Channels become channels × kernel, in this order."""
    placed = call.of(Im2col)
    axis = placed.channel_axis
    x = with_room(call.x.flatten(0, axis - 1) if axis else call.x[None], placed)
    found = windows(x, placed.kernel, placed.stride, placed.dilation)
    spatial = len(placed.kernel)
    order = (0, 1, *range(2 + spatial, 2 + 2 * spatial), *range(2, 2 + spatial))
    return found.permute(order).reshape(call.shape)


def for_each_input(
    call: Call, function: Callable[[torch.Tensor, Convolution, Weights], torch.Tensor], weights: Weights
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """All axes in front of the channels are batch."""
    placed = call.of(Convolution)
    axis, axes = placed.channel_axis, len(placed.spatial)
    if axes > 3:
        placed.refuse(f"has {axes} spatial axes; up to 3 can be run")
    if axis == 1 and axes:
        outputs = tuple([function(x, placed, weights) for x in call.inputs])
    else:
        weight, *bias = weights
        point = () if axes else (1,)
        weight = weight.reshape(*weight.shape, *point)
        flat = [x.reshape(-1, *x.shape[axis:], *point) for x in call.inputs]
        outputs = tuple(function(x, placed, (weight, *bias)).reshape(call.shape) for x in flat)
    return outputs[0] if len(outputs) == 1 else outputs


def convolved(x: torch.Tensor, placed: Convolution, weights: Weights) -> torch.Tensor:
    """The convolution of one input."""
    weight, *bias = weights
    padding = placed.plain_padding
    if padding is None:
        x, padding = with_room(x, placed), (0,) * len(placed.padding)
    run = CONVOLUTIONS[len(placed.spatial)]
    shift = bias[0] if bias else None
    constant = shift.detach() if shift is not None and torch.is_grad_enabled() else shift
    result: torch.Tensor = run(
        x, weight, constant, placed.stride or 1, padding or 0, placed.dilation or 1, placed.group
    )
    return biased(result, shift)


def transposed(x: torch.Tensor, placed: Convolution, weights: Weights) -> torch.Tensor:
    """The deconvolution of one input: padding is what is cut off from the result."""
    weight, *bias = weights
    padding = symmetric(placed.padding)
    run = TRANSPOSED[len(placed.spatial)]
    shift = bias[0] if bias else None
    constant = shift.detach() if shift is not None and torch.is_grad_enabled() else shift
    result: torch.Tensor = run(
        x, weight, constant, placed.stride or 1, padding or 0, 0, placed.group, placed.dilation or 1
    )
    result = biased(result, shift)
    return result if padding is not None else padded(result, [(-before, -after) for before, after in placed.padding])


def with_room(x: torch.Tensor, placed: SlidingWindow) -> torch.Tensor:
    """Padded, and at least as large as the window."""
    sides = [
        (before, max(after, extent - size - before))
        for size, (before, after), extent in zip(placed.spatial, placed.padding, placed.extent, strict=True)
    ]
    return padded(x, sides)
