"""What every command that transforms a network does around the transforms themselves.

Load, apply, write under a temporary name, read again, compare with what was given, and say what changed: the four
numbers, shapes before and after, and what was left alone for which reason. A command is its options and
``Request("fold", (Fold(),), **options)()``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from demitasse import files
from demitasse.cli.given import executing
from demitasse.cli.model import Source, check_output, mention_slips, source
from demitasse.cli.options import (
    debugging,
    dry_run,
    json_output,
    model_argument,
    no_run,
    output,
    plugins,
    quiet,
    threads,
    worker_threads,
)
from demitasse.cli.reporting import Side, check_report, report_folder, write_report
from demitasse.cli.result import result_files, write_and_read
from demitasse.cli.showing import showing
from demitasse.cli.staging import scratch, staged
from demitasse.cli.terminal import Terminal
from demitasse.cli.verdict import OUTPUTS, output_rows, outputs_in_words
from demitasse.errors import NetError, OptionError, VerificationError
from demitasse.evaluate.compare import Shown, Subject, compare_and_keep
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.preprocessing import remembering
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.trial import Trial
from demitasse.evaluate.weights import check_finite
from demitasse.net import Net, Note
from demitasse.plan import sensitivity
from demitasse.report.changes import LAYERS, TENSORS, Change, changes, layer_rows, listed, others, reshaped, tensor_rows
from demitasse.report.footprint import BEFORE_AND_AFTER, Footprint, before_and_after, footprint
from demitasse.report.quantities import count, size
from demitasse.runtime import have_torch
from demitasse.transforms.recipe import as_steps, name_of
from demitasse.transforms.transform import EXACT, Activations, Transform, is_altered, is_kept, supply

__all__ = ["Request", "transform_options"]

F = TypeVar("F", bound=Callable[..., Any])


def transform_options(command: F) -> F:
    """DEPLOY MODEL or FILE.demi, ``-o``, and the options that all transforming commands have."""
    for option in reversed(
        (
            model_argument("DEPLOY MODEL | FILE.demi | DIR"),
            output("Folder for plain Caffe files, or NAME.demi."),
            showing,
            plugins,
            report_folder,
            dry_run,
            no_run,
            json_output,
            threads,
            quiet,
            debugging,
        )
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Request:
    """A command's name, its transforms, and the options of `transform_options` by name."""

    command: str
    transforms: Sequence[Transform]
    model: tuple[Path, ...]
    output: str
    shown: Shown
    plugins: tuple[Path, ...]
    report: Path | None
    dry: bool
    run: bool
    as_json: bool
    threads: int | None
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        check_report(self.report)
        execution = executing(self.threads, "cpu", self.shown.seed, self.plugins)
        given = source(self.model)
        targets = result_files(self.output, given)
        check_output(targets, given)
        terminal = Terminal(self.quiet, self.as_json)
        net = remembering(files.load(*given.files), self.shown.stated)
        check_finite(net, given)
        terminal.step("read", f"{net.name or given} · {count(net.parameters)} parameters · {size(given.bytes)}")
        mention_slips(net, terminal)
        result = self.applied(net, terminal, execution)
        made = result.report[len(net.report) :]
        with (scratch if self.dry else staged)(targets) as paths:
            written = write_and_read(result, paths, self.output)
            nbytes = paths[-1].stat().st_size
            tolerance = self.tolerance(made)
            found, trial = self.compared(terminal, given, net, written, execution, tolerance)
        before, after = footprint(net, given.bytes), footprint(written.net, nbytes)
        changed = changes(net, written.net)
        self.show(terminal, (before, after), changed, made)
        for target in targets:
            terminal.step("would write" if self.dry else "wrote", str(target))
        facts: dict[str, Any] = {
            "command": self.command,
            "recipe": as_steps(self.transforms),
            "input": {"files": given.files, **before.as_dict()},
            "output": {"files": targets, **after.as_dict()},
            "written": not self.dry,
            "verified": not found.skipped,
            "tolerance": tolerance,
            "comparison": found.as_dict(),
            "layers": [change.as_dict() for change in changed],
            "report": [{"step": note.step, "layer": note.layer, "text": note.text, **note.data} for note in made],
        }
        if self.report is not None:
            demi = targets[0] if len(targets) == 1 and not self.dry else None
            sides = Side(net, given.bytes, given.demi), Side(written.net, nbytes, demi)
            threads = worker_threads(self.threads)
            write_report(self.report, facts, *sides, found, trial, self.shown, terminal, threads)
        terminal.result(facts)
        return 0

    def tolerance(self, notes: Sequence[Note]) -> float | None:
        """Relative error of the outputs that is allowed; None where they change by choice, or an option let them."""
        each = [transform.tolerance for transform in self.transforms]
        return None if None in each or any(map(is_altered, notes)) else sum(one for one in each if one is not None)

    def applied(self, net: Net, terminal: Terminal, execution: Execution) -> Net:
        """The network after all transforms; each is announced when it is done. An error says which step of a recipe of
        several it is of."""
        calibrate = partial(sensitivity, images=self.shown)
        given = {"threads": worker_threads(self.threads), "calibrate": calibrate, **self.activations(execution)}
        for number, transform in enumerate(self.transforms, 1):
            seen = len(net.report)
            try:
                net = supply(transform, **given)(net)
            except (NetError, OptionError, VerificationError) as error:
                if len(self.transforms) > 1:
                    error.args = (f"step {number} ({name_of(transform)}): {error}",)
                raise
            notes = [note for note in net.report[seen:] if not note.layer and not is_kept(note)]
            for note in notes:
                terminal.step(name_of(transform), note.text, aside=self.aside(transform))
        return net

    def aside(self, transform: Transform) -> str:
        """Whether it changes what the network computes."""
        return "exact" if transform.tolerance is not None and transform.tolerance <= EXACT else ""

    def activations(self, execution: Execution) -> Mapping[str, Activations | None]:
        """What blobs look like, and what they contribute to the outputs, on the pictures given; ``None`` without. And
        what they look like on generated pictures, where networks can be run."""
        from demitasse.evaluate.activations import contributions_on_pictures, on_pictures

        given = self.shown.folder is not None
        return {
            "activations": on_pictures(self.shown, execution) if given else None,
            "gradients": contributions_on_pictures(self.shown, execution) if given else None,
            "generated": on_pictures(self.shown, execution) if not given and have_torch() else None,
        }

    def compared(
        self,
        terminal: Terminal,
        given: Source,
        net: Net,
        written: Subject,
        execution: Execution,
        tolerance: float | None,
    ) -> tuple[Comparison, Trial | None]:
        """The original beside the result, and what both gave. VerificationError if more than rounding differs and only
        that should."""
        original = self.original(given, net)
        found, trial = compare_and_keep(original, written, self.shown if self.run else None, execution, strict=True)
        if found.skipped:
            terminal.note(
                f"{outputs_in_words(found)}; the weights were read again, and are what was meant to be written"
            )
            return found, trial
        worst, details = found.worst, {"command": self.command, "comparison": found.as_dict()}
        if found.missing:
            raise VerificationError(f"the result has no counterpart of {', '.join(found.missing)}", details)
        if tolerance is not None and worst is not None and not worst.relative <= tolerance:
            error = f"the relative error is {worst.relative:.1e}, and rounding explains {tolerance:.0e}"
            raise VerificationError(f"{worst.name}: {error}", details)
        terminal.step("compared", outputs_in_words(found))
        terminal.table(OUTPUTS, output_rows(found), indent=4)
        return found, trial

    def original(self, given: Source, net: Net) -> Subject:
        """What the result is compared with: what was given, or what a transform says can be run in its place."""
        for transform in self.transforms:
            if (reference := getattr(transform, "reference", None)) is not None:
                found: Net = reference(net)
                return Subject(net, given.prototxt, given.caffemodel) if found is net else Subject(found)
        return Subject(net, given.prototxt, given.caffemodel)

    def show(
        self,
        terminal: Terminal,
        numbers: tuple[Footprint, Footprint],
        changed: Sequence[Change],
        notes: Sequence[Note],
    ) -> None:
        """What changed and what did not."""
        shown = changed if self.dry else reshaped(changed)
        if any(one.before or one.after for one in shown):
            terminal.line()
            columns, rows = (TENSORS, tensor_rows(shown)) if self.dry else (LAYERS, layer_rows(shown))
            terminal.table(columns, rows, indent=4)
        if light := others(changed):
            terminal.note(f"layers: {light}")
        for text in reasons([note for note in notes if is_kept(note) or is_altered(note)]):
            terminal.note(text)
        terminal.line()
        terminal.table(BEFORE_AND_AFTER, before_and_after(*numbers), indent=4)
        terminal.line()


def reasons(notes: Sequence[Note]) -> list[str]:
    """Why things were left alone: layers with the same reason together."""
    layers: dict[str, list[str]] = {}
    for note in notes:
        layers.setdefault(note.text, []).append(note.layer)
    named = {text: list(dict.fromkeys(filter(None, names))) for text, names in layers.items()}
    return [f"{listed(names)}: {text}" if names else text for text, names in named.items()]
