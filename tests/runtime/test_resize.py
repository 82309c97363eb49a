"""Sizes changed by copying and interpolating, against loops in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import run  # noqa: E402

X = np.random.default_rng(4).standard_normal((2, 3, 5, 7)).astype(np.float32)


def interpolated(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear, at the given places of rows and columns."""
    result = np.empty((*x.shape[:2], len(rows), len(columns)), np.float32)
    for i, r in enumerate(rows):
        for j, c in enumerate(columns):
            top, left = int(r), int(c)
            below, right = min(top + 1, x.shape[2] - 1), min(left + 1, x.shape[3] - 1)
            upper = x[..., top, left] * (1 - c + left) + x[..., top, right] * (c - left)
            lower = x[..., below, left] * (1 - c + left) + x[..., below, right] * (c - left)
            result[..., i, j] = upper * (1 - r + top) + lower * (r - top)
    return result


def test_interp_crops_by_negative_padding_and_aligns_corners():
    y = run("Interp", "interp_param { pad_beg: -1 pad_end: -1 zoom_factor: 3 }", X)
    inner = X[:, :, 1:-1, 1:-1]
    np.testing.assert_allclose(
        y, interpolated(inner, np.linspace(0, 2, 7), np.linspace(0, 4, 13)), rtol=1e-4, atol=1e-5
    )


def test_interp_to_the_size_of_a_second_input():
    y = run("Interp", "", X, np.zeros((2, 1, 9, 4)))
    np.testing.assert_allclose(y, interpolated(X, np.linspace(0, 4, 9), np.linspace(0, 6, 4)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "rows", "columns"),
    [
        ("align_corners: true", np.linspace(0, 4, 8), np.linspace(0, 6, 3)),
        ("", np.arange(8) * 5 / 8, np.arange(3) * 7 / 3),
        ("half_pixel_centers: true", (np.arange(8) + 0.5) * 5 / 8 - 0.5, (np.arange(3) + 0.5) * 7 / 3 - 0.5),
    ],
)
@pytest.mark.parametrize("planes", [True, False])
def test_resize_bilinear_is_tensorflows(options, rows, columns, planes):
    x = X if planes else np.moveaxis(X, 1, 3)
    order = 'data_format: "NCHW"' if planes else ""
    y = run("ResizeBilinear", f"resize_bilinear_param {{ output_height: 8 output_width: 3 {order} {options} }}", x)
    expected = interpolated(X, np.clip(rows, 0, 4), np.clip(columns, 0, 6))
    np.testing.assert_allclose(y if planes else np.moveaxis(y.numpy(), 3, 1), expected, rtol=1e-4, atol=1e-5)


def test_padding_adds_zeros_and_cuts():
    y = run("Padding", "padding_param { pad_beg: 2 pad_end: -1 }", X)
    np.testing.assert_array_equal(y, np.pad(X, ((0, 0), (0, 0), (2, 0), (2, 0)))[:, :, :-1, :-1])


@pytest.mark.parametrize(("kind", "mode"), [("CONSTANT", "constant"), ("REPLICATE", "edge"), ("REFLECT", "reflect")])
def test_pad_is_numpys(kind, mode):
    y = run("Pad", f"pad_param {{ pad_type: {kind} pad_u: 2 pad_d: 1 pad_l: 3 }}", X)
    np.testing.assert_array_equal(y, np.pad(X, ((0, 0), (0, 0), (2, 1), (3, 0)), mode=mode))


def test_upsampling_by_a_mask_undoes_pooling():
    pooled, mask = run("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", X, outputs=2)
    y = run("Upsample", "upsample_param { scale: 2 upsample_h: 5 upsample_w: 7 }", pooled, mask).numpy()
    assert y.shape == X.shape
    np.testing.assert_array_equal(y[y != 0], X[y != 0])
    np.testing.assert_allclose(np.sort(y[y != 0]), np.sort(pooled.numpy().reshape(-1)))


def test_a_mask_that_points_outside_is_refused():
    with pytest.raises(NetError, match="position in its mask"):
        run("Upsample", "upsample_param { scale: 2 }", np.ones((1, 1, 2, 2)), np.full((1, 1, 2, 2), 16))


def test_upsampling_without_a_mask_repeats_pixels():
    np.testing.assert_array_equal(run("Upsample", "upsample_param { scale: 3 }", X), X.repeat(3, 2).repeat(3, 3))
