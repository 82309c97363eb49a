"""SegAccuracy against counting, and ArgMax on ties."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.runtime.measures import segmentation_accuracy  # noqa: E402
from runtime.one_layer import call_of, run  # noqa: E402

RS = np.random.RandomState(5)


def counted(scores: np.ndarray, labels: np.ndarray, ignored: int | None) -> list[float]:
    """The three measures, by counting pixels."""
    true, predicted = labels.reshape(-1), scores.argmax(1).reshape(-1)
    if ignored is not None:
        true, predicted = true[true != ignored], predicted[true != ignored]
    recalls, overlaps = [], []
    for k in range(scores.shape[1]):
        right, either = ((true == k) & (predicted == k)).sum(), ((true == k) | (predicted == k)).sum()
        if (true == k).any():
            recalls.append(right / (true == k).sum())
        overlaps.append(right / either if either else 1.0)
    return [(true == predicted).mean(), np.mean(recalls), np.mean(overlaps)]


@pytest.mark.parametrize("ignored", [None, 255])
def test_segmentation_accuracy(ignored):
    scores = RS.standard_normal((2, 5, 4, 3))
    labels = RS.choice([0, 1, 3, 255 if ignored else 0], (2, 1, 4, 3))
    text = f"seg_accuracy_param {{ ignore_label: {ignored} }}" if ignored else ""
    found = run("SegAccuracy", text, scores, labels)
    assert found.shape == (1, 1, 1, 3)
    np.testing.assert_allclose(found.numpy().reshape(-1), counted(scores, labels, ignored), rtol=1e-6)


def test_counts_add_up_unless_they_are_reset():
    scores, labels = RS.standard_normal((2, 3, 4, 4)), RS.randint(0, 3, (2, 1, 4, 4))
    halves = [
        call_of("SegAccuracy", "seg_accuracy_param { reset: false }", (scores[i : i + 1], labels[i : i + 1]))
        for i in (0, 1)
    ]
    segmentation_accuracy(halves[0])
    halves[1].state.update(halves[0].state)
    np.testing.assert_allclose(
        segmentation_accuracy(halves[1]).numpy().reshape(-1), counted(scores, labels, None), rtol=1e-6
    )


def test_a_label_outside_of_the_classes_is_refused():
    with pytest.raises(NetError, match="outside of 0 to 2"):
        run("SegAccuracy", "", np.zeros((1, 3, 2, 2)), np.full((1, 1, 2, 2), 255))


def test_of_equals_the_last_is_the_largest():
    assert run("ArgMax", "argmax_param { top_k: 2 axis: 1 }", np.array([[1, 3, 3, 2, 3]])).tolist() == [[4, 2]]
