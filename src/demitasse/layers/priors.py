"""The prior boxes of SSD (Liu et al., 2016): what a PriorBox gives depends on shapes alone, and is a constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.layers.detection import PriorBox

__all__ = ["prior_boxes"]

FOREIGN = ("faceboxes", "box_width", "box_height", "tf", "yx_order", "keras")
"""Fields of Synopsys' fork, which computes something else."""

Array = npt.NDArray[np.float32]


def prior_boxes(placed: PriorBox) -> Array:
    """1 × 2 × (cells × boxes × 4): corners as fractions of the picture, then the variances that go with them.

    For every cell of the map and every size and aspect ratio a box. As in the official SSD branch, sizes are cut to
    whole pixels. A file that does not say ``clip`` means what the program means that reads it: BVLC's descendants with
    SSD's layers and OpenCV clip then, the SSD branch itself does not, and writes ``clip`` into every file. Here it is
    on. NetError for options of a fork that computes something else.
    """
    for field in FOREIGN:
        if placed.param.scalars(field) not in ((), ("false",)):
            placed.refuse(f"{field} is of Synopsys' fork, and is not computed here")
    picture = picture_size(placed)
    sizes = box_sizes(placed)
    steps = cell_steps(placed, picture)
    offset = np.float32(placed.param.number("offset", 0.5))
    height, width = placed.legacy(0)[2:]
    x = ((np.arange(width, dtype=np.float32) + offset) * steps[0]).astype(np.float64)
    y = ((np.arange(height, dtype=np.float32) + offset) * steps[1]).astype(np.float64)
    boxes: Any = np.empty((height, width, len(sizes), 4), np.float32)
    half = sizes.astype(np.float64) / 2
    for axis, center, size in ((0, x[None, :, None], picture[0]), (1, y[:, None, None], picture[1])):
        boxes[..., axis] = (center - half[:, axis]) / size
        boxes[..., axis + 2] = (center + half[:, axis]) / size
    if placed.param.flag("clip", True):
        boxes = boxes.clip(0, 1)
    both: Array = np.stack((boxes.reshape(-1), np.tile(variances(placed), height * width * len(sizes))))
    return both[None]


def picture_size(placed: PriorBox) -> tuple[int, int]:
    """Width and height that boxes are fractions of: given, or those of the second input."""
    size = placed.param.integer("img_size")
    height, width = placed.param.integer("img_h", size), placed.param.integer("img_w", size)
    if height and width:
        return width, height
    return placed.legacy(1)[3], placed.legacy(1)[2]


def cell_steps(placed: PriorBox, picture: tuple[int, int]) -> tuple[np.float32, np.float32]:
    """Pixels from cell to cell, across and down: given, or so that the cells fill the picture."""
    step = placed.param.number("step")
    across, down = placed.param.number("step_w", step), placed.param.number("step_h", step)
    if min(across, down) < 0:
        placed.refuse("step is below 0")
    height, width = placed.legacy(0)[2:]
    if across and down:
        return np.float32(across), np.float32(down)
    return np.float32(picture[0]) / np.float32(width), np.float32(picture[1]) / np.float32(height)


def box_sizes(placed: PriorBox) -> Array:
    """Width and height in pixels of each of a cell's boxes, in Caffe's order: for each ``min_size`` its square, the
    square between it and its ``max_size``, then the other aspect ratios."""
    placed.priors()
    largest = [int(size) for size in placed.param.numbers("max_size")]
    sizes: list[tuple[np.float32, np.float32]] = []
    for i, number in enumerate(placed.param.numbers("min_size")):
        smallest = int(number)
        sizes.append((np.float32(smallest),) * 2)
        if largest:
            sizes.append((np.float32(np.sqrt(smallest * largest[i])),) * 2)
        for ratio in placed.ratios():
            if abs(ratio - 1) >= 1e-6:
                root = np.sqrt(np.float32(ratio))
                sizes.append((np.float32(smallest) * root, np.float32(smallest) / root))
    return np.array(sizes, np.float32)


def variances(placed: PriorBox) -> Array:
    """Four numbers that go with every box. NetError unless none, one or four are given, all above 0."""
    given = placed.param.numbers("variance") or (0.1,)
    if len(given) not in (1, 4) or min(given) <= 0:
        placed.refuse(f"has variance {', '.join(f'{v:g}' for v in given)}; it needs one or four, above 0")
    return np.array(given * (4 // len(given)), np.float32)
