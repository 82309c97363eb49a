"""BoxAnnotatorOHEM: the regions of largest loss, image by image."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import run  # noqa: E402

LOSSES = np.array([0.5, 2, 1, 0.1, 3, 0.2])
IMAGES = np.array([0, 0, 0, 1, 1, 1])
LABELS = np.array([4, 5, 6, 7, 8, 9])


def shapes(four: bool) -> tuple[np.ndarray, ...]:
    """Regions, losses, labels and weights, with or without height and width of 1."""
    regions = np.zeros((6, 5))
    regions[:, 0] = IMAGES
    weights = np.arange(1, 49).reshape(6, 8)
    inputs = (regions, LOSSES, LABELS, weights)
    return tuple(value.reshape(6, -1, 1, 1) for value in inputs) if four else inputs


@pytest.mark.parametrize("four", [False, True])
def test_the_hardest_of_each_image_are_kept(four):
    inputs = shapes(four)
    labels, weights = run("BoxAnnotatorOHEM", "box_annotator_ohem_param { roi_per_img: 2 }", *inputs, outputs=2)
    kept = np.array([False, True, True, False, True, True])
    assert labels.shape == inputs[2].shape
    assert labels.reshape(-1).tolist() == np.where(kept, LABELS, -1).tolist()
    np.testing.assert_array_equal(weights.numpy().reshape(6, 8), inputs[3].reshape(6, 8) * kept[:, None])


def test_a_number_of_regions_is_needed():
    with pytest.raises(NetError, match="roi_per_img"):
        run("BoxAnnotatorOHEM", "", *shapes(False), outputs=2)
