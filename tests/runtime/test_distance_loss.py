"""Losses of distances, in the dialects that the reference data does not cover."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import call_of, run  # noqa: E402

RS = np.random.RandomState(3)
A, B, INSIDE, OUTSIDE = (RS.standard_normal((3, 5)) * 2 for _ in range(4))


def huber(x: np.ndarray, sharpness: float) -> np.ndarray:
    return np.where(abs(x) < 1 / sharpness, 0.5 * sharpness * x * x, abs(x) - 0.5 / sharpness)


def slope(x: np.ndarray, sharpness: float) -> np.ndarray:
    return np.where(abs(x) < 1 / sharpness, sharpness * x, np.sign(x))


def of_first(kind: str, text: str, *rest: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss, times 3, and its gradients on the first two inputs."""
    a, b = (torch.tensor(value).float().requires_grad_() for value in (A, rest[0]))
    loss = 3 * run(kind, text, a, b, *rest[1:])
    loss.backward()
    return float(loss.detach()), a.grad.numpy(), b.grad.numpy()


def test_smooth_l1_of_faster_rcnn_weighs_inside_and_outside():
    loss, da, db = of_first("SmoothL1Loss", "smooth_l1_loss_param { sigma: 3 abssum: false }", B, INSIDE, OUTSIDE)
    apart = INSIDE * (A - B)
    assert loss == pytest.approx((OUTSIDE * huber(apart, 9)).sum(), rel=1e-5)
    np.testing.assert_allclose(da, OUTSIDE * slope(apart, 9) * INSIDE, rtol=1e-5)
    np.testing.assert_allclose(db, -da)


def test_smooth_l1_of_fast_rcnn_weighs_what_the_gradient_passes_by():
    loss, da, db = of_first("SmoothL1Loss", "", B, INSIDE)
    apart = INSIDE * (A - B)
    assert loss == pytest.approx(huber(apart, 1).sum(), rel=1e-5)
    np.testing.assert_allclose(da, slope(apart, 1), rtol=1e-5)
    np.testing.assert_allclose(db, -da)


@pytest.mark.parametrize(
    ("text", "divisor"), [("", 3), ("loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 8 }", 8)]
)
def test_smooth_l1_of_rfcn_tells_the_loss_of_every_region(text, divisor):
    loss, each = run("SmoothL1LossOHEM", text, A, B, INSIDE, outputs=2)
    expected = huber(INSIDE * (A - B), 1).sum(1)
    np.testing.assert_allclose(each.numpy().reshape(-1), expected, rtol=1e-5)
    assert float(loss) == pytest.approx(expected.sum() / divisor, rel=1e-5)


def test_l1():
    loss, da, db = of_first("L1Loss", "", B)
    assert loss == pytest.approx(abs(A - B).sum(), rel=1e-5)
    np.testing.assert_allclose(da, np.sign(A - B))
    np.testing.assert_allclose(db, -da)


def test_centers_move_whatever_the_weight_of_the_loss():
    labels, centers = np.array([2, 0, 2]), RS.standard_normal((4, 5))
    x = torch.tensor(A).float().requires_grad_()
    call = call_of("CenterLoss", "center_loss_param { num_output: 4 }", (x, labels), weights=(centers,))
    from demitasse.runtime.distance_loss import center

    loss = center(call)
    (0.01 * loss).backward()
    apart = A - centers[labels]
    assert float(loss.detach()) == pytest.approx((apart**2).sum() / 2 / 3, rel=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), 0.01 * apart / 3, rtol=1e-4)
    moves = np.zeros((4, 5))
    moves[0], moves[2] = -apart[1] / 2, -(apart[0] + apart[2]) / 3
    np.testing.assert_allclose(call.weights[0].grad.numpy(), moves, atol=1e-5)


def test_weights_of_another_size_are_refused():
    with pytest.raises(NetError, match=r'"x2" is 3; it needs a weight for each of 3×5'):
        run("SmoothL1Loss", "", A, B, np.ones(3))


def test_a_class_without_a_center_is_refused():
    with pytest.raises(NetError, match="labels of 0 to 3"):
        run("CenterLoss", "center_loss_param { num_output: 4 }", A, np.array([0, 1, 4]), weights=(np.zeros((4, 5)),))
