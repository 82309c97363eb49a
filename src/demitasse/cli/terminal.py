"""What reaches the screen: steps, tables, progress bars, or one JSON object.

Results go to stdout, progress to stderr, and only to a terminal: a pipe gets the text alone.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from demitasse.layers import UNKNOWN
from demitasse.report.table import Column, render

__all__ = ["Progress", "Terminal", "json_ready", "say"]

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do, in any unit."""

LABEL = 12


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command speaks. ``quiet``: errors only; ``as_json``: nothing but the object at the end."""

    quiet: bool = False
    as_json: bool = False

    @property
    def silent(self) -> bool:
        """Whether text is not wanted."""
        return self.quiet or self.as_json

    @property
    def width(self) -> int | None:
        """Columns of the terminal; ``None`` where lines may be as long as they like."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def line(self, text: str = "") -> None:
        """One line of text."""
        if not self.silent:
            say(text)

    def step(self, label: str, text: str, *, good: bool = True, aside: str = "") -> None:
        """``✓ label  text``, and something beside it."""
        mark = click.style("✓", fg="green") if good else click.style("✗", fg="red", bold=True)
        beside = f"   {click.style(aside, dim=True)}" if aside else ""
        self.line(f"{mark} {label:<{LABEL}}{text}{beside}")

    def note(self, text: str) -> None:
        """Something worth knowing that is not an error."""
        self.line(click.style(f"  note: {text}", dim=True))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], indent: int = 2) -> None:
        """A table, its heading dimmed; shortened where a terminal is narrow."""
        if self.silent:
            return
        width = self.width
        lines = render(columns, rows, None if width is None else width - indent)
        self.line(click.style(" " * indent + lines[0], dim=True))
        for text in lines[1:]:
            self.line(" " * indent + text)

    def result(self, value: Mapping[str, Any]) -> None:
        """The twin of everything printed, if it is wanted."""
        if self.as_json:
            click.echo(json.dumps(json_ready(value), ensure_ascii=False, indent=2))

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """A bar on a terminal for as long as the block runs; nothing elsewhere."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(f"  {label:<{LABEL}}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def say(text: str, *, error: bool = False) -> None:
    """One line to stdout or stderr: in colour on a terminal, unless NO_COLOR is set (no-color.org)."""
    click.echo(text, err=error, color=False if os.environ.get("NO_COLOR") else None)


def json_ready(value: Any) -> Any:
    """Plain JSON values: what is not a finite number becomes null, tuples become lists, paths become text."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if value is UNKNOWN:
        return None
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
