"""Average precision of detections: VOC 2007's with eleven points, VOC's area under the whole curve, and COCO's.

What is found in one picture does not depend on the others, so pictures are matched once, and every figure is made from
sums over pictures: the bootstrap draws pictures, not boxes, and needs no second matching. COCO's matching is that of
pycocotools; VOC's, for which there is no kept package, is ours (Everingham et al., 2010, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from demitasse.datasets.annotations import Annotations
from demitasse.errors import MissingExtraError, NetError
from demitasse.evaluate.detections import Boxes, overlap

__all__ = ["METRICS", "Metric", "Tally", "average_precisions", "precision_and_recall", "tallies"]

Metric = Literal["voc07", "voc", "coco"]

METRICS: tuple[Metric, ...] = ("voc07", "voc", "coco")

COCO_OVERLAPS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))

POINTS = {"voc07": np.linspace(0, 1, 11), "coco": np.linspace(0, 1, 101)}
"""Recalls at which precision is read."""

Floats = npt.NDArray[np.float64]


TOGETHER = 1 << 22
"""Numbers of one step of the bootstrap."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """One class at one overlap. ``pictures``, ``scores``, ``hits``: of each detection that counts, best first;
    ``truths``: boxes that should be found, for each picture."""

    label: str
    overlap: float
    pictures: npt.NDArray[np.int64]
    scores: Floats
    hits: npt.NDArray[np.bool_]
    truths: npt.NDArray[np.int64]


Found = Sequence[Boxes]
"""For each picture rows of (label from 1 on, score, corners in pixels)."""


def tallies(annotations: Annotations, found: Found, metric: Metric, least: float = 0.5) -> list[Tally]:
    """Detections matched with the truth, for each class; for COCO at its ten overlaps, else at ``least``.

    MissingExtraError for COCO without pycocotools.
    """
    if metric == "coco":
        return coco_tallies(annotations, found)
    return [
        voc_tally(annotations, found, number, label, least) for number, label in enumerate(annotations.classes, start=1)
    ]


def voc_tally(annotations: Annotations, found: Found, number: int, label: str, least: float) -> Tally:
    """VOC's matching: the best detection takes the box that it overlaps most; whoever comes later is a false alarm."""
    pictures: list[int] = []
    scores: list[float] = []
    hits: list[bool] = []
    truths = np.zeros(len(annotations.pictures), np.int64)
    for i, (truth, boxes) in enumerate(zip(annotations.pictures, found, strict=True)):
        mine = np.array([name == label for name in truth.labels], np.bool_)
        ignored = truth.ignored[mine]
        truths[i] = int((~ignored).sum())
        given = boxes[boxes[:, 0] == number]
        given = given[np.argsort(-given[:, 1], kind="stable")]
        shares = overlap(given, rows_of(truth.corners[mine]))
        taken = np.zeros(len(ignored), np.bool_)
        for row, box in enumerate(given):
            best = int(shares[row].argmax()) if len(ignored) else -1
            hit = best >= 0 and bool(shares[row, best] >= least)
            if hit and ignored[best]:
                continue
            pictures.append(i)
            scores.append(float(box[1]))
            hits.append(hit and not taken[best])
            if hit:
                taken[best] = True
    return tally(label, least, pictures, scores, hits, truths)


def tally(
    label: str, least: float, pictures: Sequence[int], scores: Sequence[float], hits: Sequence[Any], truths: Any
) -> Tally:
    """With detections in the order of their scores."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    return Tally(
        label,
        least,
        np.asarray(pictures, np.int64)[order],
        np.asarray(scores, np.float64)[order],
        np.asarray(hits, np.bool_)[order],
        np.asarray(truths, np.int64),
    )


def rows_of(corners: Floats) -> Boxes:
    """Corners as rows that `overlap` takes."""
    return np.hstack([np.zeros((len(corners), 2)), corners]).astype(np.float32)


def coco_tallies(annotations: Annotations, found: Found) -> list[Tally]:
    """pycocotools' matching, over all areas and a hundred detections a picture."""
    evaluated = coco_evaluation(annotations, found)
    images: dict[int, list[Any]] = {number: [] for number in range(1, len(annotations.classes) + 1)}
    for each in evaluated.evalImgs:
        if each is not None and each["aRng"] == evaluated.params.areaRng[0]:
            images[each["category_id"]].append(each)
    out = []
    for number, label in enumerate(annotations.classes, start=1):
        for t, least in enumerate(COCO_OVERLAPS):
            pictures: list[int] = []
            scores: list[float] = []
            hits: list[bool] = []
            truths = np.zeros(len(annotations.pictures), np.int64)
            for each in images[number]:
                truths[each["image_id"]] = int((~each["gtIgnore"].astype(bool)).sum())
                counts = ~each["dtIgnore"][t].astype(bool)
                scores += list(np.asarray(each["dtScores"])[counts])
                hits += list(each["dtMatches"][t][counts] > 0)
                pictures += [each["image_id"]] * int(counts.sum())
            out.append(tally(label, least, pictures, scores, hits, truths))
    return out


