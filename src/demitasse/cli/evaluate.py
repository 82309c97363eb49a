"""``demitasse evaluate``: how often a network is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from demitasse.cli.contenders import Contender, How, contenders
from demitasse.cli.given import executing, one_or_cascade
from demitasse.cli.options import Real, debugging, device, json_output, model_argument, plugins, quiet, seed, threads
from demitasse.cli.showing import head, preparing
from demitasse.cli.terminal import Progress, Terminal
from demitasse.datasets.annotations import Annotations, read_annotations
from demitasse.datasets.labelled import form_of, labelled
from demitasse.errors import FileError, NetError, OptionError
from demitasse.evaluate.average_precision import METRICS, Metric, Tally, tallies
from demitasse.evaluate.classification import Answers, answers, classifier_output
from demitasse.evaluate.figures import Figure, classification_figures, detection_figures
from demitasse.evaluate.head_file import Head
from demitasse.evaluate.preprocessing import Stated
from demitasse.evaluate.sessions import RUNTIMES, Asked, Session
from demitasse.report.estimates import columns, conclusion, rows

__all__ = ["command"]

OVERLAP, SCORE, BATCH = 0.5, 0.5, 32


@click.command("evaluate")
@model_argument("DEPLOY MODEL | FILE.demi | DIR | FILE.onnx")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PATH",
    help="LMDB, LevelDB, idx, CIFAR batch, a folder for each class, a list of NAME LABEL; for detectors COCO's .json, "
    "a folder of VOC's .xml, WIDER FACE's .txt.",
)
@click.option("--root", type=click.Path(path_type=Path), metavar="DIR", help="Where the pictures of a list are.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="A second network, on the same pictures: a .demi, an .onnx, a folder; or twice, DEPLOY then MODEL.",
)
@click.option("--output", metavar="LAYER", help="Which output scores classes, if there are several.")
@click.option(
    "--classes", type=click.Path(path_type=Path), metavar="FILE", help="A detector's labels from 1 on, a line each."
)
@click.option("--metric", type=click.Choice(METRICS), help="Average precision (coco for COCO's .json, else voc).")
@click.option("--iou", type=Real(0, 1, min_open=True), metavar="IOU", help="Overlap that counts as found (0.5).")
@click.option("--score", type=Real(0, 1), metavar="S", help="Score from which precision and recall count (0.5).")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help=f"Pictures at a time, of classifiers ({BATCH}).")
@click.option("--bootstrap", type=click.IntRange(1), default=1000, show_default=True, metavar="N", help="Draws.")
@click.option(
    "--runtime", type=click.Choice(RUNTIMES), default="auto", show_default=True, help="What runs the networks."
)
@head
@preparing
@plugins
@json_output
@threads
@device
@seed
@quiet
@debugging
def command(**options: Any) -> int:
    """How often a network is right, on labelled pictures.

    Classifiers: top 1 and top 5. Detectors: average precision, and precision and recall at a score; MTCNN is given as
    its three networks, one after the other. Each figure with its 95 % interval; of two networks (--against) also the
    difference, drawn in pairs, which says whether there is a loss.
    """
    return Request(**options)()


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    model: tuple[Path, ...]
    data: Path
    root: Path | None
    against: tuple[Path, ...]
    output: str | None
    classes: Path | None
    metric: Metric | None
    iou: float | None
    score: float | None
    limit: int | None
    batch: int | None
    bootstrap: int
    runtime: Asked
    head: Head | None
    stated: Stated
    plugins: tuple[Path, ...]
    as_json: bool
    threads: int | None
    device: str
    seed: int
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        execution = executing(self.threads, self.device, self.seed, self.plugins)
        if self.runtime in ("opencv", "onnx") and (self.plugins or self.device != "cpu"):
            given_too = "--plugin" if self.plugins else "--device"
            raise OptionError(f"{given_too} is for our executor: it has no meaning with --runtime {self.runtime}")
        given = [one_or_cascade(paths) for paths in (self.model, self.against) if paths]
        if not self.data.exists():
            raise FileError(f"{self.data}: there is no such file or folder")
        terminal = Terminal(self.quiet, self.as_json)
        found = contenders(given, How(execution, self.runtime, self.stated, self.head), terminal)
        if len({each.detects for each in found}) > 1:
            raise OptionError("one network detects and the other classifies: there is nothing to compare")
        detects = found[0].detects
        self.refuse(detects)
        figures, about = (self.detection if detects else self.classification)(terminal, found)
        terminal.line()
        terminal.table(columns(len(found)), rows(figures), indent=4)
        terminal.line()
        if len(found) == 2:
            terminal.line(conclusion(figures[0]))
        terminal.result(
            {
                "command": "evaluate",
                "first": found[0].as_dict(),
                "second": found[1].as_dict() if len(found) == 2 else None,
                "data": self.data,
                **about,
                "bootstrap": self.bootstrap,
                "figures": [figure.as_dict() for figure in figures],
            }
        )
        return 0

    def refuse(self, detects: bool) -> None:
        """OptionError for an option that would do nothing."""
        for name in ("output", "batch") if detects else ("classes", "metric", "iou", "score", "head"):
            if getattr(self, name) is not None:
                kind = "detector" if detects else "classifier"
                raise OptionError(f"--{name} has no meaning for a {kind}, which this network is")
        if self.metric == "coco" and self.iou is not None:
            raise OptionError(
                "--iou has no meaning for COCO's average precision, which is over overlaps of 0.5 to 0.95"
            )

    def classification(self, terminal: Terminal, judged: Sequence[Contender]) -> tuple[list[Figure], Mapping[str, Any]]:
        """Top 1 and top 5."""
        sessions = [each.session for each in judged if each.session is not None]
        outputs = [classifier_output(each.model, self.output or "") for each in sessions]
        form = form_of(self.data)
        if self.root is not None and form != "list":
            raise OptionError(f"--root has no meaning for {self.data}, which has its pictures with it")
        found: list[Answers] = []
        for label, each, output in zip(("first", "second"), sessions, outputs, strict=False):
            with terminal.progress(label) as progress:
                found.append(self.answers(each, output, progress))
        first = found[0]
        second = found[1] if len(found) == 2 else None
        terminal.step("data", f"{self.data.name}: {len(first.labels)} pictures, {first.classes} classes")
        ran(terminal, judged)
        about: dict[str, Any] = {"pictures": len(first.labels), "classes": first.classes, "output": outputs}
        if second is not None:
            if first.classes != second.classes:
                raise NetError(f"one network tells {first.classes} classes apart, the other {second.classes}")
            about["same_answers"] = int((first.winners == second.winners).sum())
            terminal.step("agree", f"the same answer for {about['same_answers']} of {len(first.labels)} pictures")
        return classification_figures(first, second, number=self.bootstrap, seed=self.seed), about

    def answers(self, each: Session, output: str, progress: Progress) -> Answers:
        """One classifier on all pictures."""
        root = f"{self.root}/" if self.root is not None else ""
        examples = labelled(self.data, colour=each.shape[1] != 1, root=root)
        return answers(each, islice(examples, self.limit), output, batch=self.batch or BATCH, progress=progress)

    def detection(self, terminal: Terminal, judged: Sequence[Contender]) -> tuple[list[Figure], Mapping[str, Any]]:
        """Average precision, precision and recall."""
        truth = self.annotations()
        metric: Metric = self.metric or ("coco" if truth.form == "COCO" else "voc")
        if metric == "coco" and self.iou is not None:
            raise OptionError("--iou has no meaning for COCO's average precision: give --metric voc with it")
        found: list[list[Tally]] = []
        for label, each in zip(("first", "second"), judged, strict=False):
            with terminal.progress(label) as progress:
                boxes = each.boxes(truth, progress)
            found.append(tallies(truth, boxes, metric, self.iou or OVERLAP))
        terminal.step("data", f"{self.data.name}: {len(truth.pictures)} pictures, {truth.boxes} boxes ({truth.form})")
        ran(terminal, judged)
        score = SCORE if self.score is None else self.score
        second = found[1] if len(found) == 2 else None
        figures = detection_figures(found[0], second, metric, score=score, number=self.bootstrap, seed=self.seed)
        about = {"pictures": len(truth.pictures), "boxes": truth.boxes, "form": truth.form, "metric": metric}
        return figures, about

    def annotations(self) -> Annotations:
        """The truth."""
        names: list[str] = []
        if self.classes is not None:
            try:
                names = [line.strip() for line in self.classes.read_text().splitlines() if line.strip()]
            except (OSError, UnicodeDecodeError) as error:
                raise FileError(f"{self.classes}: {getattr(error, 'strerror', None) or 'not a text'}") from None
        found = read_annotations(self.data, self.root, names)
        unknown = {label for each in found.pictures for label in each.labels} - set(found.classes)
        if unknown:
            raise OptionError(f"{self.data}: boxes are labelled {min(unknown)!r}, which is none of the classes")
        if not found.boxes:
            raise OptionError(f"{self.data}: there is no box to be found")
        return Annotations(found.pictures[: self.limit], found.classes, found.form)


def ran(terminal: Terminal, judged: Sequence[Contender]) -> None:
    """What ran the networks, and how pictures were prepared."""
    for text in dict.fromkeys(f"{each.runtime.name}, {each.prepared}" for each in judged):
        terminal.step("ran", text)
    if judged[0].prepared_from == "default":
        terminal.note("nobody said how pictures are to be prepared: this is a guess, see --mean and --scale")
