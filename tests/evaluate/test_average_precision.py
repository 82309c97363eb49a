"""Average precision on cases worked out by hand, and COCO's against pycocotools' own summary."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demitasse.datasets.annotations import Annotated, Annotations
from demitasse.evaluate.average_precision import (
    Tally,
    average_precisions,
    coco_evaluation,
    precision_and_recall,
    tallies,
)

BOX = (10.0, 10.0, 30.0, 30.0)
ELSEWHERE = (50.0, 50.0, 80.0, 80.0)


def truth(*pictures: list[tuple[float, ...]], ignored: bool = False) -> Annotations:
    found = tuple(
        Annotated(Path(f"{i}.jpg"), np.array(boxes, float).reshape(-1, 4), ("x",) * len(boxes),
                  np.full(len(boxes), ignored))
        for i, boxes in enumerate(pictures)
    )  # fmt: skip
    return Annotations(found, ("x",), "VOC")


def boxes(*rows: tuple[float, tuple[float, ...]]) -> np.ndarray:
    return np.array([(1, score, *corners) for score, corners in rows], np.float32).reshape(-1, 6)


def ranked(hits: list[bool], truths: int) -> Tally:
    number = len(hits)
    scores = np.linspace(1, 0.1, number) if number else np.empty(0)
    return Tally("x", 0.5, np.zeros(number, int), scores, np.array(hits, bool), np.array([truths]))


@pytest.mark.parametrize(
    ("hits", "truths", "voc", "voc07"),
    [
        ([True], 1, 1.0, 1.0),
        ([], 1, 0.0, 0.0),
        ([False], 1, 0.0, 0.0),
        ([True], 2, 0.5, 6 / 11),  # precision 1 at the six recalls 0, 0.1 … 0.5
        ([False, True], 1, 0.5, 0.5),
        ([True, False, True], 2, 0.5 + 0.5 * 2 / 3, (6 + 5 * 2 / 3) / 11),
        ([True, True, True], 10, 0.3, 4 / 11),  # 3 of 10 is the recall 0.3
        ([False, True, True], 2, 2 / 3, 2 / 3),  # what is better at a higher recall counts
    ],
)
def test_average_precision_by_hand(hits, truths, voc, voc07):
    tally = ranked(hits, truths)
    assert average_precisions(tally, "voc")[0] == pytest.approx(voc)
    assert average_precisions(tally, "voc07")[0] == pytest.approx(voc07)


def test_nothing_to_be_found_is_no_number():
    assert np.isnan(average_precisions(ranked([False], 0), "voc")[0])


@pytest.mark.parametrize(
    ("found", "hits"),
    [
        ([(0.9, BOX)], [True]),
        ([(0.9, ELSEWHERE)], [False]),
        ([(0.8, BOX), (0.9, BOX)], [True, False]),
        ([(0.9, BOX), (0.8, ELSEWHERE)], [True, False]),
        ([(0.9, (10.0, 10.0, 30.0, 20.0))], [True]),
        ([(0.9, (10.0, 10.0, 30.0, 19.0))], [False]),
    ],
)
def test_matching(found, hits):
    (tally,) = tallies(truth([BOX]), [boxes(*found)], "voc")
    assert tally.hits.tolist() == hits
    assert tally.truths.tolist() == [1]


def test_ignored_boxes_count_neither_way():
    (tally,) = tallies(truth([BOX], ignored=True), [boxes((0.9, BOX), (0.8, ELSEWHERE))], "voc")
    assert (tally.hits.tolist(), tally.truths.tolist()) == ([False], [0])


def test_other_labels_are_other_classes():
    other = boxes((0.9, BOX))
    other[:, 0] = 2
    (tally,) = tallies(truth([BOX]), [other], "voc")
    assert not len(tally.hits)


def test_precision_and_recall_at_a_score():
    found = [boxes((0.9, BOX), (0.6, ELSEWHERE), (0.4, ELSEWHERE)), boxes((0.3, BOX))]
    made = tallies(truth([BOX], [BOX, ELSEWHERE]), found, "voc")
    assert [float(value[0]) for value in precision_and_recall(made, 0.5)] == pytest.approx([1 / 2, 1 / 3])
    assert [float(value[0]) for value in precision_and_recall(made, 0.2)] == pytest.approx([2 / 4, 2 / 3])


def test_a_picture_drawn_twice_is_two_pictures():
    found = [boxes((0.9, BOX), (0.6, ELSEWHERE)), boxes((0.7, ELSEWHERE), (0.5, BOX))]
    once = truth([BOX, ELSEWHERE], [BOX])
    twice = truth([BOX, ELSEWHERE], [BOX, ELSEWHERE], [BOX])
    (drawn,) = tallies(once, found, "voc")
    (copied,) = tallies(twice, [found[0], found[0], found[1]], "voc")
    for metric in ("voc", "voc07", "coco"):
        weighted = average_precisions(drawn, metric, np.array([[2, 1], [1, 1]]))
        assert weighted[0] == pytest.approx(average_precisions(copied, metric)[0])
        assert weighted[1] == pytest.approx(average_precisions(drawn, metric)[0])


corner = st.integers(0, 40)
row = st.tuples(corner, corner, st.integers(1, 40), st.integers(1, 40)).map(
    lambda r: (float(r[0]), float(r[1]), float(r[0] + r[2]), float(r[1] + r[3]))
)
pictures = st.lists(st.lists(row, max_size=4), min_size=1, max_size=4)


@settings(max_examples=25)
@given(pictures, st.data())
def test_coco_is_what_pycocotools_says(rows, data):
    pytest.importorskip("pycocotools")
    annotations = truth(*rows)
    scores = st.integers(1, 99).map(lambda value: value / 100)
    found = [boxes(*data.draw(st.lists(st.tuples(scores, row), max_size=5, unique_by=lambda r: r[0]))) for _ in rows]
    made = tallies(annotations, found, "coco")
    evaluated = coco_evaluation(annotations, found)
    evaluated.accumulate()
    precision = evaluated.eval["precision"][:, :, 0, 0, -1]
    for t, tally in enumerate(made):
        ours = average_precisions(tally, "coco")[0]
        theirs = precision[t].mean() if (precision[t] > -1).any() else np.nan
        assert ours == pytest.approx(theirs, nan_ok=True, abs=1e-9)
