"""Normalisation against its definitions in NumPy, for what the reference data of Caffe does not hold."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.runtime.normalize import batch_norm, bn  # noqa: E402
from runtime.one_layer import call_of, run  # noqa: E402

RNG = np.random.default_rng(3)
X = RNG.standard_normal((3, 4, 5, 2)).astype(np.float32)
FOUR = [RNG.uniform(0.5, 1.5, (1, 4, 1, 1)).astype(np.float32) for _ in range(4)]


def normalized(x: np.ndarray, eps: float) -> np.ndarray:
    axes = (0, *range(2, x.ndim))
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def test_segnets_bn_shifts_scaled_values_or_normalises_the_batch():
    scale, shift = FOUR[:2]
    inference = run("BN", "bn_param { bn_mode: INFERENCE }", X, weights=FOUR[:2])
    np.testing.assert_allclose(inference.detach(), X * scale + shift, rtol=1e-5, atol=1e-6)
    learning = run("BN", "bn_param { bn_mode: LEARN }", X, weights=FOUR[:2])
    np.testing.assert_allclose(learning.detach(), normalized(X, 1e-9) * scale + shift, rtol=1e-4, atol=1e-5)


def test_pspnets_bn_keeps_running_averages():
    slope, shift, mean, variance = FOUR
    text = "bn_param { slope_filler { value: 1 } momentum: 0.8 }"
    tested = run("BN", text, X, weights=FOUR)
    expected = (X - mean) / np.sqrt(variance + 1e-5) * slope + shift
    np.testing.assert_allclose(tested.detach(), expected, rtol=1e-5, atol=1e-5)
    call = call_of("BN", text, [X], weights=FOUR, phase="TRAIN")
    np.testing.assert_allclose(bn(call).detach(), normalized(X, 1e-5) * slope + shift, rtol=1e-4, atol=1e-5)
    kept = 0.8 * mean.reshape(-1) + 0.2 * X.mean((0, 2, 3))
    np.testing.assert_allclose(call.weights[2].detach().reshape(-1), kept, rtol=1e-5)
    frozen = run("BN", "bn_param { frozen: true }", X, weights=FOUR, phase="TRAIN")
    np.testing.assert_allclose(frozen.detach(), expected, rtol=1e-5, atol=1e-5)


def test_nvcaffes_batch_norm_has_scale_and_bias_of_its_own():
    mean, variance, scale, shift = (blob.reshape(-1) for blob in FOUR)
    weights = [mean, variance, np.ones(1), scale, shift]
    y = run("BatchNorm", "batch_norm_param { scale_bias: true }", X, weights=weights)
    spread = (1, -1, 1, 1)
    plain = (X - mean.reshape(spread)) / np.sqrt(variance.reshape(spread) + 1e-5)
    np.testing.assert_allclose(y.detach(), plain * scale.reshape(spread) + shift.reshape(spread), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kept", [0.999, 0.5])
def test_what_training_stores_is_what_testing_divides_out(kept):
    """After many passes over one batch, stored statistics divided by their factor are that batch's."""
    text = f"batch_norm_param {{ moving_average_fraction: {kept} }}"
    call = call_of("BatchNorm", text, [X], weights=[np.zeros(4), np.zeros(4), np.zeros(1)], phase="TRAIN")
    for _ in range(5):
        batch_norm(call)
    mean, variance, factor = (blob.detach().numpy() for blob in call.weights)
    np.testing.assert_allclose(mean / factor, X.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance / factor, X.var((0, 2, 3), ddof=1), rtol=1e-4)


def test_deviation_of_zero_has_a_finite_gradient():
    x = torch.ones(2, 3, 4, 4, requires_grad=True)
    run("MVN", "", x).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_local_response_across_channels_is_its_definition(size):
    y = run("LRN", f"lrn_param {{ local_size: {size} alpha: 0.3 beta: 0.6 k: 2 }}", X)
    for c in range(4):
        around = X[:, max(0, c - size // 2) : c + size // 2 + 1]
        expected = X[:, c] * (2 + 0.3 / size * np.square(around).sum(1)) ** -0.6
        np.testing.assert_allclose(y[:, c], expected, rtol=1e-5, atol=1e-6)
