"""``demitasse compress``: a network made small, to a target, in the form that is wanted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from demitasse import files, originals, plan
from demitasse.atomic import replacing
from demitasse.cli.forms import Written, check_form, onnx_file, output_files, write_form
from demitasse.cli.model import Source, check_output, form, mention_slips, source
from demitasse.cli.options import model_argument, output, verified_writing, worker_threads
from demitasse.cli.reporting import Side, check_report, report_folder, write_report
from demitasse.cli.showing import showing
from demitasse.cli.staging import scratch, staged
from demitasse.cli.targets import PLAN, Wanted, plan_rows, plan_steps, wanting
from demitasse.cli.terminal import Terminal
from demitasse.cli.verdict import OUTPUTS, check_outputs, output_rows, outputs_in_words
from demitasse.errors import OptionError, VerificationError
from demitasse.evaluate.compare import Shown, Subject
from demitasse.evaluate.preprocessing import remembering
from demitasse.evaluate.weights import check_finite
from demitasse.net import Net
from demitasse.plan import Plan
from demitasse.report.footprint import BEFORE_AND_AFTER, Footprint, before_and_after, footprint
from demitasse.report.quantities import count, decibel, ratio, size
from demitasse.transforms.half import Half
from demitasse.transforms.recipe import as_steps, dump_recipe

__all__ = ["command"]


@click.command("compress")
@model_argument("DEPLOY MODEL | FILE.demi | DIR")
@output("NAME.demi, a folder for plain Caffe files, or NAME.onnx.")
@wanting
@click.option(
    "--save-plan",
    type=click.Path(path_type=Path),
    metavar="FILE.yaml",
    help="Write the plan as a recipe: demitasse apply does the same again, as it is or edited.",
)
@click.option("--half", is_flag=True, help="Plain Caffe files and ONNX with weights as float16.")
@click.option("--lossless", is_flag=True, help="Keep every bit: expand gives the caffemodel back byte for byte.")
@showing
@report_folder
@verified_writing
def command(**options: Any) -> int:
    """Make a network small, verified.

    What the outputs do not depend on leaves; weights are quantised, no finer than the outputs need, and entropy coded.
    How far, the target says: --ratio, --target-size, --max-drop, --quality, and --speedup beside any of them. One that
    cannot be reached is refused with the best that can.

    The result is read again and compared with the original: weights, and outputs through OpenCV (our executor, where
    OpenCV cannot run it), on photographs (--images) or generated pictures. Until that is done it is called
    NAME.unverified, and it keeps that name if the outputs are far worse than was asked for. What is said about
    preparing pictures is remembered in the .demi. Sizes that are asked for are those of a .demi: in plain Caffe files
    and ONNX the same network takes more.
    """
    return Request(**options)()


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    model: tuple[Path, ...]
    output: str
    wanted: Wanted
    save_plan: Path | None
    half: bool
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
        self.check()
        given = source(self.model)
        if self.lossless and given.demi is not None:
            raise OptionError(f"{given} is a .demi already: --lossless takes DEPLOY MODEL")
        if self.lossless and form(self.output) != "demi":
            raise OptionError(f"{self.output}: --lossless writes one .demi: give -o {given.files[-1].stem}.demi")
        check_form(self.output, given, half=self.half, run=self.run)
        terminal = Terminal(self.quiet, self.as_json)
        net = remembering(files.load(*given.files), self.shown.stated)
        terminal.step("read", f"{net.name or given} · {count(net.parameters)} parameters · {size(given.bytes)}")
        mention_slips(net, terminal)
        if given.demi is not None and not originals.is_original(given.demi):
            terminal.note("a .demi is the original here: what it had lost already is not part of any figure below")
        return (self.keep if self.lossless else self.shrink)(terminal, given, net)

    def check(self) -> None:
        """OptionError for options that do not go together."""
        named = {"--save-plan": self.save_plan, "--images": self.shown.folder, "--half": self.half or None}
        meaningless = [*self.wanted.all_given, *(name for name, value in named.items() if value is not None)]
        if self.lossless and meaningless:
            raise OptionError(f"--lossless keeps every bit: {' and '.join(meaningless)} has no meaning with it")
        if self.wanted.max_drop is not None and not self.run:
            raise OptionError("--max-drop is measured by running the network: it does not go with --no-run")

    def keep(self, terminal: Terminal, given: Source, net: Net) -> int:
        """Lossless: stored, and every byte of it compared."""
        prototxt, caffemodel = given.files
        threads = worker_threads(self.threads)
        target = Path(self.output)
        before = footprint(net, given.bytes)
        with (scratch if self.dry else staged)([target]) as (path,):
            originals.store(prototxt, caffemodel, path, net.metadata, threads=threads)
            after = footprint(net, path.stat().st_size)
            terminal.step("stored", f"{self.output} · {size(after.file_bytes)} · every bit kept")
            originals.check(path, prototxt, caffemodel, threads=threads)
            terminal.step("verified", "read again: prototxt and caffemodel are the same, byte for byte")
            result = self.result(given, (before, after), [target], None, None)
            if self.report is not None:
                sides = Side(net, given.bytes, given.demi), Side(net, after.file_bytes, path)
                write_report(self.report, result, *sides, None, None, self.shown, terminal, threads)
        self.close(terminal, (before, after), [target], ("demitasse",))
        terminal.result(result)
        return 0

    def shrink(self, terminal: Terminal, given: Source, net: Net) -> int:
        """Lossy: planned, written, read again, compared."""
        check_finite(net, given)
        threads = worker_threads(self.threads)
        if self.save_plan is not None:
            check_output([self.save_plan], given)
        planned = self.planned(terminal, given, net, threads)
        targets = output_files(self.output, given, planned.net, half=self.half)
        check_output(targets, given)
        before = footprint(net, given.bytes)
        original = Subject(net, given.prototxt, given.caffemodel)
        with (scratch if self.dry else staged)(targets) as paths:
            smaller = Half()(planned.net) if self.half and onnx_file(self.output) is None else planned.net
            options = {"half": self.half, "threads": self.threads or 0}
            shown = self.shown if self.run else None
            done = write_form(smaller, planned.before, original, paths, self.output, shown, options)
            planned = planned.forgetting()  # As large as the network: nothing needs it any more.
            self.tell(terminal, net, done)
            after = footprint(done.net, done.nbytes)
            result = self.result(given, (before, after), targets, done, planned)
            if self.report is not None:
                demi = paths[0] if form_of(targets) == "demi" else None
                sides = Side(net, given.bytes, given.demi), Side(done.net, done.nbytes, demi)
                write_report(self.report, result, *sides, done.comparison, done.trial, self.shown, terminal, threads)
            self.verify(done, planned, result)
            if self.save_plan is not None:
                with replacing(self.save_plan) as file:
                    file.write(dump_recipe(planned.recipe).encode())
                terminal.step("plan", str(self.save_plan))
        self.close(terminal, (before, after), targets, done.loads)
        terminal.result(result)
        return 0

    def planned(self, terminal: Terminal, given: Source, net: Net, threads: int) -> Plan:
        """The plan, and what there is to say of it."""
        target, keep = self.wanted.target(given), self.wanted.keep_structure
        curve = self.report is not None
        with terminal.progress("quantise") as progress:
            found = plan.planned(
                net,
                target,
                shown=self.shown,
                keep_structure=keep,
                curve=curve,
                threads=threads,
                progress=progress,
            )
        for label, text, aside in plan_steps(found, len(net.report)):
            terminal.step(label, text, aside=aside)
        if self.dry:
            terminal.table(PLAN, plan_rows(found), indent=4)
        return found

    def tell(self, terminal: Terminal, net: Net, done: Written) -> None:
        """What was written, and how it compares."""
        bits = 8 * done.nbytes / max(1, net.parameters)
        terminal.step("stored", f"{self.output} · {size(done.nbytes)} · {bits:.2f} bits per weight, all told")
        found = done.comparison
        if found.weights:
            text = f"weights: {decibel(found.weight_snr)} signal to noise, in matrices and kernels"
            terminal.step("read again", text)
        if found.skipped:
            terminal.note(outputs_in_words(found))
        else:
            terminal.step("compared", outputs_in_words(found))
            terminal.table(OUTPUTS, output_rows(found), indent=4)

    def result(
        self,
        given: Source,
        numbers: tuple[Footprint, Footprint],
        targets: list[Path],
        done: Written | None,
        planned: Plan | None,
    ) -> dict[str, Any]:
        """Everything, for JSON."""
        before, after = numbers
        recipe = [] if planned is None else as_steps(planned.recipe)
        return {
            "command": "compress",
            "input": {"files": given.files, **before.as_dict()},
            "output": {"file": targets[0], "files": targets, **after.as_dict()},
            "written": not self.dry,
            "lossless": self.lossless,
            "verified": True,
            "loads_in": [] if done is None else done.loads,
            "comparison": None if done is None else done.comparison.as_dict(),
            "recipe": [*recipe, "half"] if self.half else recipe,
            "plan": None if planned is None else planned.as_dict(),
            "report": [] if planned is None else [note_dict(note) for note in planned.notes],
        }

    def verify(self, done: Written, planned: Plan, result: Mapping[str, Any]) -> None:
        """VerificationError with everything that was found, if the outputs are too far off."""
        try:
            check_outputs(done.comparison, self.wanted.asked, planned.expected)
        except VerificationError as error:
            raise VerificationError(str(error), {**result, "verified": False}) from None

    def close(
        self, terminal: Terminal, numbers: tuple[Footprint, Footprint], targets: list[Path], loads: tuple[str, ...]
    ) -> None:
        """The four numbers, what it loads in (as far as that was tried), and how to get plain files."""
        before, after = numbers
        terminal.line()
        terminal.table(BEFORE_AND_AFTER, before_and_after(before, after), indent=4)
        terminal.line()
        expand = shlex.join(["demitasse", "expand", str(targets[0]), "-o", "out/"])
        plain = f" `{expand}` gives plain Caffe files." if form_of(targets) == "demi" else ""
        terminal.line(f"Loads in: {', '.join(loads) or 'not tried'}.{plain}")
        if self.dry:
            times = ratio(before.file_bytes / after.file_bytes, 1)
            terminal.line(f"Nothing was written: {targets[0]} would be {times or 'no'} smaller.")


def form_of(targets: list[Path]) -> str:
    """What was written, by its name: "demi", "onnx" or "prototxt"."""
    return targets[0].suffix.lower().removeprefix(".")


def note_dict(note: Any) -> Mapping[str, Any]:
    """One line of a report for JSON."""
    return {"step": note.step, "layer": note.layer, "text": note.text, **note.data}
