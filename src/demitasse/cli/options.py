"""Options that mean the same in every command."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["debugging", "json_output", "model_argument", "output", "quiet", "threads", "worker_threads"]

F = TypeVar("F", bound=Callable[..., Any])


def model_argument(metavar: str) -> Callable[[F], F]:
    """DEPLOY MODEL, or one FILE.demi: looked at by `demitasse.cli.model`."""
    return click.argument("model", nargs=-1, required=True, metavar=metavar, type=click.Path(path_type=Path))


def output(help: str) -> Callable[[F], F]:
    """``-o``: the name decides what is written."""
    return click.option("-o", "--output", required=True, metavar="PATH", type=str, help=help)


json_output: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")

quiet: Callable[[F], F] = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")

threads: Callable[[F], F] = click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="Threads to use (default: all cores). Never changes results."
)

debugging: Callable[[F], F] = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)


def worker_threads(given: int | None) -> int:
    """The number given, or the cores that this process may use."""
    if given is not None:
        return given
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
