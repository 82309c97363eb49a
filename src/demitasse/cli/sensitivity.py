"""``demitasse sensitivity``: what each layer's channels are worth to the outputs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import click

from demitasse import files
from demitasse.cli.given import executing
from demitasse.cli.model import source
from demitasse.cli.options import Real, debugging, json_output, model_argument, plugins, quiet, threads
from demitasse.cli.showing import showing
from demitasse.cli.terminal import Terminal, say
from demitasse.evaluate.pruning import SHARES, Sensitivity, sensitivities
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.weights import check_finite
from demitasse.report.table import Column
from demitasse.transforms.prune.criteria import CRITERIA, Criterion

__all__ = ["command"]

CELLS = ("layers", "channels", "keep", "left", "error", "macs", "params")


@click.command("sensitivity")
@model_argument("DEPLOY MODEL | FILE.demi | DIR")
@showing
@click.option("--criterion", type=click.Choice(CRITERIA), default="l2", help="Which channels leave first (see prune).")
@click.option(
    "--keep",
    "shares",
    type=Real(0, 1, min_open=True),
    multiple=True,
    default=SHARES,
    show_default=True,
    metavar="SHARE",
    help="A share of a layer's channels to be left. May be repeated.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV.")
@plugins
@json_output
@threads
@quiet
@debugging
def command(
    model: tuple[Path, ...],
    shown: Shown,
    plugins: tuple[Path, ...],
    criterion: Criterion,
    shares: tuple[float, ...],
    as_csv: bool,
    as_json: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """How much the outputs suffer if one layer alone loses channels, for each layer that can.

    The error is the length of the difference over the length of the outputs (relative L2), where decisions are made
    from, without repair. A layer that hardly matters is one to prune: demitasse prune --keep LAYER=SHARE.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json are two forms of the same: give one")
    terminal = Terminal(quiet or as_csv, as_json)
    execution = executing(threads, "cpu", shown.seed, plugins)
    given = source(model)
    net = files.load(*given.files)
    check_finite(net, given)
    with terminal.progress("prune") as progress:
        found = sensitivities(net, shown, criterion=criterion, shares=shares, execution=execution, progress=progress)
    if as_csv:
        say(as_text(found), error=False)
    terminal.table(columns(shares), rows(found))
    if not found:
        terminal.note("no layer can lose channels: outputs and unknown layers hold all of them")
    terminal.result(
        {
            "command": "sensitivity",
            "files": [str(path) for path in given.files],
            "criterion": criterion,
            "layers": [one.as_dict() for one in found],
        }
    )
    return 0


def columns(shares: Sequence[float]) -> list[Column]:
    """Layer, channels, and an error for each share."""
    return [Column("layer", least=12), Column("channels", "right"), *(Column(f"keep {s:g}", "right") for s in shares)]


def rows(found: Sequence[Sensitivity]) -> list[list[str]]:
    """One for each layer, or for several that are tied."""
    return [
        [", ".join(one.layers), str(one.channels), *(f"{100 * point.error:.3g} %" for point in one.points)]
        for one in found
    ]


def as_text(found: Sequence[Sensitivity]) -> str:
    """The same as CSV: a line for each layer and share."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CELLS)
    for one in found:
        for point in one.points:
            work = "" if point.macs is None else f"{point.macs:.6g}"
            cells = (" ".join(one.layers), one.channels, point.keep, point.channels)
            writer.writerow((*cells, f"{point.error:.6g}", work, f"{point.params:.6g}"))
    return file.getvalue().rstrip("\n")