def coco_evaluation(annotations: Annotations, found: Found) -> Any:
    """A COCOeval that has matched everything."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise MissingExtraError("pycocotools", "detection", "COCO's average precision") from None
    from contextlib import redirect_stdout
    from io import StringIO

    names = {label: number for number, label in enumerate(annotations.classes, start=1)}
    unknown = {label for each in annotations.pictures for label in each.labels} - set(names)
    if unknown:
        raise NetError(f"boxes are labelled {sorted(unknown)[0]!r}, which is none of the classes")
    truths = [
        entry(i, names[label], corners) | {"iscrowd": int(ignored), "ignore": int(ignored)}
        for i, each in enumerate(annotations.pictures)
        for label, corners, ignored in zip(each.labels, each.corners, each.ignored, strict=True)
    ]
    results = [
        entry(i, int(row[0]), row[2:].astype(np.float64)) | {"score": float(row[1])}
        for i, boxes in enumerate(found)
        for row in boxes
        if 1 <= row[0] <= len(names)
    ]
    with redirect_stdout(StringIO()):  # it reports its progress there
        truth, given = COCO(), COCO()
        for data, rows in ((truth, truths), (given, results)):
            data.dataset = {
                "images": [{"id": i} for i in range(len(annotations.pictures))],
                "categories": [{"id": number} for number in names.values()],
                "annotations": [row | {"id": k} for k, row in enumerate(rows, start=1)],
            }
            data.createIndex()
        evaluated = COCOeval(truth, given, "bbox")
        evaluated.params.areaRng, evaluated.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluated.evaluate()
    return evaluated


def entry(picture: int, category: int, corners: Floats) -> dict[str, Any]:
    """A box as COCO writes it."""
    left, top, right, bottom = (float(value) for value in corners)
    box = [left, top, right - left, bottom - top]
    return {"image_id": picture, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}


def average_precisions(tally: Tally, metric: Metric, weights: npt.NDArray[np.int64] | None = None) -> Floats:
    """Average precision of one class, once for each row of ``weights``: how often each picture counts, ``(draws,
    pictures)``; ``None``: once. NaN where there is nothing to be found."""
    if weights is None:
        weights = np.ones((1, len(tally.truths)), np.int64)
    together = max(1, TOGETHER // max(1, len(tally.pictures)))
    if len(weights) > together:
        parts = [weights[i : i + together] for i in range(0, len(weights), together)]
        return np.concatenate([average_precisions(tally, metric, part) for part in parts])
    truths = (weights @ tally.truths).astype(np.float64)
    each = weights[:, tally.pictures].astype(np.float64)
    right = np.cumsum(each * tally.hits, axis=1)
    given = np.cumsum(each, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / truths[:, None]
        precision = np.where(given > 0, right / given, 0.0)
    # Precision at a recall is the best at that recall or beyond.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    if metric == "voc":
        steps = np.diff(recall, axis=1, prepend=0.0)
        values: Floats = (steps * precision).sum(axis=1)
    else:
        values = np.array([read_at(POINTS[metric], r, p) for r, p in zip(recall, precision, strict=True)])
    return np.where(truths > 0, values, np.nan)


def read_at(points: Floats, recall: Floats, precision: Floats) -> float:
    """Mean precision at some recalls; 0 beyond the last."""
    # Eleven points of a fraction like 3/10 must be reached by 3 of 10: both sides are rounded alike.
    at = np.searchsorted(np.round(recall, 12), np.round(points, 12), side="left")
    padded = np.append(precision, 0.0)
    return float(padded[np.minimum(at, len(precision))].mean())


def precision_and_recall(
    tallies: Sequence[Tally], score: float, weights: npt.NDArray[np.int64] | None = None
) -> tuple[Floats, Floats]:
    """Precision and recall of all classes together, of detections of at least that score; once for each row of
    ``weights``. NaN where nothing is given, or nothing is to be found."""
    if weights is None:
        weights = np.ones((1, len(tallies[0].truths)), np.int64)
    given = right = truths = np.zeros(len(weights))
    for each in tallies:
        sure = each.scores >= score
        given = given + weights[:, each.pictures[sure]].sum(axis=1)
        right = right + (weights[:, each.pictures[sure]] * each.hits[sure]).sum(axis=1)
        truths = truths + weights @ each.truths
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / given, right / truths
