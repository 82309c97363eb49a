import numpy as np
import pytest

from demitasse.errors import NetError
from demitasse.evaluate.detectors import Regions, SingleShot, detector
from demitasse.net import Layer

FEED = {"data": np.zeros((1, 3, 100, 200), np.float32)}
HEAD = Regions("prob", "moves", "rois", "data")


def layers(*rows: tuple[str, str, str]) -> list[Layer]:
    return [Layer(name, kind, (), tuple(outputs.split())) for name, kind, outputs in rows]


def values(scores: list[list[float]], moves: np.ndarray, *corners: tuple[float, ...]) -> dict[str, np.ndarray]:
    rois = np.array([(0, *row) for row in corners], np.float32)
    return {"prob": np.array(scores, np.float32), "moves": moves.astype(np.float32), "rois": rois}


def test_which_networks_detect():
    assert detector(layers(("data", "Input", "data"), ("out", "DetectionOutput", "out"))) == SingleShot("out")
    inputs = ("data", "Input", "data")
    head = (("prob", "Softmax", "cls_prob"), ("moves", "InnerProduct", "bbox_pred"))
    assert detector(layers(inputs, ("proposal", "Python", "rois"), *head)) == Regions(
        "prob", "moves", "proposal", "data"
    )
    assert detector(layers(inputs, ("r", "Input", "rois"), *head)) == Regions("prob", "moves", "rois", "data")
    assert detector(layers(inputs, *head)) is None
    assert detector(layers(inputs, ("c", "Convolution", "c"))) is None


def test_a_region_that_is_not_moved_is_the_box():
    boxes = HEAD.boxes(values([[0.1, 0.9]], np.zeros((1, 8)), (20, 30, 59, 69)), FEED)
    # One pixel is added to the sides of a region, and the corner is not taken back: as the original does it.
    assert boxes == pytest.approx(np.array([[1, 0.9, 20 / 200, 30 / 100, 60 / 200, 70 / 100]]))


def test_regression_moves_and_scales():
    moves = np.array([[0, 0, 0, 0, 0.5, 0, np.log(2), 0]])
    boxes = HEAD.boxes(values([[0.1, 0.9]], moves, (40, 30, 59, 49)), FEED)
    assert boxes[0, 2:] * [200, 100, 200, 100] == pytest.approx([40, 30, 80, 50], abs=1e-4)


def test_one_regression_for_all_classes():
    moves = np.array([[9, 9, 9, 9, 0, 0, 0, 0]])
    boxes = HEAD.boxes(values([[0.0, 0.3, 0.7]], moves, (20, 30, 59, 69)), FEED, threshold=0.25)
    assert boxes[:, 0].tolist() == [2, 1]
    assert np.array_equal(boxes[0, 2:], boxes[1, 2:])


def test_boxes_of_one_class_that_overlap_are_one():
    corners = (20, 30, 59, 69), (21, 30, 60, 69), (150, 10, 180, 40)
    found = HEAD.boxes(values([[0, 0.8], [0, 0.9], [0, 0.7]], np.zeros((3, 8)), *corners), FEED)
    assert found[:, 1] == pytest.approx([0.9, 0.7])


def test_regions_may_be_an_input():
    given = values([[0.1, 0.9]], np.zeros((1, 8)), (20, 30, 59, 69))
    feed = {**FEED, "rois": given.pop("rois")}
    assert len(HEAD.boxes(given, feed)) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(NetError, match="prob"):
        HEAD.boxes(values([[0.1, 0.9]], np.zeros((1, 12)), (20, 30, 59, 69)), FEED)
