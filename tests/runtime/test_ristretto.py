"""Ristretto's rounding, number by number."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.runtime.ristretto import small_floats  # noqa: E402
from runtime.one_layer import call_of, run  # noqa: E402

RS = np.random.RandomState(2)
X, W = RS.standard_normal((3, 5)).astype(np.float32), RS.standard_normal((4, 5)).astype(np.float32)
FIXED = "bw_params: 8 fl_params: 5 bw_layer_in: 6 fl_layer_in: 3 bw_layer_out: 8 fl_layer_out: 4"


def text(quantization: str) -> str:
    return f"inner_product_param {{ num_output: 4 bias_term: false }} quantization_param {{ {quantization} }}"


def fixed(x: np.ndarray, bits: int, fraction: int) -> np.ndarray:
    step = 2.0**-fraction
    return np.clip(np.rint(x / step), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * step


def test_fixed_point_rounds_weights_inputs_and_results():
    found = run("FcRistretto", text(FIXED), X, weights=(W,))
    np.testing.assert_array_equal(found.detach().numpy(), fixed(fixed(X, 6, 3) @ fixed(W, 8, 5).T, 8, 4))


def test_powers_of_two():
    found = run(
        "FcRistretto", text("precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: -3 exp_max: 0"), np.eye(5), weights=(W,)
    )
    expected = np.sign(W) * 2.0 ** np.clip(np.rint(np.log2(abs(W))), -3, 0)
    np.testing.assert_allclose(found.detach().numpy(), expected.T, atol=2**-16)


def test_half_precision_is_a_small_float():
    """Ten bits of mantissa and five of exponent: what half precision has, within its normal range."""
    x = torch.tensor(RS.standard_normal(500).astype(np.float32) * 3)
    x = x[x.abs() > 2**-14]
    half = x.half().float()
    torch.testing.assert_close(small_floats(x, 10, 5, torch.round), half, rtol=0, atol=0)


def test_small_floats_saturate_and_vanish():
    x = torch.tensor([1e9, -1e9, 1e-9, 0.0])
    assert small_floats(x, 2, 3, torch.round).tolist() == [28.0, -28.0, 0, 0]


def test_in_training_weights_alone_are_rounded_up_or_down():
    call = call_of("FcRistretto", text(FIXED), (np.eye(5),), weights=(W,), phase="TRAIN")
    from demitasse.runtime.ristretto import rounded_inner_product

    steps = rounded_inner_product(call).detach().numpy().T * 32
    np.testing.assert_array_equal(steps, np.rint(steps))
    assert (abs(steps - np.clip(W * 32, -128, 127)) < 1).all()
    rounded_inner_product(call).sum().backward()
    assert call.weights[0].grad.unique().tolist() == [1.0]


@pytest.mark.parametrize(("field", "said"), [("precision: FLOAT", "precision is FLOAT"), ("scale_in: 2", "Intel")])
def test_other_arithmetic_is_refused(field, said):
    with pytest.raises(NetError, match=said):
        run("FcRistretto", text(field), X, weights=(W,))
