"""Preprocessing from a small YAML file:

mean: [104, 117, 123]    # or one number, or the name of a mean.binaryproto or .npy beside this file
scale: 1.0
order: bgr               # or rgb; the mean is in this order, too
resize: stretch          # or crop, or pad
size: 256                # before the middle is taken; or [height, width]
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from demitasse.datasets.mean import read_mean
from demitasse.errors import FileError, OptionError
from demitasse.evaluate.fit import RESIZES
from demitasse.evaluate.preprocessing import ORDERS, Stated

__all__ = ["read_stated"]

NAMES = ("mean", "scale", "order", "resize", "size")

LARGEST = 1 << 16
"""Bytes that such a file may have."""


def read_stated(path: Path) -> Stated:
    """What the file says. FileError if it cannot be read, OptionError for what it cannot say."""
    try:
        text = path.read_bytes()
        said = yaml.safe_load(text) if len(text) <= LARGEST else None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise FileError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or 'malformed'}") from None
    if not isinstance(said, dict) or not said:
        raise OptionError(f"{path}: should be a list of {', '.join(NAMES)}, each with its value")
    for name in said:
        if name not in NAMES:
            raise OptionError(f"{path}: {name!r} means nothing here; there are {', '.join(NAMES)}")
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


def numbers(path: Path, name: str, value: Any, most: int | None) -> tuple[float, ...] | None:
    """A number or a list of them. OptionError for anything else."""
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    good = all(isinstance(item, int | float) and not isinstance(item, bool) and isfinite(item) for item in values)
    if not values or not good or (most is not None and len(values) > most):
        raise OptionError(f"{path}: {name} is {value!r}; it should be {'a number' if most == 1 else 'numbers'}")
    return tuple(float(item) for item in values)


def chosen(path: Path, name: str, value: Any, choices: Sequence[Any]) -> Any:
    """One of a few words. OptionError for any other."""
    if value is not None and value not in choices:
        raise OptionError(f"{path}: {name} is {value!r}; it should be {' or '.join(choices)}")
    return value


def size(path: Path, value: Any) -> tuple[int, int] | None:
    """Height and width. OptionError if they are none."""
    found = numbers(path, "size", value, 2)
    if found is None:
        return None
    if min(found) < 1 or any(item != int(item) for item in found):
        raise OptionError(f"{path}: size is {value!r}; it should be whole numbers of at least 1")
    return int(found[0]), int(found[-1])
