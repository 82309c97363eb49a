"""Preprocessing from a small YAML file:

mean: [104, 117, 123]    # or one number, or the name of a mean.binaryproto or .npy beside this file
scale: 1.0
order: bgr               # or rgb; the mean is in this order, too
resize: stretch          # or crop, or pad
size: 256                # before the middle is taken; or [height, width]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demitasse.datasets.mean import read_mean
from demitasse.errors import OptionError
from demitasse.evaluate.fit import RESIZES
from demitasse.evaluate.preprocessing import ORDERS, Stated
from demitasse.evaluate.settings_file import chosen, numbers, read_settings

__all__ = ["read_stated"]

NAMES = ("mean", "scale", "order", "resize", "size")


def read_stated(path: Path) -> Stated:
    """What the file says. FileError if it cannot be read, OptionError for what it cannot say."""
    said = read_settings(path, NAMES)
    picture, mean = None, said.get("mean")
    if isinstance(mean, str):
        picture, mean = read_mean(path.parent / mean), None
    return Stated(
        mean=numbers(path, "mean", mean, None),
        scale=(numbers(path, "scale", said.get("scale"), 1) or (None,))[0],
        order=chosen(path, "order", said.get("order"), ORDERS),
        resize=chosen(path, "resize", said.get("resize"), RESIZES),
        size=size(path, said.get("size")),
        mean_picture=picture,
    )


def size(path: Path, value: Any) -> tuple[int, int] | None:
    """Height and width. OptionError if they are none."""
    found = numbers(path, "size", value, 2)
    if found is None:
        return None
    if min(found) < 1 or any(item != int(item) for item in found):
        raise OptionError(f"{path}: size is {value!r}; it should be whole numbers of at least 1")
    return int(found[0]), int(found[-1])
