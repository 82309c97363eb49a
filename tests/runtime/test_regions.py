"""Regions against the definitions written as loops."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import run  # noqa: E402

REGIONS = np.array(
    [
        [0, 3, 2, 30, 25],
        [1, 0, 0, 47, 39],
        [1, 10, 12, 13, 13],
        [0, 40, 30, 70, 60],
        [0, 20, 20, 5, 5],
        [1, -9, -7, 8, 6],
    ]
)
SCALE = 0.125


def half_away(x: float) -> int:
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def maxima(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """ROIPooling, one element at a time."""
    _, channels, height, width = x.shape
    out = np.zeros((len(REGIONS), channels, rows, columns), np.float32)
    for n, (image, *corners) in enumerate(REGIONS):
        x1, y1, x2, y2 = (half_away(v * SCALE) for v in corners)
        down, across = (
            np.float32(max(y2 - y1 + 1, 1)) / np.float32(rows),
            np.float32(max(x2 - x1 + 1, 1)) / np.float32(columns),
        )
        for i in range(rows):
            for j in range(columns):
                top, bottom = (min(max(v + y1, 0), height) for v in (math.floor(i * down), math.ceil((i + 1) * down)))
                left, right = (
                    min(max(v + x1, 0), width) for v in (math.floor(j * across), math.ceil((j + 1) * across))
                )
                cell = x[image, :, top:bottom, left:right]
                out[n, :, i, j] = cell.max((1, 2)) if cell.size else 0
    return out


@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (2, 3), (1, 1)])
def test_roi_pooling(rows, columns):
    x = np.random.RandomState(0).standard_normal((2, 3, 5, 6)).astype(np.float32)
    found = run(
        "ROIPooling", f"roi_pooling_param {{ pooled_h: {rows} pooled_w: {columns} spatial_scale: {SCALE} }}", x, REGIONS
    )
    np.testing.assert_array_equal(found.numpy(), maxima(x, rows, columns))


def test_the_first_of_equal_elements_gets_the_gradient():
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    run("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 2 }", x, np.array([[0, 0, 0, 3, 3]])).sum().backward()
    assert torch.nonzero(x.grad[0, 0]).tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]


def means(x: np.ndarray, maps: int, cells: int) -> np.ndarray:
    """PSROIPooling, one element at a time."""
    height, width = x.shape[2:]
    out = np.zeros((len(REGIONS), maps, cells, cells))
    for n, (image, *corners) in enumerate(REGIONS):
        x1, y1 = (half_away(v) * SCALE for v in corners[:2])
        x2, y2 = ((half_away(v) + 1) * SCALE for v in corners[2:])
        down, across = max(y2 - y1, 0.1) / cells, max(x2 - x1, 0.1) / cells
        for m in range(maps):
            for i in range(cells):
                for j in range(cells):
                    top, bottom = (
                        min(max(v, 0), height) for v in (math.floor(i * down + y1), math.ceil((i + 1) * down + y1))
                    )
                    left, right = (
                        min(max(v, 0), width) for v in (math.floor(j * across + x1), math.ceil((j + 1) * across + x1))
                    )
                    cell = x[image, (m * cells + i) * cells + j, top:bottom, left:right]
                    out[n, m, i, j] = cell.mean() if cell.size else 0
    return out


def test_position_sensitive_roi_pooling():
    x = torch.from_numpy(np.random.RandomState(1).standard_normal((2, 18, 5, 6)).astype(np.float32)).requires_grad_()
    text = f"psroi_pooling_param {{ output_dim: 2 group_size: 3 spatial_scale: {SCALE} }}"
    found = run("PSROIPooling", text, x, REGIONS)
    np.testing.assert_allclose(found.detach().numpy(), means(x.detach().numpy(), 2, 3), atol=1e-6)
    found.sum().backward()
    full = means(np.ones((2, 18, 5, 6)), 2, 3)
    assert float(x.grad.sum()) == pytest.approx(full.sum(), rel=1e-5)


def bilinear(x: np.ndarray, row: float, column: float) -> np.ndarray:
    height, width = x.shape[1:]
    if not (-1 <= row <= height and -1 <= column <= width):
        return np.zeros(len(x))
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    i, j = int(row), int(column)
    i2, j2 = min(i + 1, height - 1), min(j + 1, width - 1)
    a, b = row - i, column - j
    return (1 - a) * ((1 - b) * x[:, i, j] + b * x[:, i, j2]) + a * ((1 - b) * x[:, i2, j] + b * x[:, i2, j2])


def interpolations(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """ROIAlign, one point at a time."""
    out = np.zeros((len(REGIONS), x.shape[1], rows, columns))
    for n, (image, *corners) in enumerate(REGIONS):
        x1, y1, x2, y2 = (v * SCALE for v in corners)
        down, across = max(y2 - y1, 1) / rows, max(x2 - x1, 1) / columns
        many, wide = math.ceil(down), math.ceil(across)
        for i in range(rows):
            for j in range(columns):
                points = [
                    bilinear(x[image], y1 + down * (i + (a + 0.5) / many), x1 + across * (j + (b + 0.5) / wide))
                    for a in range(many)
                    for b in range(wide)
                ]
                out[n, :, i, j] = np.mean(points, 0)
    return out


@pytest.mark.parametrize(("rows", "columns"), [(3, 2), (7, 7)])
def test_roi_align(rows, columns):
    x = np.random.RandomState(2).standard_normal((2, 3, 5, 6)).astype(np.float32)
    text = f"roi_align_param {{ pooled_h: {rows} pooled_w: {columns} spatial_scale: {SCALE} }}"
    np.testing.assert_allclose(run("ROIAlign", text, x, REGIONS).numpy(), interpolations(x, rows, columns), atol=1e-5)


KINDS = {
    "ROIPooling": "roi_pooling_param { pooled_h: 2 pooled_w: 2 }",
    "ROIAlign": "roi_align_param { pooled_h: 2 pooled_w: 2 }",
    "PSROIPooling": "psroi_pooling_param { output_dim: 1 group_size: 2 spatial_scale: 1 }",
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_region_gives_no_row(kind):
    assert len(run(kind, KINDS[kind], np.zeros((1, 4, 5, 5)), np.zeros((0, 5)))) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", [-1, 1])
def test_a_region_of_a_missing_image_is_refused(kind, image):
    with pytest.raises(NetError, match=r'layer "L".*image outside of 0 to 0'):
        run(kind, KINDS[kind], np.zeros((1, 4, 5, 5)), np.array([[image, 0, 0, 2, 2]]))
