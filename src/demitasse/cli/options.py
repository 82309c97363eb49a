"""Options that mean the same in every command."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = [
    "Bytes",
    "Real",
    "Share",
    "debugging",
    "device",
    "dry_run",
    "json_output",
    "model_argument",
    "no_run",
    "output",
    "plugins",
    "quiet",
    "seed",
    "threads",
    "verified_writing",
    "worker_threads",
]

F = TypeVar("F", bound=Callable[..., Any])


class Real(click.FloatRange):
    """A number within bounds. Neither infinite nor "not a number", which click lets through."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The number. Refuses what is none."""
        found = super().convert(value, parameter, context)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number", parameter, context)
        return found


class Bytes(click.ParamType[Any]):
    """A number of bytes, in KB or MB where it says so."""

    name = "size"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """Bytes. Refuses what is no size."""
        if isinstance(value, int):
            return value
        text = str(value).upper().removesuffix("B")
        factor = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
        try:
            found = round(float(text.rstrip("KM")) * factor)
        except (ValueError, OverflowError):
            found = 0
        if found < 1:
            self.fail(f"{value!r} is no size: give bytes, or 27KB, or 5MB", parameter, context)
        return found


class Share(click.ParamType[Any]):
    """A share below the whole: ``0.5%`` or ``0.005``."""

    name = "share"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The share. Refuses what is none."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            found = -1.0
        if not 0 <= found < 1:
            self.fail(f"{value!r} is no share: give 0.5%, or 0.005", parameter, context)
        return found


def model_argument(metavar: str) -> Callable[[F], F]:
    """DEPLOY MODEL, one FILE.demi, or a folder with the two files: looked at by `demitasse.cli.model`."""
    return click.argument("model", nargs=-1, required=True, metavar=metavar, type=click.Path(path_type=Path))


def output(help: str) -> Callable[[F], F]:
    """``-o``: the name decides what is written."""
    return click.option("-o", "--output", required=True, metavar="PATH", help=help)


json_output: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")

dry_run: Callable[[F], F] = click.option(
    "--dry-run", "dry", is_flag=True, help="Do everything but keep the result: print what it would be."
)

no_run: Callable[[F], F] = click.option(
    "--no-run", "run", is_flag=True, flag_value=False, default=True, help="Compare weights only: run no network."
)

quiet: Callable[[F], F] = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")

threads: Callable[[F], F] = click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="Threads to use (default: all cores). Never changes results."
)

device: Callable[[F], F] = click.option(
    "--device", default="cpu", show_default=True, metavar="NAME", help="Where networks run: cpu, or cuda."
)

seed: Callable[[F], F] = click.option(
    "--seed", type=click.IntRange(0), default=0, metavar="N", help="Of everything that is random (default 0)."
)

plugins: Callable[[F], F] = click.option(
    "--plugin",
    "plugins",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE.py",
    help="Python functions for types of layers that are not known here. The file is run.",
)

debugging: Callable[[F], F] = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)


def verified_writing(command: F) -> F:
    """The options of every command that writes a network and compares what it wrote."""
    for option in (debugging, quiet, threads, json_output, no_run, dry_run):  # the first applied is listed last
        command = option(command)
    return command


def worker_threads(given: int | None) -> int:
    """The number given, or the cores that this process may use."""
    if given is not None:
        return given
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
