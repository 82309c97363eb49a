"""Convolutions of forks, against Caffe's own convolution and loops."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from runtime.one_layer import run  # noqa: E402

RNG = np.random.default_rng(6)
X = RNG.standard_normal((2, 4, 6, 7)).astype(np.float32)
W = RNG.standard_normal((8, 2, 3, 3)).astype(np.float32)
B = RNG.standard_normal(8).astype(np.float32)
TEXT = "convolution_param { num_output: 8 kernel_size: 3 pad: 1 group: 2 }"


@pytest.mark.parametrize("masked_bias", [True, False])
def test_masks_take_weights_away(masked_bias):
    weight_mask, bias_mask = (RNG.integers(0, 2, blob.shape) for blob in (W, B))
    filler = "cconvolution_param { bias_mask_filler { value: 1 } }" if masked_bias else ""
    weights = [W, B, weight_mask, *([bias_mask] if masked_bias else [])]
    masked = run("CConvolution", f"{TEXT} {filler}", X, weights=weights)
    plain = run("Convolution", TEXT, X, weights=[W * weight_mask, B * bias_mask if masked_bias else B])
    np.testing.assert_allclose(masked.detach(), plain.detach(), rtol=1e-5, atol=1e-5)


def test_depthwise_by_channels_is_a_convolution_with_as_many_groups():
    kernels, bias = W[:4, :1], B[:4]
    text = "convolution_param { num_output: 4 kernel_size: 3 stride: 2 %s }"
    y = run("ConvolutionDepthwise", text % "", X, weights=[kernels, bias])
    plain = run("Convolution", text % "group: 4", X, weights=[kernels, bias])
    np.testing.assert_array_equal(y.detach(), plain.detach())


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_sides_padded_by_their_own(kind):
    weights = [W if kind == "Convolution" else W.reshape(4, 4, 3, 3), B]
    even = run(kind, TEXT, X, weights=weights).detach()
    sides = "convolution_param { num_output: 8 kernel_size: 3 group: 2 pad_l: %d pad_r: 1 pad_t: 1 pad_b: 0 }"
    odd = run(kind, sides % 1, X, weights=weights).detach()
    kept = even[:, :, :-1] if kind == "Convolution" else even
    np.testing.assert_allclose(odd[:, :, : kept.shape[2]], kept, rtol=1e-5, atol=1e-5)


def test_a_window_larger_than_the_input_reads_zeros_behind_it():
    text = "convolution_param { num_output: 8 kernel_size: 3 stride: 4 group: 2 }"
    short = X[:, :, :2, :]
    y = run("Convolution", text, short, weights=[W, B]).detach()
    wide = np.pad(short, ((0, 0), (0, 0), (0, 1), (0, 0)))
    np.testing.assert_allclose(y, run("Convolution", text, wide, weights=[W, B]).detach(), rtol=1e-5, atol=1e-5)
    assert y.shape[2] == 1


def test_columns_times_weights_are_the_convolution():
    text = "convolution_param { kernel_size: 3 pad: 1 stride: 2 dilation: 2 %s }"
    columns = run("Im2col", text % "", X).numpy()
    weights = RNG.standard_normal((5, 4, 3, 3)).astype(np.float32)
    y = run("Convolution", text % "num_output: 5 bias_term: false", X, weights=[weights]).detach()
    product = np.einsum("ok,nkhw->nohw", weights.reshape(5, -1), columns)
    np.testing.assert_allclose(y, product, rtol=1e-4, atol=1e-4)


def test_a_convolution_without_spatial_axes_is_a_matrix():
    weights = [W[:, :, 0, 0].reshape(4, 4), B[:4]]
    y = run("Convolution", "convolution_param { num_output: 4 kernel_size: 1 axis: 1 }", X[:, :, 0, 0], weights=weights)
    np.testing.assert_allclose(y.detach(), X[:, :, 0, 0] @ weights[0].T + weights[1], rtol=1e-5, atol=1e-5)
