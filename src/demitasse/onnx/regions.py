"""Pooling of regions (image, x1, y1, x2, y2) into grids."""

from __future__ import annotations

import numpy as np

from demitasse.onnx.call import Call, Result

__all__ = ["position_sensitive_roi_pooling", "roi_align", "roi_pooling"]


def roi_pooling(call: Call) -> Result:
    """ONNX has this very operator, rounding included."""
    grid = call.outputs[0][2:]
    return call.op(
        "MaxRoiPool", call.x, rows(call), pooled_shape=grid, spatial_scale=call.param.number("spatial_scale", 1.0)
    )


def rows(call: Call) -> str:
    """The regions as rows of five."""
    if len(call.placed.inputs[1]) == 2:
        return call.inputs[1]
    return call.op("Reshape", call.inputs[1], call.integers(-1, 5))


def roi_align(call: Call) -> Result:
    """As in Detectron: regions are not rounded, and at least one place long."""
    height, width = call.outputs[0][2:]
    image, corners = call.ops("Split", 2, rows(call), call.integers(1, 4), axis=1)
    return call.op(
        "RoiAlign",
        call.x,
        corners,
        call.to_integers(call.op("Squeeze", image, call.integers(1))),
        output_height=height,
        output_width=width,
        sampling_ratio=call.param.integer("sampling_ratio"),
        spatial_scale=call.param.number("spatial_scale", 1.0),
        coordinate_transformation_mode="output_half_pixel",
    )


def position_sensitive_roi_pooling(call: Call) -> Result:
    """PSROIPooling (R-FCN): each cell is the mean over its part of the region, in channels of its own.

    For one image. Which rows and which columns belong to a cell are two matrices of zeros and ones, and the sums are
    their products with the picture.
    """
    maps, cells = call.param.integer("output_dim"), call.param.integer("group_size")
    images, _, height, width = call.shape
    if call.known(images, "regions can be pooled from one image only") != 1:
        call.refuse(f"it pools from {images} images; use --batch 1")
    scale = call.param.number("spatial_scale")
    if not scale:
        call.refuse("it has no spatial_scale")
    corners = call.slice(rows(call), 1, 1, 5)
    low, high = call.ops("Split", 2, rounded(call, corners), axis=1, num_outputs=2)
    start = call.op("Mul", low, call.floats(scale))
    end = call.op("Mul", call.op("Add", high, call.floats(1.0)), call.floats(scale))
    size = call.op("Max", call.op("Sub", end, start), call.floats(0.1))
    each = call.op("Mul", size, call.floats(np.float32(1) / np.float32(cells)))
    columns, wide = members(call, start, each, 0, (cells, width))
    lines, high_ = members(call, start, each, 1, (cells, height))
    picture = call.reshape(call.x, (maps, cells, cells, height, width))
    sums = call.op("Einsum", lines, picture, columns, equation="rih,cijhw,rjw->rcij")
    area = call.op("Mul", call.op("Unsqueeze", high_, call.integers(2)), call.op("Unsqueeze", wide, call.integers(1)))
    least = call.op("Max", area, call.floats(1.0))
    return call.op("Div", sums, call.op("Unsqueeze", least, call.integers(1)))


def rounded(call: Call, x: str) -> str:
    """To the nearest whole number, halves away from zero, as C's ``round``; ONNX's goes to the even one."""
    away = call.op("Floor", call.op("Add", call.op("Abs", x), call.floats(0.5)))
    return call.op("Mul", call.op("Sign", x), away)


def members(call: Call, start: str, each: str, axis: int, grid: tuple[int, int]) -> tuple[str, str]:
    """Which places are in which cell along an axis (regions × cells × places, 1 or 0), and how many."""
    number, limit = grid
    origin, step = (call.slice(x, 1, axis, axis + 1) for x in (start, each))
    first, last = (
        call.op("Add", call.op("Mul", step, call.floats(np.arange(number) + more)), origin) for more in (0, 1)
    )
    begin = call.op("Unsqueeze", call.op("Floor", first), call.integers(2))
    end = call.op("Unsqueeze", call.op("Ceil", last), call.integers(2))
    places = call.floats(np.arange(limit))
    inside = call.op("And", call.op("GreaterOrEqual", places, begin), call.op("Less", places, end))
    flags = call.to_floats(inside)
    return flags, call.op("ReduceSum", flags, call.integers(2), keepdims=0)
