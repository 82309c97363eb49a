"""Rearrangements that the reference data of Caffe does not hold, or whose inverse is known."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import run  # noqa: E402

X = np.arange(2 * 8 * 4 * 6, dtype=np.float32).reshape(2, 8, 4, 6)


def test_crop_center_cuts_both_ends_of_each_axis():
    y = run("CropCenter", "crop_center_param { crop_size: 0 crop_size: 1 crop_size: 0 crop_size: 2 }", X)
    np.testing.assert_array_equal(y, X[:, 1:-1, :, 2:-2])


@pytest.mark.parametrize("reverse", [False, True])
def test_reorg_counts_as_darknet_does(reverse):
    """Two pictures' memories, element by element: C channels of H×W, and C / 4 channels of 2H×2W."""
    images, channels, height, width = X.shape
    few = channels // 4
    flat = X.reshape(images, -1)
    expected = np.empty_like(flat)
    for c, h, w in np.ndindex(channels, height, width):
        offset, kept = c // few, c % few
        small = w + width * (h + height * c)
        large = 2 * w + offset % 2 + 2 * width * (2 * h + offset // 2 + 2 * height * kept)
        if reverse:
            expected[:, large] = flat[:, small]
        else:
            expected[:, small] = flat[:, large]
    y = run("Reorg", f"reorg_param {{ stride: 2 reverse: {str(reverse).lower()} }}", X)
    assert y.shape == ((2, 2, 8, 12) if reverse else (2, 32, 2, 3))
    np.testing.assert_array_equal(y.reshape(images, -1), expected)


def test_reorg_needs_channels_for_whole_squares():
    with pytest.raises(NetError, match="multiple of 9"):
        run("Reorg", "reorg_param { stride: 3 reverse: true }", X)


def test_a_reshape_can_shuffle_pixels():
    shuffled = run("Reshape", "reshape_param { pixelshuffler: 2 }", X)
    np.testing.assert_array_equal(shuffled, run("PixelShuffle", "pixelshuffle_param { upscale_factor: 2 }", X))


def test_shuffling_channels_by_both_factors_undoes_itself():
    once = run("ShuffleChannel", "shuffle_channel_param { group: 2 }", X)
    np.testing.assert_array_equal(run("ShuffleChannel", "shuffle_channel_param { group: 4 }", once), X)
