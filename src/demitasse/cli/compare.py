"""``demitasse compare``: two networks side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from demitasse.cli.given import executing, two
from demitasse.cli.options import Real, debugging, device, json_output, plugins, quiet, seed, threads
from demitasse.cli.showing import head, other_inputs, showing
from demitasse.cli.terminal import Terminal
from demitasse.cli.verdict import said
from demitasse.errors import NetError, OptionError, VerificationError
from demitasse.evaluate.cascade import CascadeHead
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.head_file import Head
from demitasse.evaluate.models import Subject
from demitasse.evaluate.outputs import OutputError
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.side_by_side import SideBySide, side_by_side
from demitasse.report.quantities import decibel
from demitasse.report.table import Column

__all__ = ["TOLERANCE", "command", "weights_in_words"]

TOLERANCE = 0.01
"""Relative error (L2) of an output: a little more than what ``compress`` leaves by default (44 dB, 0.6 %). What only
rounding should change stays below 0.0001."""

COLUMNS = (
    Column("output", least=12),
    Column("relative", "right"),
    Column("largest", "right"),
    Column("cosine", "right"),
    Column("PSNR", "right"),
    Column(""),
)

NAMED = 4
"""Layers that are named before it is said how many more there are."""

SAME_FUNCTION, ROUNDING = 60.0, 1e-4
"""Decibels of the weights below which, and relative error of the outputs down to which, they must be two ways to write
one function (channels scaled, or in another order): noise of 60 dB would show at the outputs."""


@click.command("compare")
@click.argument("paths", nargs=-1, required=True, metavar="A B", type=click.Path(path_type=Path))
@showing
@click.option("--arrays", type=click.Path(path_type=Path), metavar="FILE.npz", help="One array for each input.")
@click.option("--random", type=click.IntRange(1), metavar="N", help="N sets of normal noise for the inputs.")
@click.option(
    "--tolerance",
    type=Real(0),
    default=TOLERANCE,
    show_default=True,
    metavar="E",
    help="Relative error (L2) of an output above which the exit status is 1.",
)
@head
@click.option("--layers", "every", is_flag=True, help="The error of every layer that both have.")
@plugins
@json_output
@threads
@device
@seed
@quiet
@debugging
def command(**options: Any) -> int:
    """Two networks side by side.

    A and B are each DEPLOY MODEL, one FILE.demi, one FILE.onnx, or a folder with a prototxt and a caffemodel. DEPLOY
    MODEL MODEL are two caffemodels of one prototxt.

    Both run on the same inputs: photographs (--images), arrays, noise, or generated pictures. OpenCV or ONNX Runtime
    runs them where they can, and our executor beside them. For each output: relative error, largest difference, cosine,
    peak signal to noise; whether the same class wins; whether the same boxes are found. If they differ by more than
    --tolerance, the first layer in which they do is named, and the exit status is 1.
    """
    return Request(**options)()


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    paths: tuple[Path, ...]
    shown: Shown
    arrays: Path | None
    random: int | None
    tolerance: float
    head: Head | None
    every: bool
    plugins: tuple[Path, ...]
    as_json: bool
    threads: int | None
    device: str
    seed: int
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        shown = other_inputs(self.shown, self.arrays, self.random, self.seed)
        execution = executing(self.threads, self.device, self.seed, self.plugins)
        given = two(self.paths)
        if isinstance(self.head, CascadeHead):
            raise OptionError("--head describes a cascade: compare its networks one by one, or all with evaluate")
        terminal = Terminal(self.quiet, self.as_json)
        first, second = (each.load(terminal, label) for each, label in zip(given, ("first", "second"), strict=True))
        with terminal.progress("compare") as progress:
            found = side_by_side(
                first,
                second,
                shown,
                execution,
                tolerance=self.tolerance,
                every=self.every,
                head=self.head,
                progress=progress,
            )
        if found.comparison.skipped:
            raise NetError(f"the outputs cannot be compared: {found.comparison.skipped}")
        if isinstance(first, Subject) and isinstance(second, Subject):
            terminal.step("weights", weights_in_words(found.comparison))
        show_outputs(terminal, found)
        result: Mapping[str, Any] = {
            "command": "compare",
            "first": {"files": given[0].files},
            "second": {"files": given[1].files},
            **found.as_dict(),
        }
        if not found.same:
            raise VerificationError(verdict(found), result)
        terminal.line(f"Within a relative error of {self.tolerance:g}.")
        terminal.result(result)
        return 0


def weights_in_words(comparison: Comparison) -> str:
    """How far the weights are apart. Where a transform has been at work, weights of the same name are another layer's
    share of the same function, and how far they are apart says nothing."""
    if comparison.weight_snr is None:
        return "no layer has weights of the same shapes in both"
    ratio = f"{decibel(comparison.weight_snr)} signal to noise, in matrices and kernels"
    if comparison.weight_snr == math.inf:
        ratio = "the same to the bit, in matrices and kernels"
    if names := comparison.unmatched:
        layers: dict[str, bool] = {}
        for error in comparison.weights:
            layers[error.layer] = layers.get(error.layer, True) and error.noise == 0
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return (
            f"{sum(layers.values())} of {len(layers)} layers of the same shapes are the same to the bit; "
            f"others in number or shape: {', '.join(names[:NAMED])}{more}"
        )
    worst = comparison.worst
    if comparison.weight_snr < SAME_FUNCTION and worst is not None and worst.relative < ROUNDING:
        return "others, which give the same outputs"
    return ratio


def show_outputs(terminal: Terminal, found: SideBySide) -> None:
    """What ran, and how far the outputs are apart."""
    comparison = found.comparison
    alone = "" if comparison.independent else " alone"
    prepared = f", {comparison.prepared}" if comparison.prepared else ""
    terminal.step("ran", f"{comparison.runtime}{alone} on {comparison.pictures}{prepared}")
    for text in comparison.notes:
        terminal.note(text)
    for check in found.checks:
        if check.worst is not None:
            agree = f"{check.executor} gives the same within {check.worst.relative:.1e}"
            terminal.step("checked", f"{check.which}: {agree}", good=check not in found.doubtful)
        elif check.skipped:
            terminal.note(f"{check.which}: not run in {check.executor}: {check.skipped}")
    for name in comparison.missing:
        terminal.step("missing", f"the second gives nothing for {name}", good=False)
    terminal.line()
    terminal.table(COLUMNS, [row(error) for error in comparison.outputs], indent=4)
    terminal.line()
    if found.layers and (found.divergence is None or len(found.layers) > found.divergence.agreed + 1):
        terminal.step("layers", f"{len(found.layers)}, one by one in {found.walked}")
        terminal.table((Column("layer", least=12), *COLUMNS[1:]), [row(error) for error in found.layers], indent=4)
        terminal.line()


def row(error: OutputError) -> list[str]:
    """One output for `COLUMNS`."""
    if error.boxes is not None:
        return [error.name, "", "", "", "", said(error)]
    cosine = "–" if error.cosine is None else f"{error.cosine:.6f}"
    return [error.name, f"{error.relative:.1e}", f"{error.largest:.2g}", cosine, decibel(error.psnr), said(error)]


def verdict(found: SideBySide) -> str:
    """Why the two are not the same, in a line."""
    parts = []
    if found.beyond:
        parts.append(f"beyond a relative error of {found.tolerance:g}: {', '.join(found.beyond)}")
    for check in found.doubtful:
        worst = check.worst
        far = f"{worst.relative:.1e}" if worst is not None else ""
        parts.append(f"our executor and {check.beside} differ by {far} on the {check.which} network")
    if (parted := found.divergence) is not None:
        kind = f" ({parted.type})" if parted.type else ""
        before = f", {parted.agreed} before it agree" if parted.agreed else ", the first"
        parts.append(f'they part in layer "{parted.layer}"{kind}, by {parted.relative:.1e}{before}')
    elif found.beyond and found.walked:
        parts.append("no layer that both have is further apart on the first set of inputs")
    return "; ".join(parts)
