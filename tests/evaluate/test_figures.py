import numpy as np
import pytest

from demitasse.evaluate.average_precision import Tally
from demitasse.evaluate.classification import Answers
from demitasse.evaluate.figures import classification_figures, detection_figures


def ranked(*ranks: int, classes: int = 10) -> Answers:
    values = np.array(ranks)
    return Answers(np.zeros_like(values), np.zeros_like(values), values, classes)


def tally(label: str, hits: list[bool], overlap: float = 0.5) -> Tally:
    number = len(hits)
    scores = np.linspace(0.9, 0.1, number)
    return Tally(label, overlap, np.arange(number), scores, np.array(hits, bool), np.ones(number, np.int64))


def test_top_1_and_top_5():
    one, two = ranked(0, 0, 3, 9), ranked(0, 1, 3, 9)
    top1, top5 = classification_figures(one, two, number=200, seed=0)
    assert (top1.name, top1.first.value, top1.second.value, top1.difference.value) == ("top-1", 0.5, 0.25, -0.25)
    assert (top5.first.value, top5.difference.value) == (0.75, 0)
    assert [figure.name for figure in classification_figures(ranked(0, 1, classes=5), None, number=9, seed=0)] == [
        "top-1"
    ]


def test_one_class_has_one_average_precision():
    figures = detection_figures([tally("x", [True, False])], None, "voc", score=0.5, number=50, seed=0)
    assert [figure.name for figure in figures] == ["AP at 0.5", "precision at 0.5", "recall at 0.5"]
    assert [figure.first.value for figure in figures] == pytest.approx([0.5, 1.0, 0.5])


def test_several_classes_have_a_mean():
    made = [tally("x", [True, True]), tally("y", [True, False]), tally("z", [False, False])]
    made[2] = Tally("z", 0.5, made[2].pictures, made[2].scores, made[2].hits, np.zeros(2, np.int64))
    figures = {f.name: f.first.value for f in detection_figures(made, made, "voc", score=0, number=50, seed=0)}
    assert figures["mAP at 0.5"] == pytest.approx(0.75)  # a class that is nowhere to be found does not count
    assert figures["AP x"] == 1
    assert "AP z" not in figures


def test_coco_is_the_mean_over_overlaps():
    made = [tally("x", [True, False], 0.5), tally("x", [False, False], 0.75)]
    figures = {f.name: f.first.value for f in detection_figures(made, None, "coco", score=0.5, number=9, seed=0)}
    at_50 = figures["AP at 0.5"]
    assert at_50 == pytest.approx(51 / 101)
    assert figures["AP"] == pytest.approx(at_50 / 2)
    assert figures["AP at 0.75"] == 0
