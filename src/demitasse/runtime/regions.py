"""Pooling of regions (image, x1, y1, x2, y2) into grids: ROIPooling, PSROIPooling, ROIAlign."""

from __future__ import annotations

import math

import numpy as np
import torch

from demitasse.runtime.operation import Call

__all__ = ["position_sensitive_roi_pooling", "roi_align", "roi_pooling"]


def regions_of(call: Call) -> torch.Tensor:
    """The regions, rows of five. NetError for one of an image that is not there."""
    rows = call.inputs[1].detach()
    if rows[:1].numel() not in (0, 5):
        found = rows[0].numel()
        call.placed.refuse(f'"{call.placed.name(1)}" has rows of {found}; a region is (image, x1, y1, x2, y2)')
    rows = rows.reshape(-1, 5)
    images = call.x.shape[0]
    if rows.numel() and not 0 <= int(rows[:, 0].min()) <= int(rows[:, 0].max()) < images:
        call.placed.refuse(f'"{call.placed.name(1)}" holds a region of an image outside of 0 to {images - 1}')
    return rows


def rounded(x: torch.Tensor) -> torch.Tensor:
    """To the nearest whole number, halves away from zero, as C's ``round``."""
    return torch.sign(x) * torch.floor(x.abs() + 0.5)


def cells(
    whole: torch.Tensor, part: torch.Tensor | float, size: torch.Tensor, grid: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """First place of each cell of each region, and the first behind it (regions × number), within 0 to the limit.

    Cells are ``size`` long from ``part`` on, both fractions, are rounded outwards, and then moved by ``whole`` places;
    ``grid``: number of cells and limit.
    """
    number, limit = grid
    index = torch.arange(number, dtype=size.dtype, device=size.device)
    part = part[:, None] if isinstance(part, torch.Tensor) else part
    begin = torch.floor(index * size[:, None] + part) + whole[:, None]
    end = torch.ceil((index + 1) * size[:, None] + part) + whole[:, None]
    return begin.clamp(0, limit).long(), end.clamp(0, limit).long()


def roi_pooling(call: Call) -> torch.Tensor:
    """ROIPooling (Fast R-CNN): the maximum of each cell; corners are rounded to whole places, an empty cell gives 0.

    The gradient goes to the first maximum in reading order.
    """
    height, width = call.x.shape[2:]
    (rows, columns), regions = call.shape[2:], regions_of(call)
    corners = rounded(regions[:, 1:] * call.param.number("spatial_scale", 1.0))
    # + 1: both corners are inside; a region turned inside out is taken for one place
    wide = (corners[:, 2] - corners[:, 0] + 1).clamp_min(1)
    high = (corners[:, 3] - corners[:, 1] + 1).clamp_min(1)
    top, bottom = (side.tolist() for side in cells(corners[:, 1], 0.0, high / rows, (rows, height)))
    left, right = (side.tolist() for side in cells(corners[:, 0], 0.0, wide / columns, (columns, width)))
    pooled = [
        pool_region(call.x[int(region[0])], (top[i], bottom[i]), (left[i], right[i]))
        for i, region in enumerate(regions.tolist())
    ]
    return torch.stack(pooled) if pooled else call.x.new_zeros(0, call.x.shape[1], rows, columns)


Spans = tuple[list[int], list[int]]


def pool_region(x: torch.Tensor, rows: Spans, columns: Spans) -> torch.Tensor:
    """Maxima of one region, channels × rows × columns. Along a line first and then over lines, so that of equal
    elements the first in reading order wins."""
    top, bottom = min(rows[0]), max(rows[1])
    if top >= bottom:
        return x.new_zeros(x.shape[0], len(rows[0]), len(columns[0]))
    x = x[:, top:bottom]
    none = x.new_zeros(x.shape[:2])
    lines = [largest(x[:, :, a:b], 2) if a < b else none for a, b in zip(*columns, strict=True)]
    table = torch.stack(lines, 2)
    empty = x.new_zeros(x.shape[0], len(lines))
    maxima = [largest(table[:, a - top : b - top], 1) if a < b else empty for a, b in zip(*rows, strict=True)]
    return torch.stack(maxima, 1)


def largest(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Maximum along an axis; its gradient goes to the first, which costs time to find out."""
    return x.max(axis).values if x.requires_grad else x.amax(axis)


def position_sensitive_roi_pooling(call: Call) -> torch.Tensor:
    """PSROIPooling (R-FCN): each cell is the mean over its part of the region, in channels of its own."""
    maps, cells_each_way = call.param.integer("output_dim"), call.param.integer("group_size")
    images, _, height, width = call.x.shape
    regions, scale = regions_of(call), call.param.number("spatial_scale")
    if not scale:
        call.placed.refuse("needs spatial_scale, above 0")
    begin = rounded(regions[:, 1:3]) * scale
    size = ((rounded(regions[:, 3:5]) + 1) * scale - begin).clamp_min(0.1) / cells_each_way
    nowhere = torch.zeros_like(begin[:, 0])
    top, bottom = cells(nowhere, begin[:, 1], size[:, 1], (cells_each_way, height))
    left, right = cells(nowhere, begin[:, 0], size[:, 0], (cells_each_way, width))
    sums = integral(call.x.reshape(images, maps, cells_each_way, cells_each_way, height, width))
    image = regions[:, 0].long()[:, None, None, None]
    cell = torch.arange(cells_each_way, device=call.x.device)
    at = image, torch.arange(maps, device=call.x.device)[None, :, None, None], cell[:, None], cell
    y1, y2 = top[:, None, :, None], bottom[:, None, :, None]
    x1, x2 = left[:, None, None, :], right[:, None, None, :]
    total = sums[*at, y2, x2] - sums[*at, y1, x2] - sums[*at, y2, x1] + sums[*at, y1, x1]
    area = (y2 - y1) * (x2 - x1)
    return torch.where(area > 0, total / area.clamp_min(1), 0.0).to(call.x.dtype)


def integral(x: torch.Tensor) -> torch.Tensor:
    """Sums over all that is above and to the left, with a row and a column of zeros before; in float64."""
    return torch.nn.functional.pad(x.double().cumsum(-1).cumsum(-2), (1, 0, 1, 0))


def roi_align(call: Call) -> torch.Tensor:
    """ROIAlign (He et al., "Mask R-CNN", 2017): the mean of interpolated points, as in Detectron: regions are not
    rounded, are at least one place long, and a cell has as many points each way as it is long, rounded up, or as
    ``sampling_ratio`` says."""
    (rows, columns), regions = call.shape[2:], regions_of(call)
    height, width = call.x.shape[2:]
    ratio = call.param.integer("sampling_ratio")
    corners = regions[:, 1:] * call.param.number("spatial_scale", 1.0)
    pooled = []
    for region, (x1, y1, x2, y2) in zip(regions.tolist(), corners.tolist(), strict=True):
        down = averages((y1, max(y2 - y1, 1.0)), (rows, height), ratio).to(call.x)
        across = averages((x1, max(x2 - x1, 1.0)), (columns, width), ratio).to(call.x)
        top, bottom = reach(down)
        left, right = reach(across)
        part = call.x[int(region[0]), :, top:bottom, left:right]
        pooled.append(down[:, top:bottom] @ (part @ across[:, left:right].t()))
    return torch.stack(pooled) if pooled else call.x.new_zeros(0, call.x.shape[1], rows, columns)


def averages(span: tuple[float, float], grid: tuple[int, int], ratio: int) -> torch.Tensor:
    """How much each place along an axis counts in each cell (cells × places): the mean of linear interpolations at
    points evenly spread over the cell. A point more than one place outside counts as 0.

    ``span``: start and length; ``grid``: cells and places; ``ratio``: points a cell, 0 for as many as it is long.
    """
    (start, length), (number, size) = span, grid
    each = ratio or math.ceil(length / number)
    at = start + (np.arange(number * each, dtype=np.float32) + np.float32(0.5)) * np.float32(length / number / each)
    inside = (at >= -1) & (at <= size)
    at = at.clip(0, size - 1)
    low = at.astype(np.int64)
    point = np.arange(len(at))
    counts = np.zeros((len(at), size), np.float32)
    counts[point, low] = 1 - (at - low)
    counts[point, np.minimum(low + 1, size - 1)] += at - low
    return torch.from_numpy((counts * inside[:, None]).reshape(number, each, size).mean(1))


def reach(counts: torch.Tensor) -> tuple[int, int]:
    """The first place that counts, and the one behind the last; one place if none does."""
    some = counts.any(0).nonzero().reshape(-1)
    return (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 1)
