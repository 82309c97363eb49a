import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.errors import NetError
from demitasse.evaluate.detections import Agreement, agreement, boxes_of, overlap, suppressed

FACE = [1, 0.9, 0.1, 0.1, 0.3, 0.4]
OTHER = [1, 0.8, 0.6, 0.6, 0.9, 0.9]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 6)


def moved(row: list[float], by: float) -> list[float]:
    return [*row[:2], *(value + by for value in row[2:])]


@pytest.mark.parametrize(
    ("expected", "found", "matched", "added"),
    [
        ([], [], 0, 0),
        ([FACE], [FACE], 1, 0),
        ([FACE, OTHER], [OTHER, FACE], 2, 0),
        ([FACE], [], 0, 0),
        ([], [FACE], 0, 1),
        ([FACE], [moved(FACE, 0.005)], 1, 0),
        ([FACE], [moved(FACE, 0.05)], 0, 1),
        ([FACE], [[2, *FACE[1:]]], 0, 1),
        ([FACE], [FACE, FACE], 1, 1),
    ],
)
def test_boxes_are_matched_one_to_one(expected, found, matched, added):
    result = agreement(boxes(*expected), boxes(*found))
    assert (result.expected, result.matched, result.added) == (len(expected), matched, added)
    assert result.same == (matched == len(expected) and not added)


def test_overlap_is_intersection_over_union():
    one = boxes([1, 1, 0, 0, 2, 2])
    other = boxes([1, 1, 1, 1, 3, 3], [1, 1, 0, 0, 2, 2], [1, 1, 5, 5, 6, 6], [1, 1, 1, 1, 1, 1])
    assert overlap(one, other)[0] == pytest.approx([1 / 7, 1, 0, 0])
    flat = boxes([1, 1, 1, 1, 1, 2])
    assert overlap(flat, flat)[0, 0] == 1


corner = st.floats(0, 1, width=32)
row = st.tuples(corner, corner, corner, corner).map(
    lambda c: [1, 0.9, min(c[0], c[1]), min(c[2], c[3]), max(c[0], c[1]) + 0.01, max(c[2], c[3]) + 0.01]
)


@given(st.lists(row, max_size=6))
def test_anything_agrees_with_itself(rows):
    assert agreement(boxes(*rows), boxes(*rows)).same


def test_boxes_of_keeps_what_is_sure_enough():
    rows = np.array([[0, *FACE], [0, 1, 0.3, *FACE[2:]], [-1, *FACE]], np.float32).reshape(1, 1, 3, 7)
    assert boxes_of(rows).tolist() == boxes(FACE).tolist()


def test_boxes_of_refuses_another_shape():
    with pytest.raises(NetError, match="DetectionOutput"):
        boxes_of(np.zeros((1, 7), np.float32))


def test_agreements_add_up():
    assert Agreement(2, 1, 0, 0.95, 0.1) + Agreement(1, 1, 1, 0.9, 0.2) == Agreement(3, 2, 1, 0.9, 0.2)


@pytest.mark.parametrize(("by", "at_75", "at_50"), [(0.0, 1, 1), (0.015, 1, 1), (0.04, 0, 1), (0.1, 0, 0)])
def test_boxes_are_found_again_at_a_lesser_overlap(by, at_75, at_50):
    result = agreement(boxes(FACE), boxes(moved([1, 0.7, *FACE[2:]], by)))
    assert (result.at_75, result.at_50) == (at_75, at_50)
    assert result.score_drift == pytest.approx(0.2 * at_50)
    assert result.paired == bool(at_50)


def test_suppression_keeps_the_best_of_each_label():
    near = moved([1, 0.95, *FACE[2:]], 0.01)
    other_label = [2, *FACE[1:]]
    kept = suppressed(boxes(FACE, OTHER, near, other_label), 0.5)
    assert kept.tolist() == boxes(near, other_label, OTHER).tolist()
    assert len(suppressed(boxes(), 0.5)) == 0


def test_boxes_without_end_agree_with_themselves():
    endless = boxes([1, 0.9, -1e30, -1e30, 3e38, 3e38], [1, 0.8, -np.inf, 0, np.inf, 1], FACE)
    assert agreement(endless, endless).paired
