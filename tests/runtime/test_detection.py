"""SSD's detector beyond the reference data: RefineDet's five inputs, shrinking thresholds, what is refused."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.runtime.boxes import decode, overlaps  # noqa: E402
from runtime.one_layer import run  # noqa: E402

RS = np.random.RandomState(11)
PRIORS = np.concatenate((RS.uniform(0, 0.5, (40, 2)), RS.uniform(0.55, 1, (40, 2))), 1).astype(np.float32)
VARIANCES = np.tile(np.float32([0.1, 0.1, 0.2, 0.2]), (40, 1))
BOTH = np.stack((PRIORS.reshape(-1), VARIANCES.reshape(-1)))[None]
PLACES = RS.standard_normal((1, 40, 4)).astype(np.float32)
SCORES = RS.dirichlet(np.ones(3), (1, 40)).astype(np.float32)


def one_by_one(boxes: np.ndarray, scores: np.ndarray, least: float, threshold: float, eta: float) -> list[list[float]]:
    """Rows of detections by the definition, for two classes beside the background."""
    rows = []
    for label in (1, 2):
        kept, limit = [], np.float32(threshold)
        for i in sorted(np.flatnonzero(scores[:, label] > least), key=lambda i: -scores[i, label]):
            if all(overlaps(boxes[i : i + 1], boxes[k : k + 1])[0, 0] <= limit for k in kept):
                kept.append(i)
                limit *= np.float32(eta if eta < 1 and limit > 0.5 else 1)
        rows += [[0, label, scores[i, label], *boxes[i]] for i in kept]
    return rows


def text(rest: str = "", nms: str = "") -> str:
    return f"""detection_output_param {{ num_classes: 3 code_type: CENTER_SIZE confidence_threshold: 0.2 {rest}
    nms_param {{ nms_threshold: 0.7 {nms} }} }}"""


@pytest.mark.parametrize("eta", [1.0, 0.8])
def test_the_threshold_shrinks_by_eta(eta):
    found = run("DetectionOutput", text(nms=f"eta: {eta}"), PLACES.reshape(1, -1), SCORES.reshape(1, -1), BOTH)
    boxes = decode(PLACES[0], PRIORS, VARIANCES, "CENTER_SIZE", False)
    np.testing.assert_allclose(found.numpy()[0, 0], one_by_one(boxes, SCORES[0], 0.2, 0.7, eta), atol=1e-6)


def test_refinedet_moves_prior_boxes_first_and_drops_what_is_no_object():
    moves = RS.standard_normal((1, 40, 4)).astype(np.float32)
    objects = RS.dirichlet(np.ones(2), (1, 40)).astype(np.float32)
    inputs = [value.reshape(1, -1) for value in (PLACES, SCORES)], [value.reshape(1, -1) for value in (objects, moves)]
    found = run("DetectionOutput", text("objectness_score: 0.3"), *inputs[0], BOTH, *inputs[1])
    priors = decode(moves[0], PRIORS, VARIANCES, "CENTER_SIZE", False)
    boxes = decode(PLACES[0], priors, VARIANCES, "CENTER_SIZE", False)
    scores = np.where(objects[0, :, 1:] < 0.3, [1, 0, 0], SCORES[0])
    np.testing.assert_allclose(found.numpy()[0, 0], one_by_one(boxes, scores, 0.2, 0.7, 1.0), atol=1e-5)


def test_only_the_best_of_all_classes_are_kept():
    every, best = (
        run("DetectionOutput", text(rest), PLACES.reshape(1, -1), SCORES.reshape(1, -1), BOTH).numpy()[0, 0]
        for rest in ("", "keep_top_k: 5")
    )
    assert sorted(best[:, 2]) == sorted(every[:, 2])[-5:]
    assert np.all(np.diff(best[:, 1]) >= 0)


@pytest.mark.parametrize(
    ("rest", "said"),
    [("no_permute: true", "no_permute"), ("code_type: ROTATED", "code_type is ROTATED")],
)
def test_what_is_not_computed_is_refused(rest, said):
    with pytest.raises(NetError, match=f'layer "L".*{said}'):
        run("DetectionOutput", text(rest), PLACES.reshape(1, -1), SCORES.reshape(1, -1), BOTH)


@pytest.mark.parametrize(
    ("param", "said"),
    [
        ("min_size: 3 variance: [0.1, 0.2]", "variance"),
        ("min_size: 3 variance: -1", "variance"),
        ("min_size: 3 keras: true", "keras"),
        ("min_size: 3 step: -1", "step"),
        ("aspect_ratio: 2", "min_size"),
    ],
)
def test_prior_boxes_that_make_no_sense_are_refused(param, said):
    with pytest.raises(NetError, match=f'layer "L".*{said}'):
        run("PriorBox", f"prior_box_param {{ {param} }}", np.zeros((1, 2, 3, 3)), np.zeros((1, 3, 30, 30)))


def test_sizes_of_prior_boxes_are_cut_to_whole_pixels():
    maps = np.zeros((1, 2, 3, 3)), np.zeros((1, 3, 30, 30))
    cut = run("PriorBox", "prior_box_param { min_size: 7.9 max_size: 12.5 aspect_ratio: 3 }", *maps)
    whole = run("PriorBox", "prior_box_param { min_size: 7 max_size: 12 aspect_ratio: 3 }", *maps)
    assert torch.equal(cut, whole)


def test_true_boxes_are_found_once():
    """The second detection of a box is wrong, one of a difficult box neither right nor wrong."""
    found = np.array([[0, 1, s, *box] for s, box in ((0.5, (0, 0, 4, 4)), (0.9, (0, 0, 4, 5)), (0.8, (6, 6, 9, 9)))])
    true = np.array([[0, 1, 0, 0, 0, 4, 4, 0], [0, 1, 0, 6, 6, 9, 9, 1]])
    param = "detection_evaluate_param { num_classes: 2 evaluate_difficult_gt: false }"
    rows = run("DetectionEvaluate", param, found[None, None], true[None, None]).numpy()[0, 0]
    expected = [[-1, 1, 1, -1, -1], [0, 1, 0.9, 1, 0], [0, 1, 0.8, 0, 0], [0, 1, 0.5, 0, 1]]
    np.testing.assert_allclose(rows, expected)
