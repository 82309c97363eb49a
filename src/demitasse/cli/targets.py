"""Options that say what ``compress`` is to reach, and the plan for it on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from demitasse import plan
from demitasse.cli.model import Source
from demitasse.cli.options import Bytes, Real, Share
from demitasse.errors import OptionError
from demitasse.plan import Plan, Target, TensorPlan
from demitasse.report.quantities import count, decibel, percent, size
from demitasse.report.table import Column
from demitasse.transforms.transform import is_kept

__all__ = ["PLAN", "Wanted", "plan_rows", "plan_steps", "wanting"]

F = TypeVar("F", bound=Callable[..., Any])

PLAN = (
    Column("tensor", least=12),
    Column("weights", "right"),
    Column("step", "right"),
    Column("bits", "right"),
    Column("bytes", "right"),
    Column("zeros", "right"),
    Column("of the error", "right"),
)

OPTIONS = (
    click.option(
        "--keep-structure", is_flag=True, help="Keep channels and layers, even those the outputs do not depend on."
    ),
    click.option(
        "--speedup",
        type=Real(1, min_open=True),
        metavar="S",
        help="S times fewer multiplications, by pruning and low rank, before anything else. It costs accuracy, which "
        "demitasse recover gives back.",
    ),
    click.option(
        "--max-drop",
        type=Share(),
        metavar="SHARE",
        help="As small as it gets with no more lost on --images (or generated pictures): 0.5% of the boxes, or of the "
        "classes that win, or else as relative error of the outputs. Every other picture is held out, and judges.",
    ),
    click.option("--ratio", type=Real(1, min_open=True), metavar="R", help="As good as the file gets R times smaller."),
    click.option("--target-size", type=Bytes(), metavar="SIZE", help="As good as it gets in so much: 500KB, 5MB."),
    click.option(
        "--quality",
        type=Real(0, 120),
        metavar="DB",
        help=f"Signal to noise at the outputs in dB: higher is larger, and closer (default {plan.QUALITY:g}).",
    ),
)


BESIDE = ("speedup", "keep_structure")
"""Options that go with any target."""

NAMES = ("quality", "ratio", "target_size", "max_drop")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, by the names of the options."""

    quality: float | None = None
    ratio: float | None = None
    target_size: int | None = None
    max_drop: float | None = None
    speedup: float | None = None
    keep_structure: bool = False

    def __post_init__(self) -> None:
        if len(self.given) > 1:
            raise OptionError(f"{' and '.join(self.given)} are targets of their own: give one of them")

    @property
    def given(self) -> list[str]:
        """The options that were given."""
        return ["--" + name.replace("_", "-") for name in NAMES if getattr(self, name) is not None]

    @property
    def all_given(self) -> list[str]:
        """The same, and those beside them."""
        beside = [name for name in BESIDE if getattr(self, name)]
        return [*self.given, *("--" + name.replace("_", "-") for name in beside)]

    @property
    def asked(self) -> float | None:
        """Decibels, where they and nothing else are what was asked for."""
        if self.quality is None:
            return None if self.given or self.speedup is not None else plan.QUALITY
        return None if self.speedup is not None else self.quality

    def target(self, given: Source) -> Target:
        """For a network with these files."""
        if self.ratio is not None:
            return Target(nbytes=max(1, int(given.bytes / self.ratio)), speedup=self.speedup)
        if self.given:
            return Target(self.quality, self.target_size, self.max_drop, self.speedup)
        return Target(plan.QUALITY, speedup=self.speedup)


def wanting(command: F) -> F:
    """The options, as one ``wanted``."""

    @wraps(command)
    def combined(**options: Any) -> Any:
        own = {name: options.pop(name) for name in (*NAMES, *BESIDE)}
        return command(wanted=Wanted(**own), **options)

    for option in OPTIONS:
        combined = option(combined)
    return combined  # type: ignore[return-value]


def plan_steps(found: Plan, seen: int) -> list[tuple[str, str, str]]:
    """What was done, for the screen: label, text, and something beside it. ``seen``: notes that were there before."""
    steps = []
    for note in found.notes[seen:]:
        if not note.layer and not is_kept(note) and note.step != "quantize":
            steps.append((note.step, note.text, "exact" if note.step == "shrink" else ""))
    noise = "" if found.expected is None else f", {decibel(found.expected)} expected at the outputs"
    levels = [tensor for tensor in found.tensors if tensor.step is not None]
    bits = sum(tensor.bits for tensor in levels) / max(1, sum(tensor.size for tensor in levels))
    steps.append(("quantised", f"{bits:.2f} bits per weight in {len(levels)} tensors{noise}", ""))
    if found.loss is not None:
        steps.append(("held out", f"{found.loss}, on pictures that the search did not look at", ""))
    return steps


def plan_rows(found: Plan) -> list[list[str]]:
    """Rows for `PLAN`: the tensors that take more than next to nothing."""
    return [row(tensor) for tensor in found.tensors if tensor.size > 1]


def row(tensor: TensorPlan) -> list[str]:
    """One of them."""
    return [
        tensor.name,
        count(tensor.size),
        "kept" if tensor.step is None else f"{tensor.step:.3g}",
        f"{tensor.bits / tensor.size:.2f}",
        size(round(tensor.bits / 8)),
        "" if tensor.zeros is None else percent(tensor.zeros, tensor.size),
        "" if tensor.noise is None else percent(tensor.noise, 1.0),
    ]
