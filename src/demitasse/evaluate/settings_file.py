"""Small YAML files of settings: names and values, of which every one has to mean something."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from demitasse.errors import FileError, OptionError

__all__ = ["chosen", "numbers", "read_settings"]

LARGEST = 1 << 16
"""Bytes that such a file may have."""


def read_settings(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """What the file says. FileError if it cannot be read, OptionError for a name that is none of ``names``."""
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
        raise OptionError(f"{path}: should be a list of {', '.join(names)}, each with its value")
    for name in said:
        if name not in names:
            raise OptionError(f"{path}: {name!r} means nothing here; there are {', '.join(names)}")
    return said


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
        raise OptionError(f"{path}: {name} is {value!r}; it should be {' or '.join(map(str, choices))}")
    return value
