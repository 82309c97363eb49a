"""What ``evaluate`` judges: a network, or three that make up MTCNN's cascade, ready to be run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from demitasse.cli.given import Given
from demitasse.cli.terminal import Progress, Terminal
from demitasse.datasets.annotations import Annotations
from demitasse.errors import OptionError
from demitasse.evaluate.anchors import AnchorHead, Anchors, with_usual
from demitasse.evaluate.cascade import Cascade, CascadeHead, stage
from demitasse.evaluate.detection import detected, detected_by_cascade
from demitasse.evaluate.detections import Boxes
from demitasse.evaluate.detectors import Detector, detector_of
from demitasse.evaluate.head_file import Head
from demitasse.evaluate.models import Model, Subject
from demitasse.evaluate.preprocessing import Stated, remembered
from demitasse.evaluate.runtimes import Execution, Runtime
from demitasse.evaluate.sessions import Asked, Session, chosen, session

__all__ = ["Contender", "How", "contenders"]


@dataclass(frozen=True, slots=True)
class How:
    """How networks are run and what is made of their outputs, as the options say."""

    execution: Execution
    runtime: Asked
    stated: Stated
    head: Head | None


@dataclass(frozen=True, slots=True)
class Contender:
    """``prepared``: what is done to pictures, and who says so. A detector has ``detector`` or is a ``cascade``;
    everything but a cascade has a ``session``."""

    given: tuple[Given, ...]
    runtime: Runtime
    prepared: str
    prepared_from: str
    session: Session | None = None
    detector: Detector | None = None
    cascade: Cascade | None = None

    @property
    def detects(self) -> bool:
        """Whether it gives boxes."""
        return self.cascade is not None or self.detector is not None

    def boxes(self, truth: Annotations, progress: Progress) -> list[Boxes]:
        """What it finds in annotated pictures; nothing, if it is no detector."""
        if self.cascade is not None:
            return detected_by_cascade(self.cascade, truth, progress)
        if self.session is not None and self.detector is not None:
            return detected(self.session, truth, self.detector, progress)
        return []

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "files": [path for each in self.given for path in each.files],
            "runtime": self.runtime.name,
            "preprocessing": self.prepared,
            "preprocessing_from": self.prepared_from,
        }


def contenders(given: Sequence[Sequence[Given]], how: How, terminal: Terminal) -> list[Contender]:
    """One or two of them, loaded and announced. OptionError for options that mean nothing for such networks, NetError
    for networks that are not what they are taken for."""
    labels = ("first", "second")
    models = [[one.load(terminal, label) for one in each] for each, label in zip(given, labels, strict=False)]
    known = [remembered(one.net) for each in models for one in each if isinstance(one, Subject)]
    # What one of two networks remembers holds for the other, too: a caffemodel beside the .demi made from it.
    if not all(known):
        how = replace(how, stated=how.stated.over(next(filter(None, known), Stated())))
    return [
        of_three(files, each, how) if len(each) == 3 else alone(files, each[0], how)
        for files, each in zip(given, models, strict=True)
    ]


def alone(given: Sequence[Given], model: Model, how: How) -> Contender:
    """One network."""
    if isinstance(how.head, CascadeHead):
        raise OptionError("--head describes a cascade: give its three networks, each as DEPLOY MODEL")
    found = detector_of(model, how.head)
    stated, source = how.stated, ""
    if isinstance(found, Anchors):
        stated = with_usual(stated, model.net if isinstance(model, Subject) else None, found.head)
        source = "usual for such a head" if stated and not how.stated else ""
    own = session(model, stated, how.execution, how.runtime)
    prepare = own.prepare
    return Contender(tuple(given), own.runtime, str(prepare), source or prepare.source, own, found)


def of_three(given: Sequence[Given], models: Sequence[Model], how: How) -> Contender:
    """Three networks, in order."""
    if isinstance(how.head, AnchorHead):
        raise OptionError("--head describes anchors, and three networks are a cascade")
    if how.stated:
        raise OptionError("a cascade prepares pictures itself: --head FILE.yaml says how each network is shown them")
    head = how.head or CascadeHead()
    first, second, third = (stage(model) for model in models)
    runtime = chosen(models[0], how.execution, how.runtime)
    words = f"(pixel - 127.5) × 0.0078125, {', '.join(dict.fromkeys(head.seen))} first"
    source = "as given by option" if how.head is not None else "as MTCNN's authors do it"
    return Contender(tuple(given), runtime, words, source, cascade=Cascade((first, second, third), runtime, head))
