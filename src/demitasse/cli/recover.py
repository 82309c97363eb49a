"""``demitasse recover``: a smaller network learns from the original."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from demitasse.cli.given import Given, executing, two
from demitasse.cli.model import Source, check_output
from demitasse.cli.options import (
    Real,
    debugging,
    device,
    dry_run,
    json_output,
    output,
    plugins,
    quiet,
    seed,
    threads,
    worker_threads,
)
from demitasse.cli.result import result_files, write_and_read
from demitasse.cli.showing import showing
from demitasse.cli.staging import scratch, staged
from demitasse.cli.terminal import Terminal
from demitasse.cli.verdict import OUTPUTS, output_rows, outputs_in_words
from demitasse.errors import OptionError
from demitasse.evaluate.compare import compare
from demitasse.evaluate.models import Subject
from demitasse.evaluate.shown import Shown, fed
from demitasse.report.footprint import BEFORE_AND_AFTER, before_and_after, footprint
from demitasse.runtime import require_torch

__all__ = ["command"]


@click.command("recover")
@click.argument("paths", nargs=-1, required=True, metavar="SMALL ORIGINAL", type=click.Path(path_type=Path))
@output("Folder for plain Caffe files, or NAME.demi.")
@partial(showing, images="Photographs to learn from and to be judged by, unlabelled: dozens, or more. Needed.")
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True, metavar="N", help="Batches to learn.")
@click.option("--rate", type=Real(0, min_open=True), default=2e-3, show_default=True, metavar="R", help="Of learning.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, metavar="N", help="Pictures at a time.")
@click.option("--blob", "blobs", multiple=True, metavar="NAME", help="Compare at this blob. May be repeated.")
@plugins
@dry_run
@json_output
@threads
@device
@seed
@quiet
@debugging
def command(**options: Any) -> int:
    """Let a smaller network learn from the original what it should give, on photographs without labels.

    For what prune, factorize or somebody else's tool has made inaccurate. SMALL and ORIGINAL are each DEPLOY MODEL, one
    FILE.demi, or a folder with a prototxt and a caffemodel. A part of --images is held out, and the weights that do
    best on it are kept. Zeros stay zero, and quantised weights learn in the form that they are stored in.
    """
    return Request(**options)()


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    paths: tuple[Path, ...]
    output: str
    shown: Shown
    steps: int
    rate: float
    batch: int
    blobs: tuple[str, ...]
    plugins: tuple[Path, ...]
    dry: bool
    as_json: bool
    threads: int | None
    device: str
    seed: int
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        require_torch("recover")
        from demitasse.runtime.threads import threads
        from demitasse.train.recover import recover

        execution = executing(self.threads, self.device, self.seed, self.plugins)
        if self.shown.folder is None:
            raise OptionError("recover learns from photographs: give --images DIR, some dozens of them or more")
        small, original = two(self.paths)
        given = caffe(small)
        targets = result_files(self.output, given)
        for each in (given, caffe(original)):
            check_output(targets, each)
        terminal = Terminal(self.quiet, self.as_json)
        student = subject(small, terminal, "small")
        teacher = subject(original, terminal, "original")
        shown = fed(self.shown, teacher.net, {name: (1, *shape[1:]) for name, shape in teacher.inputs.items()})
        with threads(worker_threads(self.threads)), terminal.progress("learn") as progress:
            found = recover(
                student.net,
                teacher.net,
                shown.feeds,
                steps=self.steps,
                rate=self.rate,
                batch=self.batch,
                blobs=self.blobs,
                seed=self.seed,
                device=self.device,
                plugins=execution.plugins,
                progress=progress,
            )
        held = f"relative error {found.before:.2e} before, {found.after:.2e} after, on photographs held out"
        terminal.step("learned", held if found.steps else "nothing that does better on photographs held out")
        with (scratch if self.dry else staged)(targets) as paths:
            written = write_and_read(found.net, paths, self.output)
            nbytes = paths[-1].stat().st_size
            compared = compare(teacher, written, images=self.shown, execution=execution)
        terminal.step("compared", outputs_in_words(compared), good=not compared.skipped)
        terminal.table(OUTPUTS, output_rows(compared), indent=4)
        before, after = footprint(student.net, given.bytes), footprint(written.net, nbytes)
        terminal.table(BEFORE_AND_AFTER, before_and_after(before, after), indent=4)
        for target in targets:
            terminal.step("would write" if self.dry else "wrote", str(target))
        terminal.result(
            {
                "command": "recover",
                "input": {"files": given.files, **before.as_dict()},
                "original": {"files": caffe(original).files},
                "output": {"files": targets, **after.as_dict()},
                "written": not self.dry,
                "blobs": found.blobs,
                "steps": found.steps,
                "error_before": found.before,
                "error_after": found.after,
                "comparison": compared.as_dict(),
            }
        )
        return 0


def caffe(given: Given) -> Source:
    """The files of a network that is no ONNX. OptionError if it is."""
    if given.source is None:
        raise OptionError(f"{given.onnx}: recover takes Caffe networks and .demi files")
    return given.source


def subject(given: Given, terminal: Terminal, label: str) -> Subject:
    """The network, announced. OptionError for ONNX."""
    found = given.load(terminal, label)
    if not isinstance(found, Subject):
        raise OptionError(f"{given.onnx}: recover takes Caffe networks and .demi files")
    return found
