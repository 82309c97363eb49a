"""Options that say what networks are shown: pictures, and what is done to them. A command gets them as one `Shown`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from demitasse.cli.options import Real
from demitasse.errors import OptionError
from demitasse.evaluate.anchors import HEADS
from demitasse.evaluate.fit import RESIZES
from demitasse.evaluate.head_file import Head, read_head
from demitasse.evaluate.preprocessing import ORDERS, Stated
from demitasse.evaluate.preprocessing_file import read_stated
from demitasse.evaluate.shown import Shown

__all__ = ["head", "other_inputs", "preparing", "showing", "stated"]

F = TypeVar("F", bound=Callable[..., Any])

MEANS = (".npy", ".binaryproto")
"""Ends of names of mean pictures."""


class Mean(click.ParamType[Any]):
    """Numbers with commas between them, or a file with a mean picture."""

    name = "mean"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Stated:
        """What is stated. Refuses what is neither."""
        if isinstance(value, Stated):
            return value
        if str(value).endswith(MEANS):
            from demitasse.datasets.mean import read_mean

            return Stated(mean_picture=read_mean(Path(value)))
        try:
            mean = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            mean = ()
        if not mean or not all(math.isfinite(each) for each in mean):
            self.fail(
                f"{value!r} is neither numbers such as 104,117,123 nor a .binaryproto or .npy", parameter, context
            )
        return Stated(mean=mean)


class Resize(click.ParamType[Any]):
    """``stretch``, ``crop`` or ``pad``, with or without a size: ``crop:256``, ``stretch:256x320``."""

    name = "resize"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Stated:
        """What is stated. Refuses what is none."""
        if isinstance(value, Stated):
            return value
        mode, colon, size = str(value).partition(":")
        sides = size.split("x") if colon else []
        good = mode in RESIZES and len(sides) <= 2 and all(side.isdecimal() and int(side) > 0 for side in sides)
        if not good:
            self.fail(
                f"{value!r} is not {', '.join(RESIZES)}, or one of them with a size (crop:256)", parameter, context
            )
        found = next(name for name in RESIZES if name == mode)
        return Stated(resize=found, size=(int(sides[0]), int(sides[-1])) if sides else None)


PREPARING = (
    click.option(
        "--preprocess", type=click.Path(path_type=Path), metavar="FILE.yaml", help="The same from a YAML file."
    ),
    click.option("--resize", type=Resize(), metavar="MODE[:SIZE]", help="stretch (default), crop or pad; crop:256."),
    click.option("--order", type=click.Choice(ORDERS), help="Order of the channels that the network reads (bgr)."),
    click.option("--scale", type=Real(), metavar="S", help="What pixels are multiplied by, after the mean."),
    click.option("--mean", type=Mean(), metavar="B,G,R", help="What is subtracted from pixels of 0 to 255; or a file."),
)


def stated(options: dict[str, Any]) -> Stated:
    """What the options say about preprocessing, taken out of ``options``; they win over the file."""
    path = options.pop("preprocess")
    said = Stated() if path is None else read_stated(path)
    order, scale = options.pop("order"), options.pop("scale")
    for given in (options.pop("resize"), Stated(scale=scale, order=order), options.pop("mean")):
        said = given.over(said) if given is not None else said
    return said


def preparing(command: F) -> F:
    """``--mean``, ``--scale``, ``--order``, ``--resize`` and ``--preprocess``, as one ``stated``."""

    @wraps(command)
    def combined(**options: Any) -> Any:
        return command(stated=stated(options), **options)

    return with_options(combined, PREPARING)  # type: ignore[return-value]


GENERATED = "Photographs to compare outputs on, unlabelled (default: generated pictures)."


def showing(command: F, images: str = GENERATED) -> F:
    """``--images``, with that help, and how to prepare them, as one ``shown``."""

    @wraps(command)
    def combined(**options: Any) -> Any:
        folder = options.pop("images")
        return command(shown=Shown(folder, stated=stated(options)), **options)

    option = click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help=images)
    return with_options(combined, (*PREPARING, option))  # type: ignore[return-value]


def with_options(command: Callable[..., Any], options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    """The command with options, the last one first in its help."""
    for option in options:
        command = option(command)
    return command


class HeadType(click.ParamType[Any]):
    """A known head by its name, or a YAML file."""

    name = "head"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Head:
        """What makes boxes of outputs."""
        return read_head(value) if isinstance(value, str) else value


head: Callable[[F], F] = click.option(
    "--head",
    type=HeadType(),
    metavar="NAME|FILE.yaml",
    help=f"What makes boxes of a detector's outputs, if it is not recognised: {', '.join(HEADS)}, or a description.",
)


def other_inputs(shown: Shown, arrays: Path | None, random: int | None, seed: int) -> Shown:
    """Arrays or noise in place of pictures. OptionError for two of them, or for preparing what is no picture."""
    given = [name for name, value in (("--images", shown.folder), ("--arrays", arrays), ("--random", random)) if value]
    if len(given) > 1:
        raise OptionError(f"{given[0]} and {given[1]} are both given: networks are shown one of them")
    if shown.all_stated and (arrays or random):
        raise OptionError(f"{given[0]} is fed as it is: how to prepare pictures has no meaning with it")
    return replace(shown, arrays=arrays, random=random or 0, seed=seed)
