"""Recipes: lists of transforms as YAML, to be written down and run again.

    - strip
    - fold
    - factorize: {layer: fc6, rank: 1024}
    - half: {clamp: true}

A step is a transform's name, alone or with the fields of its dataclass. What is not a field, or not of its type, is
refused with the number of the step and the name of the field. Nothing in a recipe is executed.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from demitasse.errors import FileError, OptionError
from demitasse.transforms.factorize import Factorize
from demitasse.transforms.fold import Fold
from demitasse.transforms.half import Half
from demitasse.transforms.prune import Prune
from demitasse.transforms.quantize import Quantize
from demitasse.transforms.shrink import Shrink
from demitasse.transforms.strip import Strip
from demitasse.transforms.transform import Transform

__all__ = [
    "TRANSFORMS",
    "as_steps",
    "dump_recipe",
    "dump_steps",
    "from_steps",
    "name_of",
    "parse_recipe",
    "parse_steps",
    "read_recipe",
    "read_steps",
]

TRANSFORMS: dict[str, type[Any]] = {
    "factorize": Factorize,
    "fold": Fold,
    "half": Half,
    "prune": Prune,
    "quantize": Quantize,
    "shrink": Shrink,
    "strip": Strip,
}
"""Transforms by the names that recipes and commands call them."""

Kinds = Mapping[str, type[Any]]
"""Frozen dataclasses by the names of recipes."""


def read_recipe(path: Path) -> tuple[Transform, ...]:
    """The transforms in a YAML file. FileError if it cannot be read, OptionError for what it should not say."""
    return read_steps(path, TRANSFORMS, "transform")


def parse_recipe(text: str, where: str = "recipe") -> tuple[Transform, ...]:
    """The transforms in a YAML text. ``where`` begins the messages of errors."""
    return parse_steps(text, where, TRANSFORMS, "transform")


def from_steps(steps: Sequence[Any], where: str = "recipe") -> tuple[Transform, ...]:
    """The transforms that plain values (of YAML or JSON) stand for."""
    return made_of(steps, where, TRANSFORMS, "transform")


def read_steps(path: Path, kinds: Kinds, what: str) -> tuple[Any, ...]:
    """The steps in a YAML file: dataclasses of ``kinds``, of which one is called a ``what``. Errors as in
    `read_recipe`."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "not a text in UTF-8"
        raise FileError(f"{path}: cannot be read: {reason}") from None
    return parse_steps(text, str(path), kinds, what)


def parse_steps(text: str, where: str, kinds: Kinds, what: str) -> tuple[Any, ...]:
    """The steps in a YAML text."""
    try:
        steps = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark is not None else ""
        raise OptionError(f"{where}{at}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(steps, list) or not steps:
        raise OptionError(f"{where}: a recipe is a list of steps, such as '- {[*kinds][-1]}', one or more")
    return made_of(steps, where, kinds, what)


def made_of(steps: Sequence[Any], where: str, kinds: Kinds, what: str) -> tuple[Any, ...]:
    """What plain values stand for."""
    return tuple(step_from(step, f"{where}: step {number}", kinds, what) for number, step in enumerate(steps, 1))


def as_steps(transforms: Sequence[Transform]) -> list[Any]:
    """Plain values that `from_steps` turns back into the same transforms. Fields at their defaults are left out."""
    return [step_of(transform) for transform in transforms]


def dump_recipe(transforms: Sequence[Transform]) -> str:
    """The recipe as YAML."""
    return dump_steps(as_steps(transforms))


def dump_steps(steps: Sequence[Any]) -> str:
    """Plain values of `as_steps` as YAML."""
    text: str = yaml.safe_dump(list(steps), sort_keys=False, allow_unicode=True, width=120)
    return text


def name_of(transform: Transform) -> str:
    """What recipes call a transform. OptionError for one that they have no name for."""
    for name, kind in TRANSFORMS.items():
        if type(transform) is kind:
            return name
    raise OptionError(f"{type(transform).__name__} is no transform that a recipe can hold")


def step_of(transform: Any) -> Any:
    """One transform as plain values: its name, or its name with the fields that differ from their defaults."""
    name = name_of(transform)
    options = {
        one.name: plain(getattr(transform, one.name))
        for one in fields(transform)
        if not one.metadata.get("supplied") and getattr(transform, one.name) != default_of(one)
    }
    return {name: options} if options else name


def default_of(one: Any) -> Any:
    """A field's default, or what equals nothing."""
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default


def plain(value: Any) -> Any:
    """A field's value as YAML and JSON have it."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def step_from(step: Any, where: str, kinds: Kinds, what: str) -> Any:
    """What one step stands for."""
    if isinstance(step, str):
        step = {step: None}
    if not isinstance(step, dict) or len(step) != 1:
        raise OptionError(f"{where}: a step is the name of a {what}, alone or with its options: '- {[*kinds][-1]}'")
    ((name, options),) = step.items()
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise OptionError(f"{where}: no {what} is called {name!r}; there are {', '.join(kinds)}")
    where = f"{where} ({name})"
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise OptionError(f"{where}: options are NAME: VALUE, and this is {options!r}")
    known = {one.name: one for one in fields(kind) if not one.metadata.get("supplied")}
    for option in options:
        if option not in known:
            raise OptionError(f"{where}: has no option {option!r}; it has {', '.join(known) or 'none'}")
    hints = get_type_hints(kind)
    values = {key: converted(value, hints[key], f"{where}: {key}") for key, value in options.items()}
    missing = [key for key, one in known.items() if key not in values and default_of(one) is MISSING]
    if missing:
        raise OptionError(f"{where}: needs {missing[0]}")
    try:
        return kind(**values)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None


def converted(value: Any, hint: Any, where: str) -> Any:
    """A plain value as the type of a field: bool, int, float, str, None, Literal, tuples and mappings of these.

    OptionError if it is of another. A whole number passes for a float; no string passes for a number.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for one in sorted(arguments, key=lambda one: one is float):  # whole numbers stay whole where they may
            try:
                return converted(value, one, where)
            except OptionError:
                continue
    elif origin is Literal:
        if any(value == one and type(value) is type(one) for one in arguments):
            return value
    elif origin is tuple:
        if isinstance(value, list) and (arguments[-1] is ... or len(value) == len(arguments)):
            each = arguments[:1] * len(value) if arguments[-1] is ... else arguments
            return tuple(converted(item, one, where) for item, one in zip(value, each, strict=True))
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return {
                converted(key, arguments[0], where): converted(item, arguments[1], f"{where}: {key}")
                for key, item in value.items()
            }
    elif (
        (hint is type(None) and value is None)
        or (hint is float and type(value) in (int, float))
        or (hint in (bool, int, str) and type(value) is hint)
    ):
        return float(value) if hint is float else value
    raise OptionError(f"{where} should be {described(hint)}, and is {value!r}")


def described(hint: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(described(one) for one in arguments if one is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is tuple:
        return f"a list of {described(arguments[0])}" if arguments[-1] is ... else f"a list of {len(arguments)} values"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "NAME: VALUE pairs"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "nothing"}
    return words.get(hint, str(hint))
