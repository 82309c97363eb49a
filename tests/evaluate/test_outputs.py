import math

import numpy as np
import pytest

from demitasse.evaluate.outputs import output_error


def test_equal_outputs_have_no_error():
    values = [np.arange(12, dtype=np.float32).reshape(2, 6)]
    error = output_error("out", "values", values, values)
    assert (error.snr, error.relative, error.largest) == (math.inf, 0, 0)


def test_error_is_pooled_over_pictures():
    expected = [np.full((1, 4), 3, np.float32), np.full((1, 4), 4, np.float32)]
    found = [np.full((1, 4), 3, np.float32), np.full((1, 4), 4.5, np.float32)]
    error = output_error("out", "values", expected, found)
    assert error.relative == pytest.approx(math.sqrt(0.25 * 4 / (9 * 4 + 16 * 4)))
    assert error.snr == pytest.approx(20 * math.log10(10))
    assert error.largest == 0.5


def test_winners_are_counted_per_place():
    expected = [np.array([[[1, 0], [0, 0]], [[0, 1], [1, 1]]], np.float32)[None]]
    found = [np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]]], np.float32)[None]]
    error = output_error("prob", "classes", expected, found)
    assert (error.top1, error.decisions) == (3, 4)


def test_detections_are_judged_by_boxes():
    row = np.array([0, 1, 0.9, 0.1, 0.1, 0.5, 0.5], np.float32).reshape(1, 1, 1, 7)
    error = output_error("detection_out", "detections", [row, row], [row, row * 0])
    assert (error.boxes.expected, error.boxes.matched) == (2, 1)


@pytest.mark.parametrize("found", [np.ones((1, 3), np.float32), np.array([[1, np.nan]], np.float32)])
def test_what_cannot_be_compared_is_infinitely_far(found):
    assert output_error("out", "values", [np.ones((1, 2), np.float32)], [found]).snr == -math.inf


def test_cosine_and_peak():
    expected = [np.array([[0, 3, 4]], np.float32)]
    error = output_error("out", "values", expected, [np.array([[0, 4, 3]], np.float32)])
    assert error.cosine == pytest.approx(24 / 25)
    assert error.psnr == pytest.approx(10 * math.log10(16 * 3 / 2))
    same = output_error("out", "values", expected, expected)
    assert (same.cosine, same.psnr) == (1.0, math.inf)
    nothing = output_error("out", "values", [np.zeros((1, 3), np.float32)], expected)
    assert (nothing.cosine, nothing.psnr) == (None, -math.inf)


def test_the_winner_is_looked_for_among_five():
    ranks = np.arange(8, dtype=np.float32)[None]
    for lost, (top1, top5) in enumerate([(1, 1), (0, 1), (0, 1), (0, 1), (0, 1), (0, 0)]):
        found = ranks.copy()
        found[0, 7] = 7 - lost - 0.5 if lost else 7
        error = output_error("prob", "classes", [ranks], [found])
        assert (error.top1, error.top5, error.decisions) == (top1, top5, 1)


def test_what_is_within_a_tolerance():
    values = [np.full((1, 4), 2, np.float32)]
    error = output_error("out", "values", values, [values[0] * np.float32(1.125)])
    assert (error.within(0.13), error.within(0.12)) == (True, False)
    row = np.array([0, 1, 0.9, 0.1, 0.1, 0.5, 0.5], np.float32).reshape(1, 1, 1, 7)
    drifted = row.copy()
    drifted[..., 2] = 0.8
    boxes = output_error("out", "detections", [row], [drifted])
    assert (boxes.within(0.11), boxes.within(0.09)) == (True, False)
    assert not output_error("out", "detections", [row], [row * 0]).within(1)
