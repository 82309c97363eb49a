"""Yolov3DetectionOutput against its definition, one number at a time."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import run  # noqa: E402

BIASES = (10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319)
MASKS, SCALES = ((3, 4, 5), (0, 1, 2)), (32, 16)
PARAM = """yolov3_detection_output_param { num_classes: 2 num_box: 3 confidence_threshold: 0.3 nms_threshold: 0.45
biases: [10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319] mask: [3, 4, 5, 0, 1, 2] mask_group_num: 2
anchors_scale: [32, 16] REST }"""


def maps(seed: int, images: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rs = np.random.RandomState(seed)
    return rs.standard_normal((images, 21, 3, 3)), rs.standard_normal((images, 21, 6, 6))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def one_by_one(both: tuple[np.ndarray, ...], image: int) -> list[list[float]]:
    """Detections of one image, by the definition."""
    found = []
    for x, masks, scale in zip(both, MASKS, SCALES, strict=True):
        side = x.shape[-1]
        for n, mask in enumerate(masks):
            for i in range(side):
                for j in range(side):
                    tx, ty, tw, th, objectness, *classes = x[image, 7 * n : 7 * n + 7, i, j]
                    wide = math.exp(tw) * BIASES[2 * mask] / (side * scale)
                    high = math.exp(th) * BIASES[2 * mask + 1] / (side * scale)
                    cx, cy = (j + sigmoid(tx)) / side, (i + sigmoid(ty)) / side
                    for label, score in enumerate(classes):
                        rating = sigmoid(score) * sigmoid(objectness)
                        if rating > 0.3:
                            found.append(
                                [image, label + 1, rating, cx - wide / 2, cy - high / 2, cx + wide / 2, cy + high / 2]
                            )
    kept: list[list[float]] = []
    for row in sorted(found, key=lambda row: -row[2]):
        if all(overlap(row[3:], other[3:]) < 0.45 for other in kept):
            kept.append(row)
    return kept


def overlap(a: list[float], b: list[float]) -> float:
    wide, high = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    shared = max(wide, 0) * max(high, 0)
    return shared / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - shared)


def test_boxes_are_those_of_the_definition():
    both = maps(1, images=2)
    found = run("Yolov3DetectionOutput", PARAM.replace("REST", ""), *both).numpy()[0, 0]
    np.testing.assert_allclose(found, one_by_one(both, 0) + one_by_one(both, 1), atol=1e-5)


def test_nothing_found_is_a_row_an_image():
    quiet = tuple(np.full(x.shape, -9.0) for x in maps(0, images=2))
    found = run("Yolov3DetectionOutput", PARAM.replace("REST", ""), *quiet).numpy()[0, 0]
    assert found.tolist() == [[0, *[-1] * 6], [1, *[-1] * 6]]


@pytest.mark.parametrize(
    ("rest", "said"), [("mask: 9", "masks"), ("gaussian_box: true", "gaussian_box"), ("num_classes: 3", "24 channels")]
)
def test_what_does_not_fit_is_refused(rest, said):
    with pytest.raises(NetError, match=f'layer "L".*{said}'):
        run("Yolov3DetectionOutput", PARAM.replace("REST", rest), *maps(0))
