"""``demitasse compress``: a network as one small .demi."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from demitasse import files, originals, plan
from demitasse.atomic import replacing
from demitasse.cli.model import Source, check_output, form, mention_slips, source
from demitasse.cli.options import model_argument, output, verified_writing, worker_threads
from demitasse.cli.reporting import Side, check_report, report_folder, write_report
from demitasse.cli.showing import showing
from demitasse.cli.staging import scratch, staged
from demitasse.cli.targets import PLAN, Wanted, plan_rows, wanting
from demitasse.cli.terminal import Terminal
from demitasse.cli.verdict import OUTPUTS, check_outputs, output_rows, outputs_in_words
from demitasse.errors import OptionError, VerificationError
from demitasse.evaluate.compare import Shown, Subject, compare_and_keep
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.preprocessing import remembering
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.trial import Trial
from demitasse.evaluate.weights import check_finite, identical
from demitasse.net import Net
from demitasse.plan import Plan
from demitasse.report.footprint import BEFORE_AND_AFTER, Footprint, before_and_after, footprint
from demitasse.report.quantities import count, decibel, ratio, size
from demitasse.transforms.recipe import as_steps, dump_recipe

__all__ = ["command"]


@click.command("compress")
@model_argument("DEPLOY MODEL | FILE.demi | DIR")
@output("Name of the .demi to write.")
@wanting
@click.option(
    "--save-plan",
    type=click.Path(path_type=Path),
    metavar="FILE.yaml",
    help="Write the plan as a recipe: demitasse apply does the same again, as it is or edited.",
)
@click.option("--lossless", is_flag=True, help="Keep every bit: expand gives the caffemodel back byte for byte.")
@showing
@report_folder
@verified_writing
def command(**options: Any) -> int:
    """Store a network as one small .demi, verified.

    Weights are quantised, no finer than the outputs need, and entropy coded. The .demi is then read again and compared
    with the original: weights, and outputs through OpenCV (our executor, where OpenCV cannot run it), on photographs
    (--images) or generated pictures. Until that is done it is called NAME.unverified, and it keeps that name if the
    outputs are far worse than was asked for. What is said about preparing pictures is remembered in the .demi.
    """
    return Request(**options)()


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    model: tuple[Path, ...]
    output: str
    wanted: Wanted
    save_plan: Path | None
    lossless: bool
    shown: Shown
    report: Path | None
    dry: bool
    run: bool
    as_json: bool
    threads: int | None
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        check_report(self.report)
        meaningless = [*self.wanted.given, *(["--images"] if self.shown.folder is not None else [])]
        meaningless += ["--save-plan"] if self.save_plan is not None else []
        if self.wanted.max_drop is not None and not self.run:
            raise OptionError("--max-drop is measured by running the network: it does not go with --no-run")
        if self.lossless and meaningless:
            raise OptionError(f"--lossless keeps every bit: {' and '.join(meaningless)} has no meaning with it")
        given = source(self.model)
        if self.lossless and given.demi is not None:
            raise OptionError(f"{given} is a .demi already: --lossless takes DEPLOY MODEL")
        if form(self.output) != "demi":
            raise OptionError(f"{self.output}: compress writes one .demi: give -o {given.files[-1].stem}.demi")
        target = Path(self.output)
        check_output([target], given)
        terminal = Terminal(self.quiet, self.as_json)
        net = remembering(files.load(*given.files), self.shown.stated)
        terminal.step("read", f"{net.name or given} · {count(net.parameters)} parameters · {size(given.bytes)}")
        mention_slips(net, terminal)
        if given.demi is not None and not originals.is_original(given.demi):
            terminal.note("a .demi is the original here: what it had lost already is not part of any figure below")
        before = footprint(net, given.bytes)
        with (scratch if self.dry else staged)([target]) as (path,):
            work = self.keep if self.lossless else self.shrink
            stored, found, trial, planned = work(terminal, given, net, path)
            nbytes = path.stat().st_size
            after = footprint(stored, nbytes)
            result = self.result(given, before, after, found, planned)
            if self.report is not None:
                sides = Side(net, given.bytes, given.demi), Side(stored, nbytes, path)
                threads = worker_threads(self.threads)
                write_report(self.report, result, *sides, found, trial, self.shown, terminal, threads)
            if found is not None and planned is not None:
                self.check(found, planned, result)
        terminal.line()
        terminal.table(BEFORE_AND_AFTER, before_and_after(before, after), indent=4)
        terminal.line()
        for text in self.closing(found, target, given.bytes / nbytes):
            terminal.line(text)
        terminal.result(result)
        return 0

    def result(
        self, given: Source, before: Footprint, after: Footprint, found: Comparison | None, planned: Plan | None
    ) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "command": "compress",
            "input": {"files": given.files, **before.as_dict()},
            "output": {"file": Path(self.output), **after.as_dict()},
            "written": not self.dry,
            "lossless": self.lossless,
            "verified": True,
            "comparison": None if found is None else found.as_dict(),
            "recipe": None if planned is None else as_steps(planned.recipe),
            "plan": None if planned is None else planned.as_dict(),
            "report": [] if planned is None else [note_dict(note) for note in planned.notes],
        }

    def check(self, found: Comparison, planned: Plan, result: Mapping[str, Any]) -> None:
        """VerificationError with everything that was found, if the outputs are too far off."""
        try:
            check_outputs(found, self.wanted.asked, planned.chosen.expected)
        except VerificationError as error:
            raise VerificationError(str(error), {**result, "verified": False}) from None

    def keep(self, terminal: Terminal, given: Source, net: Net, path: Path) -> tuple[Net, None, None, None]:
        """Lossless: what was stored, once every byte of it has been compared."""
        prototxt, caffemodel = given.files
        threads = worker_threads(self.threads)
        originals.store(prototxt, caffemodel, path, net.metadata, threads=threads)
        terminal.step("stored", f"{self.output} · {size(path.stat().st_size)} · every bit kept")
        originals.check(path, prototxt, caffemodel, threads=threads)
        terminal.step("verified", "read again: prototxt and caffemodel are the same, byte for byte")
        return net, None, None, None

    def shrink(
        self, terminal: Terminal, given: Source, net: Net, path: Path
    ) -> tuple[Net, Comparison, Trial | None, Plan]:
        """Lossy: what was stored, read again, how it compares, what came out, and the plan."""
        check_finite(net, given)
        target = self.wanted.target(given)
        with terminal.progress("quantise") as progress:
            threads = worker_threads(self.threads)
            planned = plan.planned(net, target, shown=self.shown, threads=threads, progress=progress)
        if self.dry:
            terminal.table(PLAN, plan_rows(planned), indent=4)
        files.save_container(planned.net, path)
        if planned.loss is not None:
            terminal.step("held out", f"{planned.loss}, on pictures that the search did not look at")
        bits = 8 * path.stat().st_size / max(1, net.parameters)
        terminal.step("stored", f"{self.output} · {size(path.stat().st_size)} · {bits:.2f} bits per weight, all told")
        stored = files.load(path)
        if not identical(planned.net, stored):
            raise VerificationError(f"{self.output}: other weights were read than were written")
        planned = planned.forgetting()  # As large as the network: nothing needs it any more.
        if self.save_plan is not None:
            with replacing(self.save_plan) as file:
                file.write(dump_recipe(planned.recipe).encode())
            terminal.step("plan", str(self.save_plan))
        original = Subject(net, given.prototxt, given.caffemodel)
        shown, execution = self.shown if self.run else None, Execution(self.threads or 0)
        found, trial = compare_and_keep(original, Subject(stored), shown, execution, strict=True)
        terminal.step("read again", f"weights: {decibel(found.weight_snr)} signal to noise, in matrices and kernels")
        if found.skipped:
            terminal.note(outputs_in_words(found))
        else:
            terminal.step("compared", outputs_in_words(found))
            terminal.table(OUTPUTS, output_rows(found), indent=4)
        return stored, found, trial, planned

    def closing(self, found: Comparison | None, target: Path, times: float) -> list[str]:
        """What it loads in (as far as that was tried), and how to get plain files."""
        opencv = found is not None and found.runtime.startswith("OpenCV")
        tried = ", OpenCV 4 through demitasse.to_opencv()" if opencv else ""
        expand = shlex.join(["demitasse", "expand", str(target), "-o", "out/"])
        lines = [f"Loads in: demitasse{tried}. `{expand}` gives plain Caffe files."]
        if self.dry:
            lines.append(f"Nothing was written: {target} would be {ratio(times, 1)} smaller.")
        return lines


def note_dict(note: Any) -> Mapping[str, Any]:
    """One line of a report for JSON."""
    return {"step": note.step, "layer": note.layer, "text": note.text, **note.data}
