import numpy as np
import pytest

from demitasse.evaluate.bootstrap import draws, estimate, paired, paired_shares


def test_a_share_and_its_interval():
    right = np.arange(1000) % 10 < 9
    one, two, difference = paired_shares(right, None, 4000, 0)
    assert one.value == 0.9
    # The normal approximation: 0.9 ± 1.96 · sqrt(0.9 · 0.1 / 1000).
    assert (one.low, one.high) == pytest.approx((0.8814, 0.9186), abs=0.002)
    assert two is None
    assert difference is None


def test_what_both_get_wrong_does_not_blur_a_difference():
    first = np.arange(1000) % 10 < 9
    second = first.copy()
    second[:5] = False
    _, two, difference = paired_shares(first, second, 4000, 0)
    assert two.value == pytest.approx(0.895)
    assert difference.value == pytest.approx(-0.005)
    assert difference.high < 0
    assert two.high - two.low > 3 * (difference.high - difference.low)


def test_equal_answers_differ_by_nothing():
    right = np.array([True, False, True])
    difference = paired_shares(right, right, 100, 0)[2]
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_any_figure_is_drawn_in_pairs():
    scores = np.random.default_rng(0).uniform(size=200)

    def mean(weights):
        rows = np.ones((1, 200), int) if weights is None else weights
        share = rows @ scores / 200
        return share, share - 0.01

    first, second, difference = paired(mean, draws(200, 500, 1))
    assert first.low < scores.mean() < first.high
    assert second.value == pytest.approx(first.value - 0.01)
    assert (difference.low, difference.high) == pytest.approx((-0.01, -0.01))


def test_draws_depend_on_the_seed_only():
    assert np.array_equal(draws(20, 5, 3), draws(20, 5, 3))
    assert not np.array_equal(draws(20, 5, 3), draws(20, 5, 4))
    assert (draws(20, 5, 3).sum(axis=1) == 20).all()


def test_draws_that_are_no_numbers_do_not_count():
    found = estimate(0.5, np.array([np.nan, 0.4, 0.6]))
    assert 0.4 <= found.low < found.high <= 0.6
    assert np.isnan(estimate(0.5, np.array([np.nan])).low)
