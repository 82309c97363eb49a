"""Laws of SSD's loss: what perfect predictions cost, where gradients go, and choices that must not matter."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.runtime.boxes import encode  # noqa: E402
from demitasse.runtime.matching import match  # noqa: E402
from runtime.one_layer import run  # noqa: E402

RS = np.random.RandomState(4)
NUMBER, CLASSES = 24, 3
CORNER = RS.uniform(0, 0.6, (NUMBER, 2))
PRIORS = np.concatenate((CORNER, CORNER + RS.uniform(0.2, 0.4, (NUMBER, 2))), 1).astype(np.float32)
VARIANCES = np.tile(np.float32([0.1, 0.1, 0.2, 0.2]), (NUMBER, 1))
BOTH = np.stack((PRIORS.reshape(-1), VARIANCES.reshape(-1)))[None]
TRUE = PRIORS[[3, 11, 17]] + np.float32([0.01, 0.02, -0.01, 0.03])
ROWS = np.array([[i // 2, 1 + i % 2, 0, *box, 0] for i, box in enumerate(TRUE)], np.float32)[None, None]
PLACES = RS.standard_normal((2, NUMBER * 4)).astype(np.float32)
SCORES = RS.standard_normal((2, NUMBER * CLASSES)).astype(np.float32)


def text(rest: str = "") -> str:
    return f"multibox_loss_param {{ num_classes: {CLASSES} code_type: CENTER_SIZE {rest} }}"


def loss(rest: str = "", places=PLACES, scores=SCORES, rows=ROWS, more: str = "") -> torch.Tensor:
    return run("MultiBoxLoss", text(rest) + more, places, scores, BOTH, rows)


def test_locations_that_are_right_cost_nothing():
    found = [match(TRUE[:2], PRIORS, 0.5, False), match(TRUE[2:], PRIORS, 0.5, False)]
    right = np.zeros((2, NUMBER, 4), np.float32)
    for image, (one, true) in enumerate(zip(found, (TRUE[:2], TRUE[2:]), strict=True)):
        at = one.positive
        assert len(at)
        right[image, at] = encode(true[one.indices[at]], PRIORS[at], VARIANCES[at], "CENTER_SIZE", False)
    right = right.reshape(2, -1)
    scores_alone = float(loss("loc_weight: 0"))
    assert float(loss(places=right)) == pytest.approx(scores_alone, abs=1e-6)
    assert float(loss()) > scores_alone + 0.1


@pytest.mark.parametrize("rest", ["", "conf_loss_type: LOGISTIC", "loc_loss_type: L2", "mining_type: NONE"])
def test_gradients_are_the_derivatives(rest):
    """By finite differences, in a random direction."""
    places, scores = (torch.tensor(value).requires_grad_() for value in (PLACES, SCORES))
    loss(rest, places, scores).backward()
    for value, which in ((places, 0), (scores, 1)):
        direction = torch.randn(value.shape, generator=torch.Generator().manual_seed(which))
        expected = float((value.grad * direction).sum())
        moved = []
        for step in (-2e-3, 2e-3):
            inputs = [places.detach(), scores.detach()]
            inputs[which] = inputs[which] + step * direction
            moved.append(float(loss(rest, *inputs).double()))
        assert (moved[1] - moved[0]) / 4e-3 == pytest.approx(expected, rel=2e-2, abs=1e-3)


def test_mining_everything_is_not_mining():
    """As many hard examples as there are boxes are all of them, in an image that has true boxes."""
    everything = loss(f"mining_type: HARD_EXAMPLE sample_size: {NUMBER}")
    assert float(everything) == pytest.approx(float(loss("mining_type: NONE")), rel=1e-5)


def test_few_hard_examples_cost_less():
    assert float(loss("mining_type: HARD_EXAMPLE sample_size: 3", more=" loss_param { normalization: NONE }")) < float(
        loss("mining_type: NONE", more=" loss_param { normalization: NONE }")
    )


def test_the_same_locations_for_every_class_are_shared_locations():
    apart = np.repeat(PLACES.reshape(2, NUMBER, 1, 4), CLASSES, 2).reshape(2, -1)
    shared = float(loss("mining_type: NONE"))
    assert float(loss("mining_type: NONE share_location: false", apart)) == pytest.approx(shared, rel=1e-5)


def test_an_image_without_true_boxes_teaches_nothing_when_mining():
    scores = torch.tensor(SCORES).requires_grad_()
    loss("", PLACES, scores, ROWS[:, :, 2:]).backward()
    assert not scores.grad[0].any()
    assert scores.grad[1].any()


def test_no_true_box_at_all_costs_nothing():
    none = np.array([[-1, 0, 0, 0, 0, 0, 0, 0]], np.float32)[None, None]
    assert float(loss(rows=none)) == 0


def test_sides_outside_of_the_picture_may_teach_nothing():
    outside = BOTH.copy().reshape(2, -1, 4)
    outside[0, :, 0] = -0.01
    places = torch.tensor(PLACES).requires_grad_()
    param = text("bp_inside: true overlap_threshold: 0.3")
    run("MultiBoxLoss", param, places, SCORES, outside.reshape(1, 2, -1), ROWS).backward()
    gradient = places.grad.reshape(-1, 4)
    assert not gradient[:, 0].any()
    assert gradient[:, 2].any()


def test_boxes_across_the_border_may_be_ignored():
    boxes = PRIORS.copy()
    boxes[3, 0] = -0.1
    found = match(TRUE[:1], boxes, 0.1, True)
    assert found.indices[3] == -2
    assert (np.delete(found.indices, 3) >= -1).all()


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("mining_type: MEDIUM", "mining_type is MEDIUM"),
        ("share_location: false", "mining needs share_location"),
        ("do_neg_mining: false", "contradicts"),
        ("background_label_id: 2", "label 2, which is no object"),
    ],
)
def test_what_makes_no_sense_is_refused(rest, said):
    places = np.zeros((2, NUMBER * 4 * CLASSES)) if "share" in rest else PLACES
    with pytest.raises(NetError, match=said):
        loss(rest, places)


def test_predictions_that_do_not_fit_the_prior_boxes_are_refused():
    with pytest.raises(NetError, match="24 prior boxes need 96 a row"):
        loss(places=PLACES[:, 4:])
