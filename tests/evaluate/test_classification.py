from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.datasets.datum import Datum
from demitasse.errors import NetError, OptionError
from demitasse.evaluate.classification import answers, classifier_output, picture_of
from demitasse.evaluate.models import Subject
from demitasse.evaluate.preprocessing import Stated
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.sessions import Session, session
from networks import CLASSIFIER, small_classifier, small_detector

pytest.importorskip("torch")


class Fixed:
    """Gives the scores that it is told to, whatever it sees."""

    independent = True
    name = "fixed"

    def __init__(self, scores: np.ndarray) -> None:
        self.scores, self.at = scores, 0

    def run(self, model, feeds, wanted):
        out = []
        for feed in feeds:
            number = len(feed["data"])
            out.append({wanted[0]: self.scores[self.at : self.at + number]})
            self.at += number
        return out


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    small_classifier(tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    return Subject(files.load(tmp_path / "a.prototxt", tmp_path / "a.caffemodel"))


def fixed(subject: Subject, scores: list) -> Session:
    made = session(subject, Stated(), Execution(1))
    return Session(subject, Fixed(np.array(scores, np.float32)), made.prepare, made.input, made.shape)


def examples(*labels: int) -> list[Datum]:
    return [Datum(np.zeros((3, 24, 24), np.uint8), label) for label in labels]


def test_the_rank_of_the_true_class(subject):
    found = answers(fixed(subject, [[3, 2, 1], [3, 2, 1], [3, 2, 1]]), examples(0, 1, 2), "fc", batch=2)
    assert found.ranks.tolist() == [0, 1, 2]
    assert found.winners.tolist() == [0, 0, 0]
    assert [found.right(k).tolist() for k in (1, 2)] == [[True, False, False], [True, True, False]]


def test_a_tie_counts_against_the_true_class(subject):
    assert answers(fixed(subject, [[1, 1, 0]]), examples(0), "fc").ranks.tolist() == [1]


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[1, 2]], [2], "labelled 2"),
        ([[1, 2]], [-1], "labelled -1"),
        ([[np.nan, 2]], [0], "not finite"),
        ([[[1, 2], [3, 4]]], [0], "gives 1×2×2"),
        ([1.0], [0], "gives 1:"),
    ],
)
def test_what_is_no_answer(subject, scores, labels, message):
    with pytest.raises((NetError, OptionError), match=message):
        answers(fixed(subject, scores), examples(*labels), "fc")


def test_nothing_to_evaluate_on(subject):
    with pytest.raises(OptionError, match="no picture"):
        answers(fixed(subject, []), [], "fc")


def test_a_batch_that_is_built_in_is_kept(tmp_path):
    """A Reshape to two rows allows batches of two, and no others."""
    text = CLASSIFIER.replace("input_dim: 1\n", "input_dim: 2\n", 1).replace(
        'bottom: "pool1" top: "fc"', 'bottom: "rows" top: "fc"'
    )
    shape = "reshape_param { shape { dim: 2 dim: -1 } }"
    text = text.replace(
        'layer { name: "fc"',
        f'layer {{ name: "rows" type: "Reshape" bottom: "pool1" top: "rows" {shape} }}\nlayer {{ name: "fc"',
    )
    paths = (tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    small_classifier(*paths, text)
    found = answers(session(Subject(files.load(*paths)), Stated(), Execution(1)), examples(0, 1, 2, 3), "fc", batch=4)
    assert len(found.ranks) == 4


def test_which_output_scores_classes(subject, tmp_path):
    assert classifier_output(subject) == "fc"
    assert classifier_output(subject, "prob") == "prob"
    with pytest.raises(OptionError, match="no such layer"):
        classifier_output(subject, "other")
    small_detector(tmp_path / "d.prototxt", tmp_path / "d.caffemodel")
    with pytest.raises(OptionError, match="name one with --output"):
        classifier_output(Subject(files.load(tmp_path / "d.prototxt", tmp_path / "d.caffemodel")))


def test_pictures_of_any_number_of_channels():
    planes = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    assert picture_of(Datum(planes)).tolist() == np.moveaxis(planes, 0, 2).tolist()
    assert picture_of(Datum(planes[:1])).shape == (2, 2, 1)


@pytest.mark.zoo
def test_a_real_network_is_as_good_as_it_is_known_to_be(zoo):
    """LeNet on the first 1000 of MNIST's test pictures."""
    from itertools import islice

    from demitasse.datasets.labelled import labelled

    folder = zoo / "models" / "lenet_mnist"
    paths = (folder / "deploy.prototxt", folder / "lenet_mnist.caffemodel")
    ready = session(Subject(files.load(*paths)), Stated(), Execution(1))
    digits = islice(labelled(zoo / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"), 1000)
    assert answers(ready, digits, "ip2", batch=100).right(1).mean() > 0.98
