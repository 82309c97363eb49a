from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.errors import NetError, VerificationError
from demitasse.evaluate import runtimes
from demitasse.evaluate.models import Subject
from demitasse.evaluate.probes import Probe
from demitasse.evaluate.runtimes import Execution, OpenCV
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.trial import check_inputs, compared, trial
from networks import small_classifier

pytest.importorskip("cv2")


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    paths = (tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    small_classifier(*paths)
    return Subject(files.load(*paths), *paths)


def failing(subject: Subject, monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    """From the run of that number on OpenCV fails."""
    run, count = OpenCV.run, [0]

    def sometimes(self, model, feeds, wanted):
        count[0] += 1
        if count[0] >= fails:
            raise NetError("OpenCV is tired")
        return run(self, model, feeds, wanted)

    monkeypatch.setattr(OpenCV, "run", sometimes)


def test_what_runs_the_original_and_not_the_result_is_an_error_or_a_note(subject, monkeypatch):
    pytest.importorskip("torch")
    failing(subject, monkeypatch, 2)
    with pytest.raises(VerificationError, match="runs the original and not the result: OpenCV is tired"):
        trial(subject, subject, Shown(count=1), Execution(1), strict=True)
    failing(subject, monkeypatch, 2)
    found = trial(subject, subject, Shown(count=1), Execution(1), strict=False)
    assert not found.independent
    assert found.notes == ("OpenCV is tired",)


def test_nothing_that_runs_is_an_error_that_says_why(subject, monkeypatch):
    monkeypatch.setattr(runtimes, "have_torch", lambda: False)
    failing(subject, monkeypatch, 1)
    with pytest.raises(NetError, match="OpenCV is tired"):
        trial(subject, subject, Shown(count=1), Execution(1), strict=False)
    monkeypatch.setattr(runtimes, "have_opencv", lambda: False)
    with pytest.raises(NetError, match="neither OpenCV nor PyTorch is installed"):
        trial(subject, subject, Shown(count=1), Execution(1), strict=False)


class Takes:
    """A model of which nothing but the inputs is known."""

    def __init__(self, **inputs: tuple[int, ...]) -> None:
        self.inputs = inputs


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Takes(data=(1, 3, 24, 24)), True),
        (Takes(data=(7, 3, 24, 24)), True),
        (Takes(data=(1, 3, 24, 25)), False),
        (Takes(data=(1, 3, 24)), False),
        (Takes(pictures=(1, 3, 24, 24)), False),
        (Takes(data=(1, 3, 24, 24), info=(1, 3)), False),
    ],
)
def test_the_same_inputs_whatever_the_batch(subject, other, same):
    if same:
        check_inputs(subject, other)
        return
    with pytest.raises(NetError, match="different inputs: data 1×3×24×24, and"):
        check_inputs(subject, other)


def test_an_output_of_an_onnx_that_looks_like_probabilities_is_judged_by_its_winner():
    expected, found = [np.array([[0.1, 0.9]], np.float32)], [np.array([[0.6, 0.4]], np.float32)]
    place = Probe("p", "values", known=False)
    (error,) = compared([place], None, [{}], [{"p": expected[0]}], [{"p": found[0]}])
    assert (error.kind, error.top1, error.decisions) == ("classes", 0, 1)
