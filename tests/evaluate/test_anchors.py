import numpy as np
import pytest

from demitasse.errors import NetError
from demitasse.evaluate.anchors import HEADS, AnchorHead, Anchors, outputs_in, recognised, with_usual
from demitasse.evaluate.preprocessing import Stated
from demitasse.net import Net

FEED = {"data": np.zeros((1, 3, 20, 40), np.float32)}
HEAD = AnchorHead(((10, ((8.0, 8.0), (4.0, 12.0))), (20, ((20.0, 20.0),))))
"""4 × 2 cells of two anchors, 2 × 1 cells of one: 18."""


def boxes(scores: np.ndarray, moves: np.ndarray | None = None, head: AnchorHead = HEAD, threshold: float = 0.5):
    moves = np.zeros((1, 18, 4)) if moves is None else moves
    values = {"boxes": moves.astype(np.float32), "scores": scores.astype(np.float32)}
    return Anchors("boxes", "scores", "data", head).boxes(values, FEED, threshold)


def only(row: int, *scores: float) -> np.ndarray:
    found = np.zeros((1, 18, len(scores)))
    found[0, row] = scores
    return found


def test_anchors_stand_in_the_middle_of_their_cells_maps_after_each_other():
    found = HEAD.anchors(20, 40) * [40, 20, 40, 20]
    assert len(found) == HEAD.count(20, 40) == 18
    assert found[:4].tolist() == [[5, 5, 8, 8], [5, 5, 4, 12], [15, 5, 8, 8], [15, 5, 4, 12]]
    assert found[8].tolist() == [5, 15, 8, 8]
    assert found[16:].tolist() == [[10, 10, 20, 20], [30, 10, 20, 20]]


def test_an_anchor_that_is_not_moved_is_the_box():
    found = boxes(only(3, 0.2, 0.8))
    assert found == pytest.approx(np.array([[1, 0.8, 13 / 40, -1 / 20, 17 / 40, 11 / 20]]))


def test_regressions_are_multiplied_by_the_variances():
    moves = np.zeros((1, 18, 4))
    moves[0, 16] = 5, -5, np.log(2) / 0.2, 0
    found = boxes(only(16, 0, 1), moves)[0, 2:] * [40, 20, 40, 20]
    assert found == pytest.approx([0, -10, 40, 10], abs=1e-5)


def test_labels_scores_and_what_squashes_them():
    assert boxes(only(0, 0.1, 0.2, 0.7))[:, :2].tolist() == [[2, pytest.approx(0.7)]]
    own = AnchorHead(HEAD.cells, background=False)
    assert boxes(only(0, 0.9), head=own)[:, :2].tolist() == [[1, pytest.approx(0.9)]]
    for squash, chance in (("sigmoid", 1 / (1 + np.exp(-2))), ("softmax", 1 / (1 + np.exp(-1)))):
        head = AnchorHead(HEAD.cells, squash=squash)
        assert boxes(only(0, 1.0, 2.0), head=head, threshold=0.51)[0, 1] == pytest.approx(chance)


def test_clipped_anchors_and_overlapping_boxes():
    clipped = AnchorHead(((10, ((80.0, 8.0),)),), clip=True)
    assert clipped.anchors(20, 40)[0].tolist() == [5 / 40, 5 / 20, 1.0, 8 / 20]
    both = only(16, 0, 0.9) + only(17, 0, 0.8)
    assert len(boxes(both)) == 2
    moves = np.zeros((1, 18, 4))
    moves[0, 17, 0] = -10  # onto the other
    assert boxes(both, moves)[:, 1] == pytest.approx([0.9])


def test_what_does_not_fit_is_said():
    with pytest.raises(NetError, match="18 anchors in a picture of 20×40"):
        boxes(np.zeros((1, 17, 2)))


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"boxes": (1, 18, 4), "scores": (1, 18, 2)}, ("boxes", "scores", 18)),
        ({"a": (1, 18, 2), "b": (1, 18, 4)}, ("b", "a", 18)),
        ({"scores": (1, 18, 4), "loc": (1, 18, 4)}, ("loc", "scores", 18)),
        ({"boxes": (None, 18, 4), "scores": (None, 18, 2)}, ("boxes", "scores", 18)),
        ({"boxes": (1, 18, 4), "scores": (1, 17, 2)}, None),
        ({"boxes": (1, 18, 4)}, None),
        ({"a": (1, 18, 4), "b": (1, 18, 2), "c": (1, 10)}, None),
        ({"prob": (1, 10), "more": (1, 10)}, None),
    ],
)
def test_outputs_that_are_a_head_of_anchors(outputs, expected):
    assert outputs_in(outputs) == expected


def test_a_known_head_is_recognised_by_its_number():
    head = HEADS["ultralight"]
    assert recognised(4420, 240, 320) is head
    assert recognised(4421, 240, 320) is None


def test_pictures_are_prepared_as_usual_for_the_head_if_nobody_says():
    head = HEADS["ultralight"]
    usual = head.usual.as_dict()
    assert with_usual(Stated(), None, head).as_dict() == usual
    assert with_usual(Stated(scale=2.0), None, head).as_dict() == usual | {"scale": 2.0}
    remembers = Net("", (), metadata={"preprocessing": {"mean": [1, 2, 3]}})
    assert not with_usual(Stated(), remembers, head)
