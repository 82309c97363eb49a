"""Anchors of a region proposal network (Ren et al., "Faster R-CNN", 2015): boxes of all shapes around a place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["anchors", "anchors_in_pixels"]

Boxes = npt.NDArray[np.float32]
"""Rows of x1, y1, x2, y2, both corners inside."""


def anchors(base: int, ratios: Sequence[float], scales: Sequence[float]) -> Boxes:
    """Boxes of all shapes around the middle of a square of side ``base``, ratios first; both corners inside.

    py-faster-rcnn's: the square is stretched to the ratio, rounded to whole pixels, and scaled.
    """
    sizes: list[tuple[float, float]] = []
    for ratio in ratios:
        wide = float(np.round(np.sqrt(base * base / ratio)))
        high = float(np.round(wide * ratio))
        sizes.extend((wide * scale, high * scale) for scale in scales)
    return around(0.5 * (base - 1), np.array(sizes) - 1)


def anchors_in_pixels(base: int, ratios: Sequence[float], sides: Sequence[float]) -> Boxes:
    """As `anchors`, with ``sides`` in pixels: it is the box that is rounded, not the square."""
    sizes = []
    for ratio in ratios:
        wide = np.float32(np.sqrt(np.float32(base * base) / np.float32(ratio)))
        for side in sides:
            pair = (wide * np.float32(side), wide * np.float32(ratio) * np.float32(side))
            sizes.append([int(float(size) / base - 1 + 0.5) for size in pair])
    return around(0.5 * (base - 1), np.array(sizes, np.float64))


def around(middle: float, spans: npt.NDArray[Any]) -> Boxes:
    """Boxes that reach as far as ``spans`` (rows of width and height) around a point of two equal coordinates."""
    return np.concatenate((middle - spans / 2, middle + spans / 2), 1).astype(np.float32)
