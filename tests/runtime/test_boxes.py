"""Laws of boxes: suppression against its definition, codes against their inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.runtime.boxes import CODES, decode, encode, overlaps, suppress
from demitasse.runtime.quicksort import falling


def boxes(seed: int, number: int, upright: bool = True) -> np.ndarray:
    rs = np.random.RandomState(seed)
    made = rs.uniform(0, 1, (number, 4)).astype(np.float32)
    return np.concatenate((made[:, :2], made[:, :2] + made[:, 2:] * np.float32(0.5)), 1) if upright else made


def one_by_one(candidates: np.ndarray, threshold: float, eta: float, border: float) -> list[int]:
    """The definition: a candidate stays if it overlaps no kept one by more than the threshold of the moment."""
    kept, limit = [], np.float32(threshold)
    shared = overlaps(candidates, candidates, border)
    for i in range(len(candidates)):
        if all(shared[k, i] <= limit for k in kept):
            kept.append(i)
            if eta < 1 and limit > 0.5:
                limit = limit * np.float32(eta)
    return kept


@given(
    st.integers(0, 2**31),
    st.integers(0, 30),
    st.sampled_from([0.1, 0.45, 0.8]),
    st.sampled_from([1.0, 0.9]),
    st.booleans(),
)
def test_suppression_is_its_definition(seed, number, threshold, eta, pixels):
    candidates = boxes(seed, number, upright=seed % 2 == 0) * np.float32(20 if pixels else 1)
    border = float(pixels)
    kept = suppress(candidates, threshold, border=border, eta=eta)
    assert kept == one_by_one(candidates, threshold, eta, border)
    assert suppress(candidates, threshold, border=border, eta=eta, most=3) == kept[:3]


def test_overlaps_of_known_boxes():
    a = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 4, 4], [2, 0, 4, 2]], np.float32)
    np.testing.assert_allclose(overlaps(a[:1], a)[0], [1, 1 / 7, 0, 0])
    np.testing.assert_allclose(overlaps(a[:1], a[1:2], border=1)[0], [4 / (9 + 9 - 4)])


@given(st.integers(0, 2**31), st.sampled_from(CODES), st.booleans())
def test_decoding_undoes_encoding(seed, kind, scaled):
    true, priors = boxes(seed, 5) + np.float32([0, 0, 0.01, 0.01]), boxes(seed + 1, 5) + np.float32([0, 0, 0.05, 0.05])
    variances = np.tile(np.float32([0.1, 0.1, 0.2, 0.2]), (5, 1))
    codes = encode(true, priors, variances, kind, scaled)
    np.testing.assert_allclose(decode(codes, priors, variances, kind, scaled), true, atol=2e-5)


def literal(scores: np.ndarray, top: int) -> list[int]:
    """The quicksort of the Proposal layer, step by step."""
    order = list(range(len(scores)))

    def sort(begin: int, end: int) -> None:
        pivot, left, right = scores[order[begin]], begin + 1, end
        while left <= right:
            while left <= end and scores[order[left]] >= pivot:
                left += 1
            while right > begin and scores[order[right]] <= pivot:
                right -= 1
            if left <= right:
                order[left], order[right] = order[right], order[left]
                left, right = left + 1, right - 1
        if right > begin:
            order[begin], order[right] = order[right], order[begin]
        if begin < right - 1:
            sort(begin, right - 1)
        if right + 1 < top and right + 1 < end:
            sort(right + 1, end)

    sort(0, len(order) - 1)
    return order[:top]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 45))
def test_equal_scores_come_in_the_order_of_the_layers_own_quicksort(values, top):
    scores = np.array(values, np.float32)
    assert falling(scores, top).tolist() == literal(scores, min(top, len(values)))


def test_scores_fall():
    scores = np.random.RandomState(0).permutation(500).astype(np.float32)
    assert np.all(np.diff(scores[falling(scores, 400)]) < 0)


def test_no_box_is_no_box():
    assert suppress(np.zeros((0, 4), np.float32), 0.5) == []
    assert overlaps(np.zeros((0, 4), np.float32), np.zeros((2, 4), np.float32)).shape == (0, 2)
    assert pytest.approx(1) == overlaps(np.float32([[0, 0, 1, 1]]), np.float32([[0, 0, 1, 1]]))[0, 0]
