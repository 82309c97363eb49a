"""What a smaller network loses on pictures, without labels: where it decides otherwise than the original does.

Of a detector: boxes that are not found again at an overlap of 0.5, and boxes that are new, over the boxes of the
original. Of a classifier: pictures (or pixels) in which another class wins. Of everything else, and where there is no
box to be found: the relative error of the outputs. Every other picture is held out: a search looks at the rest only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from demitasse.errors import NetError
from demitasse.evaluate.models import Subject, counterparts
from demitasse.evaluate.outputs import OutputError
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.trial import Trial, translated, trial
from demitasse.net import Net

__all__ = ["GENERATED", "Judge", "Loss"]

GENERATED = 16
"""Pictures that are generated where none are given."""


@dataclass(frozen=True, slots=True)
class Loss:
    """``share``: what is lost. ``of``: "boxes", "classes" or "outputs"; ``lost`` and ``whole``: how many decisions
    differ, and how many there are (0 for outputs)."""

    share: float
    of: str
    lost: int = 0
    whole: int = 0

    @classmethod
    def by(cls, errors: Sequence[OutputError]) -> Loss:
        """The worst of some outputs, by the decisions that are made from them where there are any."""
        boxes = [error.boxes for error in errors if error.boxes is not None and error.boxes.expected]
        if boxes:
            both = [(one.expected - one.at_50 + one.found - one.at_50, one.expected) for one in boxes]
            return max((cls(lost / whole, "boxes", lost, whole) for lost, whole in both), key=lambda one: one.share)
        classes = [(error.decisions - error.top1, error.decisions) for error in errors if error.kind == "classes"]
        if classes := [(lost, whole) for lost, whole in classes if whole]:
            found = [cls(lost / whole, "classes", lost, whole) for lost, whole in classes]
            return max(found, key=lambda one: one.share)
        return cls(max((error.relative for error in errors if error.kind == "values"), default=0.0), "outputs")

    def __str__(self) -> str:
        if self.of == "outputs":
            return f"a relative error of {100 * self.share:.2g} % at the outputs"
        what = "boxes lost or new" if self.of == "boxes" else "decisions differ"
        return f"{self.lost} of {self.whole} {what} ({100 * self.share:.2g} %)"

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Judge:
    """The original, run once on all pictures."""

    original: Subject
    ran: Trial

    @classmethod
    def of(cls, net: Net, shown: Shown, threads: int = 0) -> Judge:
        """On these pictures, or on generated ones. NetError if nothing runs the network, or there is one picture only:
        none could be held out."""
        pictures = shown if shown.folder is not None else replace(shown, count=GENERATED)
        original = Subject(net)
        ran = trial(original, original, pictures, Execution(threads), strict=False)
        if len(ran.fed.feeds) < 2:
            raise NetError(f"{ran.fed.words}: a drop is judged by pictures that are held out, so it takes two or more")
        return cls(original, ran)

    def losses(self, net: Net) -> tuple[Loss, Loss]:
        """On the pictures to search with, and on those held out. NetError if it cannot be run."""
        seen, held = self.errors(net)
        return Loss.by(seen), Loss.by(held)

    def error(self, net: Net) -> float:
        """Relative error of the outputs on the pictures to search with, the mean of squares over the outputs."""
        squares = [one.relative**2 for one in self.errors(net)[0] if one.kind == "values"]
        return float((sum(squares) / len(squares)) ** 0.5) if squares else 0.0

    def errors(self, net: Net) -> tuple[Sequence[OutputError], Sequence[OutputError]]:
        """Every output, on both parts of the pictures."""
        names = counterparts(self.original, candidate := Subject(net))
        wanted = [names[name] for name in self.ran.expected[0] if name in names]
        found = translated(self.ran.runtimes[1].run(candidate, self.ran.fed.feeds, wanted), names)
        first, second = (
            replace(self.ran, fed=replace(self.ran.fed, feeds=self.ran.fed.feeds[part])).errors(
                self.ran.expected[part], found[part]
            )
            for part in (slice(0, None, 2), slice(1, None, 2))
        )
        return first, second
