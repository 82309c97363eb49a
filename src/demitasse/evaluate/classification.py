"""How often a classifier is right: the rank of each picture's true class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from demitasse.datasets.datum import Datum
from demitasse.datasets.pictures import Picture
from demitasse.errors import NetError, OptionError
from demitasse.evaluate.models import Model, OnnxFile
from demitasse.evaluate.probes import probes
from demitasse.evaluate.sessions import Session

__all__ = ["Answers", "answers", "classifier_output", "picture_of"]

Progress = Callable[[int, int], None]

TOGETHER = 1 << 25
"""Numbers of inputs that are made before they are run: a program in a process of its own is started for each such
portion."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """For each picture: its label, the class that wins, and how many classes do not score less than the true one
    (0: it wins; ties count against it, as in Caffe's Accuracy). ``classes``: that the network tells apart."""

    labels: npt.NDArray[np.int64]
    winners: npt.NDArray[np.int64]
    ranks: npt.NDArray[np.int64]
    classes: int

    def right(self, k: int) -> npt.NDArray[np.bool_]:
        """Whether the true class is among the k best."""
        return self.ranks < k


def answers(
    session: Session, examples: Iterable[Datum], output: str, *, batch: int = 32, progress: Progress | None = None
) -> Answers:
    """Run all examples. NetError if what comes out is not a score for each class, OptionError for a label that is none
    of them."""
    labels: list[int] = []
    winners: list[npt.NDArray[np.int64]] = []
    ranks: list[npt.NDArray[np.int64]] = []
    classes = 0
    size = int(np.prod(session.shape[1:]))
    walk = iter(examples)
    while portion := list(islice(walk, max(batch, TOGETHER // size))):
        for scores, mine in scored(session, portion, output, batch):
            classes = scores.shape[1]
            if len(wrong := mine[(mine < 0) | (mine >= classes)]):
                raise OptionError(f"a picture is labelled {wrong[0]}, and {output} tells {classes} classes apart")
            true = scores[np.arange(len(mine)), mine]
            labels += mine.tolist()
            winners.append(scores.argmax(axis=1))
            ranks.append((scores >= true[:, None]).sum(axis=1) - 1)
        if progress is not None:
            progress(len(labels), 0)
    if not labels:
        raise OptionError("there is no picture to evaluate on")
    return Answers(np.array(labels), np.concatenate(winners), np.concatenate(ranks), classes)


def scored(
    session: Session, portion: Sequence[Datum], output: str, batch: int
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """Scores, ``(pictures, classes)``, and labels, a batch at a time; batches of one where the network needs them."""
    pictures = [picture_of(example) for example in portion]
    labels = np.array([example.label for example in portion])
    for number in dict.fromkeys((batch, session.model.inputs[session.input][0], 1)):
        starts = range(0, len(pictures), number)
        try:
            given = session.run([session.feed(pictures[i : i + number]) for i in starts], [output])
        except NetError:
            if number == 1:
                raise
            continue
        found = [result.get(output) for result in given]
        if any(
            scores is None or len(scores) != len(labels[i : i + number])
            for i, scores in zip(starts, found, strict=True)
        ):
            if number == 1:
                raise NetError(f"the network has no layer {output} that gives a row for each picture")
            continue
        for i, scores in zip(starts, found, strict=True):
            if scores is not None:
                yield rows(scores, output), labels[i : i + number]
        return


def rows(scores: npt.NDArray[np.float32], output: str) -> npt.NDArray[np.float32]:
    """``(pictures, classes)``. NetError for more than one place in a picture, or numbers that are none."""
    flat = scores.reshape(len(scores), -1)
    if scores.ndim < 2 or flat.shape[1] < 2 or flat.shape[1] != scores.shape[1]:
        shape = "×".join(map(str, scores.shape))
        raise NetError(f"{output} gives {shape}: a classifier gives one score for each class; name its output")
    if not np.isfinite(flat).all():
        raise NetError(f"{output} gives scores that are not finite numbers")
    return flat


def picture_of(example: Datum) -> Picture:
    """Rows × columns × channels."""
    values = example.picture()
    picture: Picture = np.moveaxis(values[:3], 0, 2)
    return np.ascontiguousarray(picture)


def classifier_output(model: Model, named: str = "") -> str:
    """The layer that scores classes: the one named, or the only output. OptionError if that is not to be told."""
    if isinstance(model, OnnxFile):
        names = list(model.signature.outputs)
        known = set(model.signature.values)
    else:
        places = probes(model.graph.layers)
        # Logits rank classes as probabilities do, and do not round to ties.
        names = [place.layer for place in places if place.kind == "values"]
        known = {layer.name for layer in model.graph.layers}
    if named:
        if named not in known:
            raise OptionError(f"--output {named}: the network has no such layer; its outputs are {', '.join(names)}")
        return named
    if len(names) != 1:
        what = ", ".join(names) or "none"
        raise OptionError(f"which output scores classes? The network gives {what}: name one with --output")
    return names[0]
