"""Python's ProposalLayer against its definition, one box at a time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.layers.anchors import anchors  # noqa: E402
from demitasse.runtime.proposals import proposal, pvanet_proposal  # noqa: E402
from runtime.one_layer import call_of, run  # noqa: E402

RS = np.random.RandomState(8)
KNOWN = """-84 -40 99 55  -176 -88 191 103  -360 -184 375 199
-56 -56 71 71  -120 -120 135 135  -248 -248 263 263
-36 -80 51 95  -80 -168 95 183  -168 -344 183 359"""
"""The nine anchors of Faster R-CNN, as its authors print them (counted from 0)."""


def test_anchors_are_those_of_faster_rcnn():
    expected = np.array(KNOWN.split(), float).reshape(9, 4)
    np.testing.assert_array_equal(anchors(16, (0.5, 1, 2), (8, 16, 32)), expected)


def layer_text(param: str = "{ 'feat_stride': 16 }") -> str:
    return f"""python_param {{ module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "{param}" }}"""


def one_by_one(scores: np.ndarray, moves: np.ndarray, info: np.ndarray) -> list[tuple[float, ...]]:
    """(score, x1, y1, x2, y2), best first."""
    shapes, boxes = anchors(16, (0.5, 1, 2), (8, 16, 32)), []
    for k, shape in enumerate(shapes):
        for i in range(scores.shape[2]):
            for j in range(scores.shape[3]):
                x1, y1, x2, y2 = shape + np.float32([16 * j, 16 * i] * 2)
                dx, dy, dw, dh = moves[0, 4 * k : 4 * k + 4, i, j]
                wide, high = x2 - x1 + 1, y2 - y1 + 1
                x, y = x1 + wide / 2 + dx * wide, y1 + high / 2 + dy * high
                half = np.exp(dw) * wide / 2, np.exp(dh) * high / 2
                x1, x2 = np.clip((x - half[0], x + half[0]), 0, info[1] - 1)
                y1, y2 = np.clip((y - half[1], y + half[1]), 0, info[0] - 1)
                if min(x2 - x1, y2 - y1) + 1 >= 16 * info[2]:
                    boxes.append((float(scores[0, 9 + k, i, j]), x1, y1, x2, y2))
    kept: list[tuple[float, ...]] = []
    for box in sorted(boxes, reverse=True):
        if all(overlap(box[1:], other[1:]) <= 0.7 for other in kept):
            kept.append(box)
    return kept[:300]


def overlap(a, b) -> float:
    wide, high = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + 1 for k in (0, 1))
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    shared = max(wide, 0) * max(high, 0)
    return shared / (sum(areas) - shared)


def inputs(images: int = 1) -> tuple[np.ndarray, ...]:
    rs = np.random.RandomState(8)
    info = np.float32([[100, 120, 2.5]])
    return rs.uniform(0, 1, (images, 18, 6, 7)), rs.standard_normal((images, 36, 6, 7)) * 0.4, info


def test_regions_are_those_of_the_definition():
    scores, moves, info = inputs()
    regions, found = run("Python", layer_text(), scores, moves, info, outputs=2)
    expected = one_by_one(scores, moves, info[0])
    assert len(expected) > 10
    assert found.shape == (len(expected), 1, 1, 1)
    assert not regions[:, 0].any()
    np.testing.assert_allclose(regions.numpy()[:, 1:], np.array(expected)[:, 1:], atol=1e-3)
    np.testing.assert_allclose(found.numpy().reshape(-1), np.array(expected)[:, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "images", "said"),
    [
        (layer_text(), 2, "one at a time"),
        (layer_text("{}"), 1, "feat_stride"),
        (layer_text("{ 'feat_stride': 16, 'scales': [4, 8] }"), 1, "6 anchors"),
        (layer_text("{ 'feat_stride': 16, 'scales': 'big' }"), 1, "scales"),
        (layer_text("{ 'feat_stride': 16, 'ratios': [0, 1] }"), 1, "ratios .* above 0"),
    ],
)
def test_what_does_not_fit_is_refused(text, images, said):
    with pytest.raises(NetError, match=f'layer "L".*{said}'):
        run("Python", text, *inputs(images))


def test_ratios_of_pvanet_make_its_anchors():
    scores, moves, info = inputs()
    text = "{ 'feat_stride': 16, 'ratios': [0.5, 1, 2], 'scales': [8, 16, 32] }"
    same, other = (run("Python", layer_text(said), scores, moves, info) for said in (text, "{ 'feat_stride': 16 }"))
    np.testing.assert_array_equal(same, other)
    three = (scores[:, :6], moves[:, :12], info)
    regions = run("Python", layer_text("{ 'feat_stride': 16, 'ratios': [1], 'scales': [2, 3, 5] }"), *three)
    assert regions.shape[1] == 5


def test_anchors_in_a_compiled_layer_are_sides_in_pixels_or_by_a_plugin_pvanets_multiples():
    scores, moves, info = (each[:, :4] if each.ndim == 4 else each for each in inputs())
    moves, info = np.zeros((1, 8, 6, 7), np.float32), np.float32([[200, 300, 1]])
    text = "proposal_param { ratio: 1 scale: 2 scale: 4 min_size: 1 nms_thresh: 1 post_nms_topn: 84 }"
    for compute, sides in ((proposal, {2, 4}), (pvanet_proposal, {32, 64})):
        regions = compute(call_of("Proposal", text, [scores, moves, info]))[0].numpy()
        inner = regions[(regions[:, 1:3] > 0).all(1) & (regions[:, 3] < 299) & (regions[:, 4] < 199)]
        assert set((inner[:, 3] - inner[:, 1]).tolist()) == sides


def test_parameters_of_another_fork_are_refused():
    with pytest.raises(NetError, match="Synopsys"):
        run("Proposal", "proposal_param { feat_stride: 16 anchor_scale: 3 }", *inputs())
