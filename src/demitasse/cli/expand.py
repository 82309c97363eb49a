"""``demitasse expand``: plain Caffe files from a .demi."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from demitasse import files, originals
from demitasse.cli.model import Source, check_output, form
from demitasse.cli.options import model_argument, output, verified_writing, worker_threads
from demitasse.cli.staging import scratch, staged
from demitasse.cli.terminal import Terminal
from demitasse.errors import OptionError, VerificationError
from demitasse.evaluate.compare import Subject, runs
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.witness import as_witnessed, witnessed
from demitasse.files import content
from demitasse.report.quantities import count, size

__all__ = ["command"]


@click.command("expand")
@model_argument("FILE.demi")
@output("Folder for NAME.prototxt and NAME.caffemodel.")
@verified_writing
def command(**options: Any) -> int:
    """Turn a .demi back into plain Caffe files.

    From a lossless .demi prototxt and caffemodel come back byte for byte. What was written is read again and compared
    with the .demi, weight for weight, and run once: by OpenCV, or by our executor where OpenCV cannot.
    """
    return Request(**options)()


def demi_alone(paths: Sequence[Path]) -> Path:
    """The one .demi. OptionError says what was given instead."""
    for path in paths:
        if content(path) != "demi":
            raise OptionError(f"{path} is no .demi: expand takes a .demi, and gives plain Caffe files")
    if len(paths) != 1:
        raise OptionError(f"{len(paths)} files given: expand takes one .demi")
    return paths[0]


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    model: tuple[Path, ...]
    output: str
    dry: bool
    run: bool
    as_json: bool
    threads: int | None
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        demi = demi_alone(self.model)
        if form(self.output) != "folder":
            raise OptionError(f"{self.output}: expand writes plain Caffe files into a folder: give -o out/")
        targets = [Path(self.output) / (demi.stem + suffix) for suffix in (".prototxt", ".caffemodel")]
        check_output(targets, Source(demi=demi))
        terminal = Terminal(self.quiet, self.as_json)
        exact = originals.is_original(demi)
        terminal.step("read", f"{demi.name} · {size(demi.stat().st_size)}{' · lossless' if exact else ''}")
        with (scratch if self.dry else staged)(targets) as paths:
            written = (self.restored if exact else self.decoded)(demi, *paths)
            program, reason = runs(written, Execution(self.threads or 0)) if self.run else ("", "not asked for")
            sizes = [path.stat().st_size for path in paths]
        for target, nbytes in zip(targets, sizes, strict=True):
            terminal.step("would write" if self.dry else "wrote", f"{target} · {size(nbytes)}")
        equal = "the same files as were stored, byte for byte" if exact else "every weight is what the .demi says"
        terminal.step("verified", f"read again: {equal} · {count(written.net.parameters)} parameters")
        opencv = program.startswith("OpenCV")
        if program:
            terminal.step("run", f"once, on a generated picture, in {program}")
        terminal.line(f"Loads in: demitasse{', OpenCV 4 (loaded and run)' if opencv else ''}.")
        if reason:
            terminal.note(f"not run through OpenCV: {reason}")
        terminal.result(
            {
                "command": "expand",
                "input": {"file": demi, "bytes": demi.stat().st_size, "lossless": exact},
                "output": [{"file": file, "bytes": nbytes} for file, nbytes in zip(targets, sizes, strict=True)],
                "written": not self.dry,
                "verified": True,
                "opencv": {"ran": opencv, "reason": reason},
                "ran_in": program,
            }
        )
        return 0

    def restored(self, demi: Path, prototxt: Path, caffemodel: Path) -> Subject:
        """The original files: what was written is read again and has the hash that is in the .demi."""
        originals.restore(demi, prototxt, caffemodel, threads=worker_threads(self.threads))
        return Subject(files.load(prototxt, caffemodel, missing="keep"), prototxt, caffemodel)

    def decoded(self, demi: Path, prototxt: Path, caffemodel: Path) -> Subject:
        """New files, read again. VerificationError if they hold another network."""
        net = witnessed(files.load_container(demi, threads=worker_threads(self.threads)))
        files.save_pair(net, prototxt, caffemodel)
        written = files.load(prototxt, caffemodel, missing="keep")
        if not as_witnessed(net, written):
            raise VerificationError(f"{self.output}: other weights were read than were written")
        return Subject(written, prototxt, caffemodel)
