"""A picture brought to the size that a network reads, and boxes brought back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import Picture
from demitasse.errors import OptionError
from demitasse.runtime.opencv import import_opencv

__all__ = ["RESIZES", "Fit", "Resize", "fitting"]

Resize = Literal["stretch", "crop", "pad"]
"""``stretch``: to the size, whatever becomes of the aspect ratio, as Caffe's data layers do. ``crop``: the shorter side
to the size, then the middle. ``pad``: the longer side to the size, the rest filled with zeros after the mean."""

RESIZES: tuple[Resize, ...] = ("stretch", "crop", "pad")


@dataclass(frozen=True, slots=True)
class Fit:
    """A picture of ``before`` (height, width) is resized to ``resized``; the network sees ``after`` pixels of it, from
    ``offset`` (top, left) on, which is negative where there is a border around the picture."""

    before: tuple[int, int]
    resized: tuple[int, int]
    after: tuple[int, int]
    offset: tuple[int, int]

    def __call__(self, picture: Picture) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Pixels, height × width × channels, and where they are the picture's and not the border's."""
        scaled: npt.NDArray[Any] = picture
        if self.before != self.resized:
            cv2 = import_opencv("resizing pictures")
            # As Caffe and OpenCV's blobFromImage do it; an area average would be better, and not what they see.
            scaled = cv2.resize(picture, self.resized[::-1], interpolation=cv2.INTER_LINEAR)
            scaled = scaled.reshape(*self.resized, picture.shape[2])
        out = np.zeros((*self.after, picture.shape[2]), np.float32)
        inside = np.zeros(self.after, np.bool_)
        top, left = self.offset
        rows = slice(max(0, -top), min(self.after[0], self.resized[0] - top))
        columns = slice(max(0, -left), min(self.after[1], self.resized[1] - left))
        part = np.s_[rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
        out[rows, columns] = scaled[part]
        inside[rows, columns] = True
        return out, inside

    def back(self, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Corners (left, top, right, bottom) as shares of what the network sees, as pixels of the picture."""
        height, width = self.after
        top, left = self.offset
        pixels = shares * [width, height, width, height] + [left, top, left, top]
        across, down = self.before[1] / self.resized[1], self.before[0] / self.resized[0]
        found: npt.NDArray[np.float64] = pixels * [across, down, across, down]
        return found


def fitting(
    before: tuple[int, int], after: tuple[int, int], resize: Resize = "stretch", size: tuple[int, int] | None = None
) -> Fit:
    """How a picture of ``before`` (height, width) gets to ``after``; with ``size`` it is first brought to that, and the
    middle is taken. OptionError if there is less than is needed."""
    target = size or after
    if resize == "stretch":
        resized = target
    else:
        ratios = [goal / have for goal, have in zip(target, before, strict=True)]
        ratio = max(ratios) if resize == "crop" else min(ratios)
        resized = max(1, round(before[0] * ratio)), max(1, round(before[1] * ratio))
    if size is not None and (size[0] < after[0] or size[1] < after[1]):
        raise OptionError(f"size is {size[0]}×{size[1]}, and the network reads {after[0]}×{after[1]} pixels of it")
    offset = (resized[0] - after[0]) // 2, (resized[1] - after[1]) // 2
    return Fit(before, resized, after, offset)
