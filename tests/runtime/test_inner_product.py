"""Layers of one matrix, against loops in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.runtime.inner_product import margin_inner_product  # noqa: E402
from runtime.one_layer import call_of, run  # noqa: E402

RNG = np.random.default_rng(5)
X = RNG.standard_normal((6, 4)).astype(np.float32)
W = RNG.standard_normal((5, 4)).astype(np.float32)
B = RNG.standard_normal(5).astype(np.float32)
LABELS = np.array([0, 4, 2, 2, 1, 3])


@pytest.mark.parametrize("masked_bias", [True, False])
def test_masks_take_weights_away(masked_bias):
    weight_mask, bias_mask = (RNG.integers(0, 2, blob.shape) for blob in (W, B))
    filler = "cinner_product_param { bias_mask_filler { value: 1 } }" if masked_bias else ""
    weights = [W, B, weight_mask, *([bias_mask] if masked_bias else [])]
    y = run("CInnerProduct", f"inner_product_param {{ num_output: 5 }} {filler}", X, weights=weights)
    expected = X @ (W * weight_mask).T + (B * bias_mask if masked_bias else B)
    np.testing.assert_allclose(y.detach(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "m"), [("SINGLE", 1), ("DOUBLE", 2), ("TRIPLE", 3), ("QUADRUPLE", 4)])
def test_the_labels_angle_is_multiplied_and_mixed_in(kind, m):
    text = f"margin_inner_product_param {{ num_output: 5 type: {kind} base: 10 gamma: 0.5 power: 1 iteration: 3 }}"
    call = call_of("MarginInnerProduct", text, [X, LABELS], outputs=2, weights=[W])
    y, told = margin_inner_product(call)
    mixed = 10 / (1 + 0.5 * 4)
    assert told.item() == pytest.approx(mixed)
    rows = W / np.linalg.norm(W, axis=1, keepdims=True)
    np.testing.assert_allclose(call.weights[0].detach(), rows, rtol=1e-5)
    expected = X @ rows.T
    for i, label in enumerate(LABELS):
        length = np.linalg.norm(X[i])
        angle = math.acos(expected[i, label] / length)
        k = math.floor(angle * m / math.pi)
        margin = length * ((-1) ** k * math.cos(m * angle) - 2 * k)
        expected[i, label] = (mixed * expected[i, label] + margin) / (1 + mixed)
    np.testing.assert_allclose(y.detach(), expected, rtol=1e-4, atol=1e-5)


def test_the_margin_grows_from_pass_to_pass():
    text = "margin_inner_product_param { num_output: 5 type: QUADRUPLE base: 8 gamma: 1 power: 1 lambda_min: 1.5 }"
    call = call_of("MarginInnerProduct", text, [X, LABELS], outputs=2, weights=[W])
    assert [margin_inner_product(call)[1].item() for _ in range(5)] == [
        4,
        pytest.approx(8 / 3),
        2,
        pytest.approx(1.6),
        1.5,
    ]


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, -1]])
def test_labels_that_are_no_unit_are_refused(labels):
    with pytest.raises(NetError, match="label from 0 to 4"):
        run("MarginInnerProduct", "margin_inner_product_param { num_output: 5 }", X, np.array(labels), weights=[W])


def test_an_index_behind_the_last_row_is_refused():
    with pytest.raises(NetError, match="indices from 0 to 5, and has 5 rows"):
        run("Embed", "embed_param { num_output: 4 input_dim: 5 bias_term: false }", np.array([0, 5]), weights=[W])
