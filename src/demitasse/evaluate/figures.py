"""The figures of an evaluation, of one network or of two on the same pictures, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.evaluate.average_precision import Metric, Tally, average_precisions, precision_and_recall
from demitasse.evaluate.bootstrap import Estimate, draws, paired, paired_shares
from demitasse.evaluate.classification import Answers

__all__ = ["Figure", "classification_figures", "detection_figures"]

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, a share of 1. ``second`` and ``difference`` (second less first) only where there are two networks."""

    name: str
    first: Estimate
    second: Estimate | None = None
    difference: Estimate | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        parts = {"first": self.first, "second": self.second, "difference": self.difference}
        return {"name": self.name, **{name: part and part.as_dict() for name, part in parts.items()}}


def classification_figures(first: Answers, second: Answers | None, *, number: int, seed: int) -> list[Figure]:
    """Top 1, and top 5 where there are more than five classes, from ``number`` draws."""
    return [
        Figure(f"top-{k}", *paired_shares(first.right(k), None if second is None else second.right(k), number, seed))
        for k in (1, 5)
        if k == 1 or first.classes > k
    ]


def detection_figures(
    first: Sequence[Tally],
    second: Sequence[Tally] | None,
    metric: Metric,
    *,
    score: float,
    number: int,
    seed: int,
) -> list[Figure]:
    """Mean average precision (at each overlap, for COCO), that of each class where there are several, and precision and
    recall of detections of at least that score."""
    weights = draws(len(first[0].truths), number, seed)
    several = len({each.label for each in first if each.truths.sum()}) > 1
    out = []
    for name, places in selections(first, metric, several):

        def mean(drawn: Weights | None, places: Sequence[int] = places) -> tuple[Floats, Floats | None]:
            return precision(first, places, metric, drawn), (
                None if second is None else precision(second, places, metric, drawn)
            )

        out.append(Figure(name, *paired(mean, weights)))
    plain = [i for i, each in enumerate(first) if each.overlap == first[0].overlap]
    for which, name in enumerate((f"precision at {score:g}", f"recall at {score:g}")):

        def share(drawn: Weights | None, which: int = which) -> tuple[Floats, Floats | None]:
            one = precision_and_recall([first[i] for i in plain], score, drawn)[which]
            two = None if second is None else precision_and_recall([second[i] for i in plain], score, drawn)[which]
            return one, two

        out.append(Figure(name, *paired(share, weights)))
    return out


def selections(tallies: Sequence[Tally], metric: Metric, several: bool) -> list[tuple[str, list[int]]]:
    """Names of average precisions, and of which tallies each is the mean."""
    found = [i for i, each in enumerate(tallies) if each.truths.sum()]
    mean = "mAP" if several else "AP"
    if metric == "coco":
        out = [(mean, found)]
        for least in (0.5, 0.75):
            out.append((f"{mean} at {least:g}", [i for i in found if tallies[i].overlap == least]))
    else:
        least = tallies[0].overlap
        out = [(f"{mean} at {least:g}", found)]
    if several:
        labels = dict.fromkeys(tallies[i].label for i in found)
        out += [(f"AP {label}", [i for i in found if tallies[i].label == label]) for label in labels]
    return out


def precision(tallies: Sequence[Tally], places: Sequence[int], metric: Metric, drawn: Weights | None) -> Floats:
    """Mean of some average precisions for each draw; classes of which nothing was drawn do not count."""
    if not places:
        return np.full(1 if drawn is None else len(drawn), np.nan)
    values = np.array([average_precisions(tallies[i], metric, drawn) for i in places])
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)
    return mean
