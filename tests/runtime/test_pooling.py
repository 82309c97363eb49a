"""Pooling against loops over windows, written from Caffe's definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.runtime.pooling import LOWEST, drawn, pooling  # noqa: E402
from runtime.one_layer import call_of, run  # noqa: E402

X = np.random.default_rng(7).uniform(0.1, 2, (2, 3, 7, 9)).astype(np.float32)


def loop(x: np.ndarray, text: dict[str, int], size: tuple[int, int], method: str) -> np.ndarray:
    """Window by window."""
    kernel, stride, pad = text["kernel_size"], text["stride"], text["pad"]
    result = np.empty((*x.shape[:2], *size), np.float32)
    for i in range(size[0]):
        for j in range(size[1]):
            top, left = i * stride - pad, j * stride - pad
            bottom, right = min(top + kernel, x.shape[2] + pad), min(left + kernel, x.shape[3] + pad)
            area = (bottom - top) * (right - left)
            window = x[:, :, max(top, 0) : min(bottom, x.shape[2]), max(left, 0) : min(right, x.shape[3])]
            if method != "MAX":
                if method == "AVE_EXC_PAD":
                    area = (min(bottom, x.shape[2]) - max(top, 0)) * (min(right, x.shape[3]) - max(left, 0))
                with np.errstate(divide="ignore", invalid="ignore"):
                    result[:, :, i, j] = window.sum((2, 3)) / np.float32(area)
            else:
                result[:, :, i, j] = window.max((2, 3), initial=LOWEST)
    return result


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 6),
    pad=st.integers(0, 4),
    height=st.integers(1, 9),
    method=st.sampled_from(["MAX", "AVE", "AVE_EXC_PAD"]),
    floor=st.booleans(),
)
def test_any_window_is_what_a_loop_finds(kernel, stride, pad, height, method, floor):
    pad = min(pad, kernel - 1)
    x = X[:, :, : min(height, 7)]
    if any(size + 2 * pad < kernel for size in x.shape[2:]):
        return
    numbers = {"kernel_size": kernel, "stride": stride, "pad": pad}
    text = " ".join(f"{name}: {value}" for name, value in numbers.items())
    text = f"pooling_param {{ {text} pool: {method} {'round_mode: FLOOR' if floor else ''} }}"
    call = call_of("Pooling", text, [x])
    expected = loop(x, numbers, call.shape[2:], method)
    np.testing.assert_allclose(pooling(call), expected, rtol=1e-5, atol=1e-6)
    if method == "MAX":
        found, places = pooling(call_of("Pooling", text, [x], outputs=2))
        inside = places >= 0
        picked = np.take_along_axis(x.reshape(2, 3, -1), places.clamp_min(0).long().flatten(2).numpy(), 2)
        np.testing.assert_array_equal(found[inside], torch.from_numpy(picked).reshape(found.shape)[inside])


def test_stochastic_pooling_weights_values_by_themselves_when_testing():
    y = run("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }", X)
    window = X[:, :, 2:5, 4:7]
    np.testing.assert_allclose(y[:, :, 1, 2], np.square(window).sum((2, 3)) / window.sum((2, 3)), rtol=1e-5)


def test_stochastic_pooling_is_not_trained_on_a_processor():
    with pytest.raises(NetError, match=r"STOCHASTIC is trained on a graphics card only"):
        run("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }", X, phase="TRAIN")


def test_stochastic_pooling_draws_values_by_their_size_in_training():
    y = drawn(torch.tensor([1.0, 0.0, 2.0, 5.0]).expand(100, 100, 4), torch.Generator().manual_seed(1))
    shares = {value: float((y == value).float().mean()) for value in (0.0, 1.0, 2.0, 5.0)}
    assert shares[0.0] == 0
    for value in (1, 2, 5):
        assert shares[value] == pytest.approx(value / 8, abs=0.02)
