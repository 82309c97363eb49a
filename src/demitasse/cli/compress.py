"""``demitasse compress``: a network as one small .demi."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from demitasse import files, originals, plan
from demitasse.cli.model import Source, check_output, form, source
from demitasse.cli.options import (
    debugging,
    dry_run,
    json_output,
    model_argument,
    no_run,
    output,
    pictures,
    quiet,
    threads,
    worker_threads,
)
from demitasse.cli.staging import scratch, staged
from demitasse.cli.terminal import Terminal
from demitasse.cli.verdict import OUTPUTS, check_outputs, output_rows, outputs_in_words
from demitasse.errors import OptionError, VerificationError
from demitasse.evaluate.compare import Shown, Subject, compare
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.weights import identical
from demitasse.net import Net
from demitasse.report.footprint import BEFORE_AND_AFTER, before_and_after, footprint
from demitasse.report.quantities import count, decibel, ratio, size

__all__ = ["command"]


@click.command("compress")
@model_argument("DEPLOY MODEL | FILE.demi")
@output("Name of the .demi to write.")
@click.option(
    "--quality",
    type=click.FloatRange(0, 120),
    metavar="DB",
    help=f"Signal to noise at the outputs in dB: higher is larger, and closer (default {plan.QUALITY:g}).",
)
@click.option("--lossless", is_flag=True, help="Keep every bit: expand gives the caffemodel back byte for byte.")
@pictures
@dry_run
@no_run
@json_output
@threads
@quiet
@debugging
def command(**options: Any) -> int:
    """Store a network as one small .demi, verified.

    Weights are quantised, no finer than the outputs need, and entropy coded. The .demi is then read again and compared
    with the original: weights, and outputs through OpenCV, on photographs (--images) or generated pictures. Until that
    is done it is called NAME.unverified, and it keeps that name if the outputs are far worse than was asked for.
    """
    return Request(**options)()


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    model: tuple[Path, ...]
    output: str
    quality: float | None
    lossless: bool
    images: Path | None
    mean: tuple[float, ...] | None
    scale: float | None
    dry: bool
    run: bool
    as_json: bool
    threads: int | None
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        if self.lossless and (self.quality is not None or self.images is not None):
            raise OptionError("--lossless keeps every bit: --quality and --images have no meaning with it")
        given = source(self.model)
        if self.lossless and given.demi is not None:
            raise OptionError(f"{given} is a .demi already: --lossless takes DEPLOY MODEL")
        if form(self.output) != "demi":
            raise OptionError(f"{self.output}: compress writes one .demi: give -o {given.files[-1].stem}.demi")
        target = Path(self.output)
        check_output([target], given)
        terminal = Terminal(self.quiet, self.as_json)
        net = files.load(*given.files)
        terminal.step("read", f"{net.name or given} · {count(net.parameters)} parameters · {size(given.bytes)}")
        if given.demi is not None and not originals.is_original(given.demi):
            terminal.note("a .demi is the original here: what it had lost already is not part of any figure below")
        with (scratch if self.dry else staged)([target]) as (path,):
            work = self.keep if self.lossless else self.shrink
            stored, found = work(terminal, given, net, path)
            nbytes = path.stat().st_size
        before, after = footprint(net, given.bytes), footprint(stored, nbytes)
        terminal.line()
        terminal.table(BEFORE_AND_AFTER, before_and_after(before, after), indent=4)
        terminal.line()
        for text in self.closing(found, target, given.bytes / nbytes):
            terminal.line(text)
        terminal.result(
            {
                "command": "compress",
                "input": {"files": given.files, **before.as_dict()},
                "output": {"file": target, **after.as_dict()},
                "written": not self.dry,
                "lossless": self.lossless,
                "verified": True,
                "comparison": None if found is None else found.as_dict(),
                "report": [note_dict(note) for note in stored.report],
            }
        )
        return 0

    def keep(self, terminal: Terminal, given: Source, net: Net, path: Path) -> tuple[Net, None]:
        """Lossless: what was stored, once every byte of it has been compared."""
        prototxt, caffemodel = given.files
        threads = worker_threads(self.threads)
        originals.store(prototxt, caffemodel, path, threads=threads)
        terminal.step("stored", f"{self.output} · {size(path.stat().st_size)} · every bit kept")
        originals.check(path, prototxt, caffemodel, threads=threads)
        terminal.step("verified", "read again: prototxt and caffemodel are the same, byte for byte")
        return net, None

    def shrink(self, terminal: Terminal, given: Source, net: Net, path: Path) -> tuple[Net, Comparison]:
        """Lossy: what was stored, read again, and how it compares."""
        quality = plan.QUALITY if self.quality is None else self.quality
        with terminal.progress("quantise") as progress:
            planned = plan.compress(net, quality, threads=worker_threads(self.threads), progress=progress)
        files.save_container(planned, path)
        bits = 8 * path.stat().st_size / max(1, net.parameters)
        terminal.step("stored", f"{self.output} · {size(path.stat().st_size)} · {bits:.2f} bits per weight, all told")
        stored = files.load(path)
        if not identical(planned, stored):
            raise VerificationError(f"{self.output}: other weights were read than were written")
        del planned  # As large as the network: nothing needs it any more.
        shown = Shown(self.images, self.mean, self.scale)
        original = Subject(net, given.prototxt, given.caffemodel)
        found = compare(original, stored, images=shown, run=self.run, threads=self.threads or 0)
        terminal.step("read again", f"weights: {decibel(found.weight_snr)} signal to noise, in matrices and kernels")
        if found.skipped:
            terminal.note(outputs_in_words(found))
        else:
            terminal.step("compared", outputs_in_words(found))
            terminal.table(OUTPUTS, output_rows(found), indent=4)
        check_outputs(found, quality)
        return stored, found

    def closing(self, found: Comparison | None, target: Path, times: float) -> list[str]:
        """What it loads in (as far as that was tried), and how to get plain files."""
        tried = ", OpenCV 4 through demitasse.to_opencv()" if found is not None and found.outputs else ""
        expand = shlex.join(["demitasse", "expand", str(target), "-o", "out/"])
        lines = [f"Loads in: demitasse{tried}. `{expand}` gives plain Caffe files."]
        if self.dry:
            lines.append(f"Nothing was written: {target} would be {ratio(times, 1)} smaller.")
        return lines


def note_dict(note: Any) -> Mapping[str, Any]:
    """One line of a report for JSON."""
    return {"step": note.step, "layer": note.layer, "text": note.text, **note.data}
