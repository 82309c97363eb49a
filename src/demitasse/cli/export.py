"""``demitasse export``: out of Caffe, into ONNX."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from demitasse import files
from demitasse.cli.model import Source, check_output, mention_slips, source
from demitasse.cli.options import model_argument, output, verified_writing
from demitasse.cli.showing import showing
from demitasse.cli.staging import scratch, staged
from demitasse.cli.terminal import Terminal
from demitasse.cli.verdict import OUTPUTS, output_rows, outputs_in_words
from demitasse.errors import OptionError, VerificationError
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.exported import compared, under_its_names
from demitasse.evaluate.models import Subject
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.weights import check_finite
from demitasse.net import Dense, Net
from demitasse.onnx import Exported, is_large, selected, to_onnx
from demitasse.report.quantities import count, decibel, size
from demitasse.runtime.onnxruntime import import_onnxruntime

__all__ = ["command"]

TOLERANCE = 1e-4
"""Relative error of an output: what another order of additions explains."""

ROUNDED_TOLERANCE = 0.02
"""The same for arithmetic in float16, whose numbers have 11 bits, and for weights rounded to fewer bits."""

F = TypeVar("F", bound=Callable[..., Any])


class Shape(click.ParamType[Any]):
    """A name and sizes: ``data=1x3x600x800``."""

    name = "shape"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """Name and sizes. Refuses what is none."""
        if isinstance(value, tuple):
            return value
        name, equals, sizes = str(value).rpartition("=")
        parts = sizes.split("x")
        if not equals or not name or not all(part.isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value!r} is not an input and its sizes, such as data=1x3x600x800", parameter, context)
        return name, tuple(map(int, parts))


@click.command("export")
@model_argument("DEPLOY MODEL | FILE.demi | DIR")
@output("Name of the .onnx to write.")
@click.option(
    "--until", multiple=True, metavar="BLOB", help="End with this blob instead of the outputs; may be repeated."
)
@click.option("--half", is_flag=True, help="Weights and arithmetic in float16; inputs and outputs stay float32.")
@click.option(
    "--exact",
    is_flag=True,
    help="Quantised weights stay the same numbers, in up to 16 bits (default: rounded to 4 or 8 where they need more).",
)
@click.option("--batch", type=click.IntRange(1), metavar="N", help="For a batch of N (default: any, where possible).")
@click.option(
    "--shape",
    "shapes",
    type=Shape(),
    multiple=True,
    metavar="INPUT=AxBxC",
    help="Shape of an input, in place of what the prototxt says.",
)
@showing
@verified_writing
def command(**options: Any) -> int:
    """Leave Caffe: write a network as ONNX, verified.

    The model (opset 21) is for any batch unless a layer allows only one. Quantised weights of a .demi stay small.
    Layers that only a trainer needs are left out; a layer that ONNX cannot express is refused by name, or cut off with
    --until. The file is checked, and run in ONNX Runtime beside the original in OpenCV or in our own executor; until
    that is done it is called NAME.unverified.
    """
    return Request(**options)()


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    model: tuple[Path, ...]
    output: str
    until: tuple[str, ...]
    half: bool
    exact: bool
    batch: int | None
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    shown: Shown
    dry: bool
    run: bool
    as_json: bool
    threads: int | None
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        given = source(without_format(self.model))
        target = Path(self.output)
        if target.suffix.lower() != ".onnx":
            raise OptionError(f"{self.output}: export writes ONNX: give -o {given.files[-1].stem}.onnx")
        if self.run:
            import_onnxruntime("comparing what was exported (--no-run leaves that out)")
        data = target.with_name(target.name + ".data")
        terminal = Terminal(self.quiet, self.as_json)
        net = files.load(*given.files)
        check_finite(net, given)
        if self.exact and all(isinstance(tensor, Dense) for layer in net.layers for tensor in layer.tensors):
            raise OptionError(f"--exact is about quantised weights, and {given} has none: compress it first")
        terminal.step("read", f"{net.name or given} · {count(net.parameters)} parameters · {size(given.bytes)}")
        mention_slips(net, terminal)
        targets = [target, data] if is_large(selected(net, self.until).net, self.half) else [target]
        check_output(targets, given)
        with (scratch if self.dry else staged)(targets) as paths:
            done = to_onnx(
                net,
                paths[0],
                until=self.until,
                half=self.half,
                exact=self.exact,
                batch=self.batch,
                shapes=dict(self.shapes),
                data=paths[-1] if len(paths) > 1 else None,
                location=data.name,
            )
            nbytes = sum(path.stat().st_size for path in paths)
            announce(terminal, done, nbytes)
            with under_its_names(done, target, data) as named:
                found = self.compared(terminal, given, net, named)
        for path in targets:
            terminal.step("would write" if self.dry else "wrote", str(path))
        terminal.result(self.report(given, done, targets, nbytes, found))
        return 0

    def compared(self, terminal: Terminal, given: Source, net: Net, done: Exported) -> Comparison | None:
        """The original beside the model. VerificationError beyond tolerance."""
        if not self.run:
            terminal.note("not run: not asked for")
            return None
        original = Subject(net, given.prototxt, given.caffemodel)
        found = compared(original, done, self.until, self.shown, threads=self.threads or 0)
        if found.skipped:
            terminal.note(outputs_in_words(found))
            return found
        self.judge(found, self.tolerance(done))
        for text in found.notes:
            terminal.note(text)
        terminal.step("compared", outputs_in_words(found))
        terminal.table(OUTPUTS, output_rows(found), indent=4)
        return found

    def tolerance(self, done: Exported) -> float:
        """Relative error of an output that is allowed."""
        return ROUNDED_TOLERANCE if self.half or done.rounded else TOLERANCE

    def judge(self, found: Comparison, tolerance: float) -> None:
        """VerificationError for an output beyond tolerance or not there; for other boxes, if nothing is rounded."""
        details = {"command": "export", "tolerance": tolerance, "comparison": found.as_dict()}
        if found.missing:
            raise VerificationError(f"the model has no output for {', '.join(found.missing)}", details)
        for error in found.beyond(tolerance):
            raise VerificationError(
                f"{error.name}: the relative error is {error.relative:.1e}; at most {tolerance:g} is explained by "
                "rounding",
                details,
            )
        for error in found.outputs:
            if tolerance == TOLERANCE and error.boxes is not None and not error.boxes.same:
                raise VerificationError(f"{error.name}: other boxes are found", details)

    def report(
        self, given: Source, done: Exported, targets: list[Path], nbytes: int, found: Comparison | None
    ) -> Mapping[str, Any]:
        """Everything, for JSON."""
        return {
            "command": "export",
            "input": {"files": given.files, "bytes": given.bytes},
            "output": {
                "files": targets,
                "bytes": nbytes,
                "opset": done.opset,
                "nodes": done.nodes,
                "batch": done.batch,
                "inputs": done.inputs,
                "outputs": done.outputs,
                "weights": done.weights,
                "rounded": done.rounded,
            },
            "written": not self.dry,
            "verified": found is not None and not found.skipped,
            "tolerance": self.tolerance(done),
            "comparison": None if found is None else found.as_dict(),
            "report": [{"step": note.step, "layer": note.layer, "text": note.text} for note in done.notes],
        }


def without_format(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files: ``export onnx …`` names the format, which is the only one, first."""
    return paths[1:] if len(paths) > 1 and str(paths[0]) == "onnx" and not paths[0].exists() else paths


def announce(terminal: Terminal, done: Exported, nbytes: int) -> None:
    """What was written, and what is to be known about it."""
    batch = "any batch" if done.batch is None else f"batch {done.batch}"
    terminal.step("exported", f"{size(nbytes)} · opset {done.opset} · {done.nodes} nodes · {batch}")
    forms = sorted(done.weights.items(), key=lambda item: -item[1])
    terminal.step("weights", ", ".join(f"{size(amount)} as {form}" for form, amount in forms) or "none")
    if done.rounded:
        ratio = decibel(-20 * math.log10(done.rounded))
        terminal.note(f"quantised weights are rounded to fewer bits: {ratio} signal to noise (--exact keeps them)")
    for note in done.notes:
        terminal.note(f"{note.layer}: {note.text}" if note.layer else note.text)
