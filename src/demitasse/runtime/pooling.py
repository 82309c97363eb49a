"""Pooling as Caffe does it: padding counts in averages and never wins a maximum; a window may be empty."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.layers.pooling import Pooling, SpatialPyramidPooling, counted
from demitasse.runtime.operation import Call
from demitasse.runtime.windows import padded, symmetric, windows

__all__ = ["average", "drawn", "maximum", "pooling", "spatial_pyramid", "stochastic"]

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]

LOWEST = float(np.finfo(np.float32).min)
"""What Caffe starts a maximum from, and leaves where a window is empty."""

TINY = float(np.finfo(np.float32).tiny)


def pooling(call: Call) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Maximum, average or stochastic pooling; with a second output, where in its plane each maximum was found."""
    placed = call.of(Pooling)
    size = (call.shape[2], call.shape[3])
    if placed.method in ("AVE", "AVE_EXC_PAD"):
        padding_counts = placed.method == "AVE"
        return average(call.x, placed.kernel, placed.stride, placed.padding, size, padding_counts=padding_counts)
    if placed.method == "STOCHASTIC":
        return stochastic(call, placed.kernel, placed.stride, size)
    if len(call.layer.outputs) == 1:
        return maximum(call.x, placed.kernel, placed.stride, placed.padding, size)
    found, places = maximum_and_place(call.x, placed.kernel, placed.stride, placed.padding, size)
    return found, places.to(call.x.dtype)


def spatial_pyramid(call: Call) -> torch.Tensor:
    """SPP: pooling into 1, 4, 16 … bins, laid out in a row (He et al., 2014)."""
    placed, x = call.of(SpatialPyramidPooling), call.x
    method = placed.param.string("pool", "MAX")
    levels: list[torch.Tensor] = []
    for kernel, pad, size in placed.levels:
        sides = ((pad[0], pad[0]), (pad[1], pad[1]))
        if method in ("AVE", "1"):
            levels.append(average(x, kernel, kernel, sides, size))
        elif method in ("MAX", "0"):
            levels.append(maximum(x, kernel, kernel, sides, size))
        else:
            placed.refuse(f"pool is {method}; MAX and AVE can be run")
    return levels[0] if len(levels) == 1 else torch.cat([level.flatten(1) for level in levels], 1)


def maximum(x: torch.Tensor, kernel: Pair, stride: Pair, sides: Sides, size: Pair) -> torch.Tensor:
    """The maximum of each window; the gradient goes to the first of equal values."""
    pad = torch_padding(x, kernel, stride, sides, size)
    if pad is None:
        return maximum_and_place(x, kernel, stride, sides, size)[0]
    return F.max_pool2d(x, kernel, stride, pad, ceil_mode=True)


def maximum_and_place(
    x: torch.Tensor, kernel: Pair, stride: Pair, sides: Sides, size: Pair
) -> tuple[torch.Tensor, torch.Tensor]:
    """The maximum of each window, and its position in the plane: the first of equal values, -1 in an empty window."""
    pad = torch_padding(x, kernel, stride, sides, size)
    if pad is not None:
        return F.max_pool2d_with_indices(x, kernel, stride, pad, ceil_mode=True)
    room = whole(x, kernel, stride, sides, size)
    found, places = F.max_pool2d_with_indices(padded(x, room, -torch.inf), kernel, stride)
    width = x.shape[3] + room[1][0] + room[1][1]
    rows, columns = places // width - room[0][0], places % width - room[1][0]
    empty = found == -torch.inf
    return found.masked_fill(empty, LOWEST), (rows * x.shape[3] + columns).masked_fill(empty, -1)


def average(
    x: torch.Tensor, kernel: Pair, stride: Pair, sides: Sides, size: Pair, *, padding_counts: bool = True
) -> torch.Tensor:
    """The mean of each window. Padding counts as zeros unless it is said not to, what lies beyond it does not count;
    0/0 in an empty window."""
    pad = torch_padding(x, kernel, stride, sides, size)
    if pad is not None:
        return F.avg_pool2d(x, kernel, stride, pad, ceil_mode=True, count_include_pad=padding_counts)
    sums = F.avg_pool2d(padded(x, whole(x, kernel, stride, sides, size)), kernel, stride, divisor_override=1)
    lengths = [
        counted(x.shape[2 + i], kernel[i], stride[i], sides[i], size[i], padding_counts=padding_counts) for i in (0, 1)
    ]
    return sums / torch.from_numpy(np.outer(*lengths)).to(x)


def stochastic(call: Call, kernel: Pair, stride: Pair, size: Pair) -> torch.Tensor:
    """In training, an element of each window, drawn with a probability as its value; else the mean of the values
    weighted by themselves (Zeiler and Fergus, 2013). Values are not negative. NetError for training on a processor:
    Caffe has code for graphics cards alone, and a network that nobody could have trained is a mistake."""
    x = padded(call.x, whole(call.x, kernel, stride, ((0, 0), (0, 0)), size))
    values = windows(x, kernel, stride, (1, 1)).flatten(-2)
    if not call.training:
        return values.square().sum(-1) / (values.sum(-1) + TINY)
    if x.device.type == "cpu":
        call.placed.refuse(
            "pool: STOCHASTIC is trained on a graphics card only, as in Caffe: use --device cuda, or AVE"
        )
    return drawn(values, call.generator)


def drawn(values: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """One of the values along the last axis, each with a probability in proportion to it."""
    sums = values.detach().cumsum(-1)
    draw = torch.empty_like(sums[..., :1]).uniform_(generator=generator) * sums[..., -1:]
    chosen = (sums < draw).sum(-1, keepdim=True).clamp_max(values.shape[-1] - 1)
    return values.gather(-1, chosen).squeeze(-1)


def torch_padding(x: torch.Tensor, kernel: Pair, stride: Pair, sides: Sides, size: Pair) -> Pair | None:
    """The padding with which torch's own pooling does the same; ``None`` if it cannot."""
    pad = symmetric(sides)
    if pad is None:
        return None
    for i in (0, 1):
        length = x.shape[2 + i] + 2 * pad[i]
        positions = -(-(length - kernel[i]) // stride[i]) + 1
        positions -= (positions - 1) * stride[i] >= x.shape[2 + i] + pad[i]
        if 2 * pad[i] > kernel[i] or positions != size[i] or length < kernel[i]:
            return None
    return pad[0], pad[1]


def whole(x: torch.Tensor, kernel: Pair, stride: Pair, sides: Sides, size: Pair) -> Sides:
    """Padding with which exactly these windows fit."""
    ends = [(size[i] - 1) * stride[i] + kernel[i] - x.shape[2 + i] - sides[i][0] for i in (0, 1)]
    return (sides[0][0], ends[0]), (sides[1][0], ends[1])
