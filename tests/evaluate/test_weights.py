import math

import numpy as np
import pytest

from demitasse.errors import NetError
from demitasse.evaluate.weights import BLOCK, check_finite, decibels, identical, weight_errors
from demitasse.net import Dense, Layer, Net


def net(**layers) -> Net:
    return Net("n", tuple(Layer(name, "X", tensors=tuple(Dense(t) for t in ts)) for name, ts in layers.items()))


@pytest.mark.parametrize(
    ("signal", "noise", "expected"),
    [(1, 0, math.inf), (0, 0, math.inf), (100, 1, 20), (1, 1, 0), (0, 1, -math.inf), (1, math.inf, -math.inf)],
)
def test_decibels(signal, noise, expected):
    assert decibels(signal, noise) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 1000, BLOCK + 7])
def test_noise_and_signal_are_what_numpy_says(dtype, size):
    random = np.random.default_rng(size)
    a = random.standard_normal(size).astype(dtype)
    b = (a + dtype(0.01) * random.standard_normal(size).astype(dtype)).astype(dtype)
    (error,), unmatched = weight_errors(net(c=[a]), net(c=[b]))
    difference = b.astype(np.float64) - a.astype(np.float64)
    assert unmatched == ()
    assert error.signal == pytest.approx((a.astype(np.float64) ** 2).sum(), rel=1e-3)
    assert error.noise == pytest.approx((difference**2).sum(), rel=1e-3)
    assert error.largest == pytest.approx(np.abs(difference).max(), rel=1e-3)


def test_equal_nan_and_inf_are_no_error():
    values = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    assert identical(net(c=[values]), net(c=[values.copy()]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_became_no_number_is_infinite_noise(value):
    (error,), _ = weight_errors(net(c=[np.ones(3, np.float32)]), net(c=[np.array([1, value, 1], np.float32)]))
    assert error.snr == -math.inf


def test_layers_that_do_not_match_are_named():
    a, b = np.ones(3, np.float32), np.ones(4, np.float32)
    _, unmatched = weight_errors(net(same=[a], resized=[a], gone=[a]), net(same=[a], resized=[b], new=[a]))
    assert unmatched == ("resized", "gone", "new")
    assert not identical(net(c=[a]), net())


class InParts(Dense):
    """As a tensor that is still in its file."""

    def parts(self):
        flat = self.values.ravel()
        yield from (flat[:3], flat[3 : BLOCK + 10], flat[BLOCK + 10 :])


@pytest.mark.parametrize(("one", "other"), [(InParts, Dense), (Dense, InParts), (InParts, InParts)])
def test_tensors_that_come_in_parts(one, other):
    a = np.random.default_rng(0).standard_normal(2 * BLOCK).astype(np.float32)
    b = a.copy()
    b[BLOCK + 11] += 1
    first, second = (Net("n", (Layer("c", "X", tensors=(kind(v),)),)) for kind, v in ((one, a), (other, b)))
    (error,), _ = weight_errors(first, second)
    assert (error.noise, error.largest) == (pytest.approx(1), pytest.approx(1))
    assert error.signal == pytest.approx(float(np.vdot(a, a)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_named(bad):
    values = np.ones((2, 3), np.float32)
    check_finite(net(a=[values], b=[values, values]), "x.caffemodel")
    broken = values.copy()
    broken[1, 1:] = bad
    with pytest.raises(NetError, match=r'x\.caffemodel: layer "b" \(X\), blob 1: 2 of 6 weights are not finite'):
        check_finite(net(a=[values], b=[values, broken]), "x.caffemodel")
