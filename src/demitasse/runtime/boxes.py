"""Arithmetic on boxes (x1, y1, x2, y2), as SSD and Faster R-CNN do it: overlaps, suppression, SSD's codes.

Everything is float32 numpy, as Caffe's is float: whether an overlap is above a threshold can hang on rounding.
Boxes may be endless or no numbers at all, which numpy is told not to warn of.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["CODES", "Boxes", "corners", "decode", "descending", "encode", "offsets", "overlaps", "suppress"]

Boxes = npt.NDArray[np.float32]
"""Rows of x1, y1, x2, y2."""
CODES = ("CORNER", "CENTER_SIZE", "CORNER_SIZE")
"""Ways to write a box relative to a prior box; numbered from 1 in the file."""


@np.errstate(all="ignore")
def overlaps(a: Boxes, b: Boxes, border: float = 0.0) -> npt.NDArray[np.float32]:
    """Intersection over union of each box in ``a`` with each in ``b``: rows × columns.

    ``border`` is 1 where boxes are in pixels of which both corners are part, 0 where they are fractions.
    A box that is turned inside out has no area, and boxes that do not meet have overlap 0.
    """
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = high - low + np.float32(border)
    shared = np.where((sides > 0).all(-1), sides[..., 0] * sides[..., 1], np.float32(0))
    union = area(a, border)[:, None] + area(b, border)[None] - shared
    return np.where(shared > 0, shared / union, np.float32(0)).astype(np.float32)


def area(boxes: Boxes, border: float) -> npt.NDArray[np.float32]:
    """Areas; 0 of a box whose corners are in the wrong order."""
    sides = boxes[:, 2:] - boxes[:, :2]
    whole = (sides + np.float32(border)).prod(1)
    return np.where((sides < 0).any(1), np.float32(0), whole)


@np.errstate(all="ignore")
def suppress(boxes: Boxes, threshold: float, *, border: float = 0.0, eta: float = 1.0, most: int = -1) -> list[int]:
    """Greedy non-maximum suppression of boxes in order of score: indices of those kept, at most ``most``.

    A box stays unless it overlaps a kept one by more than the threshold, which shrinks by ``eta`` with each box kept
    while it is above 0.5.
    """
    kept: list[int] = []
    columns = [np.ascontiguousarray(boxes[:, k]) for k in range(4)]
    areas = area(boxes, border)
    alive = np.ones(len(boxes), bool)
    largest = np.zeros(len(boxes), np.float32)
    limit = np.float32(threshold)
    for i in range(len(boxes)):
        if not alive[i] or largest[i] > limit:
            continue
        kept.append(i)
        if len(kept) == most:
            break
        rest = overlaps_behind(i, columns, areas, border)
        if eta < 1:
            limit = limit * np.float32(eta) if limit > 0.5 else limit
            np.maximum(largest[i + 1 :], rest, out=largest[i + 1 :])
        else:
            alive[i + 1 :] &= ~(rest > limit)
    return kept


def overlaps_behind(i: int, columns: list[Boxes], areas: Boxes, border: float) -> npt.NDArray[np.float32]:
    """Overlaps of one box with those that come after it; what `overlaps` gives, for one row."""
    one = np.float32(border)
    left, top, right, bottom = columns
    wide = np.minimum(right[i], right[i + 1 :]) - np.maximum(left[i], left[i + 1 :]) + one
    high = np.minimum(bottom[i], bottom[i + 1 :]) - np.maximum(top[i], top[i + 1 :]) + one
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    return np.where(shared > 0, shared / (areas[i] + areas[i + 1 :] - shared), np.float32(0))


def descending(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Indices by falling score; of equals the first stays first."""
    return np.argsort(-scores, kind="stable")


def corners(centers: Boxes) -> Boxes:
    """Boxes from centres and sizes (x, y, width, height)."""
    half = centers[:, 2:] / np.float32(2)
    return np.concatenate((centers[:, :2] - half, centers[:, :2] + half), 1)


@np.errstate(all="ignore")
def decode(codes: Boxes, priors: Boxes, variances: Boxes, kind: str, scaled: bool) -> Boxes:
    """Boxes from what a network says about prior boxes. ``scaled``: variances are in the codes already."""
    if not scaled:
        codes = codes * variances
    if kind == "CORNER":
        return priors + codes
    size = priors[:, 2:] - priors[:, :2]
    if kind == "CORNER_SIZE":
        return priors + codes * np.tile(size, (1, 2))
    center = (priors[:, :2] + priors[:, 2:]) / np.float32(2)
    return corners(np.concatenate((codes[:, :2] * size + center, np.exp(codes[:, 2:]) * size), 1))


@np.errstate(all="ignore")
def encode(boxes: Boxes, priors: Boxes, variances: Boxes, kind: str, scaled: bool) -> Boxes:
    """What a network should say about prior boxes: the inverse of `decode`."""
    size = priors[:, 2:] - priors[:, :2]
    if kind == "CORNER":
        codes = boxes - priors
    elif kind == "CORNER_SIZE":
        codes = (boxes - priors) / np.tile(size, (1, 2))
    else:
        apart = (boxes[:, :2] + boxes[:, 2:]) / np.float32(2) - (priors[:, :2] + priors[:, 2:]) / np.float32(2)
        codes = np.concatenate((apart / size, np.log((boxes[:, 2:] - boxes[:, :2]) / size)), 1)
    return codes if scaled else codes / variances


@np.errstate(all="ignore")
def offsets(boxes: Boxes, deltas: Boxes) -> Boxes:
    """Boxes in pixels, both corners part of them, moved and scaled as R-CNN's regression says."""
    size = boxes[:, 2:] - boxes[:, :2] + np.float32(1)
    center = boxes[:, :2] + np.float32(0.5) * size
    moved = deltas[:, :2] * size + center
    half = np.float32(0.5) * (np.exp(deltas[:, 2:]) * size)
    return np.concatenate((moved - half, moved + half), 1)
