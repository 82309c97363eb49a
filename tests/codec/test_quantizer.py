"""Levels stand for what the format says; quantising is optimal where that can be checked, and lawful elsewhere."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from demitasse import _core
from demitasse.codec import levels as coder
from demitasse.codec import quantizer
from demitasse.codec.levels import Layout
from demitasse.codec.quantizer import Importance, quantize, rate_distortion, step_for_error
from demitasse.errors import NetError, OptionError
from demitasse.net import Levels

TRANSITIONS = [(0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5)]


def laplacian(*shape: int, seed: int = 1) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    scale = np.exp(0.5 * rng.standard_normal((shape[0], *[1] * (len(shape) - 1))))
    return (rng.laplace(size=shape) * scale * 0.01).astype(np.float32)


def slow_values(
    levels: npt.NDArray[np.int32], steps: npt.NDArray[np.float32], states: int, shifts: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    out = np.zeros(levels.shape, np.float32)
    for r, row in enumerate(levels):
        state = 0
        step = steps[r % len(steps)]
        for c, level in enumerate(int(n) for n in row):
            magnitude = abs(level)
            index = 2 * magnitude - (state & 1) if states and magnitude else magnitude
            shift = shifts[index - 1] if 1 <= index <= 6 else np.float32(0)
            if magnitude:
                value = np.float32(np.float32(np.float32(index) - shift) * step)
                out[r, c] = -value if level < 0 else value
            if states == 256:
                state = (state ^ (0o515 if state & 1 else 0) ^ (0o362 if level & 1 else 0)) >> 1
            else:
                state = TRANSITIONS[state][level & 1]
    return out


def squared_error(weights: npt.NDArray[np.float32], result: Levels) -> float:
    return float(((result.array().astype(np.float64) - weights) ** 2).sum())


def bits(result: Levels) -> float:
    return coder.bits(result.levels, Layout.of(result.shape, result.trellis, result.wide))


@given(
    levels=hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
        elements=st.one_of(st.integers(-4, 4), st.integers(-(2**24), 2**24)),
    ),
    states=st.sampled_from([0, 8, 256]),
    per_row=st.booleans(),
    shifts=hnp.arrays(np.float32, 6, elements=st.floats(-0.5, 0.5, width=32)),
    step=st.floats(2.0**-40, 2.0**40, width=32),
)
@settings(max_examples=150, deadline=None)
def test_values_are_those_of_the_format_to_the_bit(
    levels: npt.NDArray[np.int32], states: int, per_row: bool, shifts: npt.NDArray[np.float32], step: float
) -> None:
    steps = np.full(len(levels) if per_row else 1, step, np.float32) * np.float32(0.75)
    values = _core.dequantize(levels, steps, states, shifts)
    assert values.tobytes() == slow_values(levels, steps, states, shifts).tobytes()


def test_long_rows_keep_their_state() -> None:
    levels = np.random.default_rng(0).integers(-3, 4, (3, 2500)).astype(np.int32)
    steps, shifts = np.array([0.1, 0.2, 0.3], np.float32), np.array([0.1, -0.05, 0.01, 0.02, 0, 0.3], np.float32)
    assert (_core.dequantize(levels, steps, 8, shifts) == slow_values(levels, steps, 8, shifts)).all()


def test_without_a_price_on_bits_weights_are_rounded_to_the_nearest() -> None:
    weights = laplacian(30, 50)
    result = quantize(weights, 0.004, lam=0, trellis=False, rounds=1)
    assert (result.levels == np.rint(weights / np.float32(0.004))).all()


@pytest.mark.parametrize("shape", [(256, 40, 3, 3), (500, 200), (512, 200, 1, 1), (400, 30, 7)])
@pytest.mark.parametrize("step", [0.002, 0.005, 0.01])
def test_the_trellis_needs_fewer_bits_for_the_same_error(shape: tuple[int, ...], step: float) -> None:
    weights = laplacian(*shape)
    rounded = quantize(weights, step, trellis=False)
    target = squared_error(weights, rounded) / weights.size / float(weights.var())
    better = quantize(weights, step_for_error(weights, target, sample=weights.size))
    assert squared_error(weights, better) < 1.03 * squared_error(weights, rounded)
    assert bits(better) < 0.985 * bits(rounded)


def test_a_wide_trellis_costs_less() -> None:
    weights, step, lam = laplacian(256, 30, 3, 3), 0.005, 0.25

    def cost(result: Levels) -> float:
        return squared_error(weights, result) + lam * step**2 * bits(result)

    narrow, wide = (quantize(weights, step, lam=lam, wide=wide) for wide in (False, True))
    assert (narrow.states, wide.states) == (8, 256)
    assert squared_error(weights, wide) < 0.95 * squared_error(weights, narrow)
    assert cost(wide) < 0.99 * cost(narrow)


@pytest.mark.parametrize(("trellis", "wide"), [(False, False), (True, False), (True, True)])
def test_exact_zeros_stay_zero(trellis: bool, wide: bool) -> None:
    weights = laplacian(40, 30, 3, 3)
    weights[np.random.default_rng(2).random(weights.shape) < 0.9] = 0
    weights[7] = 0
    weights[9] = -0.0
    result = quantize(weights, 0.003, trellis=trellis, wide=wide)
    assert not result.levels[weights == 0].any()
    assert np.count_nonzero(result.levels) > 0.5 * np.count_nonzero(weights)


@pytest.mark.parametrize("trellis", [False, True])
def test_a_coarser_step_or_a_dearer_bit_gives_fewer_bits_and_a_larger_error(trellis: bool) -> None:
    weights = laplacian(128, 32, 3, 3)
    points = rate_distortion(weights, [0.002, 0.004, 0.008, 0.016, 0.032], trellis=trellis)
    assert [p.bits for p in points] == sorted((p.bits for p in points), reverse=True)
    assert [p.mse for p in points] == sorted(p.mse for p in points)
    results = [quantize(weights, 0.01, lam=lam, trellis=trellis) for lam in (0.0, 0.1, 0.3, 1.0, 3.0)]
    assert [bits(r) for r in results] == sorted((bits(r) for r in results), reverse=True)
    assert [squared_error(weights, r) for r in results] == sorted(squared_error(weights, r) for r in results)


@pytest.mark.parametrize("trellis", [False, True])
def test_threads_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, trellis: bool) -> None:
    monkeypatch.setattr(quantizer, "BLOCK_ELEMENTS", 4000)
    weights = laplacian(100, 20, 3, 3)
    one, three = (quantize(weights, 0.005, trellis=trellis, threads=threads) for threads in (1, 3))
    assert (one.levels == three.levels).all()
    assert (one.shifts == three.shifts).all()


def test_parts_cover_all_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizer, "BLOCK_ELEMENTS", 700)
    for rows in (1, 7, 8, 9, 63, 64, 65):
        weights = laplacian(rows, 30)
        result = quantize(weights, 1e-4, rounds=1)
        assert squared_error(weights, result) < 1e-7 * weights.size


def test_every_row_may_have_its_own_step() -> None:
    weights = laplacian(50, 40, 3, 3)
    steps = np.abs(weights).reshape(50, -1).mean(axis=1) * np.linspace(0.2, 1, 50, dtype=np.float32)
    result = quantize(weights, steps)
    errors = ((result.array() - weights) ** 2).reshape(50, -1).mean(axis=1) / steps**2
    assert result.steps.shape == (50,)
    assert errors.min() > 0.1
    assert errors.max() < 1.0


def test_important_rows_and_columns_have_smaller_errors() -> None:
    weights = laplacian(64, 200)
    factors = np.where(np.arange(64) < 32, 4, 0.25).astype(np.float32)
    by_row = quantize(weights, 0.01, importance=Importance(rows=factors))
    errors = ((by_row.array() - weights) ** 2 / weights.var(axis=1, keepdims=True)).mean(axis=1)
    assert errors[:32].mean() < 0.9 * errors[32:].mean()
    factors = np.where(np.arange(200) < 100, 4, 0.25).astype(np.float32)
    by_column = quantize(weights, 0.01, importance=Importance(columns=factors))
    errors = ((by_column.array() - weights) ** 2).mean(axis=0)
    assert errors[:100].mean() < 0.9 * errors[100:].mean()


def test_what_does_not_matter_at_all_becomes_zero() -> None:
    weights = laplacian(16, 300)
    factors = (np.arange(16) % 2).astype(np.float32)
    levels = quantize(weights, 0.005, importance=Importance(rows=factors)).levels
    assert not levels[::2].any()
    assert levels[1::2].any(axis=1).all()


@pytest.mark.parametrize("trellis", [False, True])
@pytest.mark.parametrize("error", [0.002, 0.02, 0.2])
def test_the_step_for_an_error_gives_that_error(trellis: bool, error: float) -> None:
    weights = laplacian(256, 128, 3, 3)
    step = step_for_error(weights, error, trellis=trellis)
    result = quantize(weights, step, trellis=trellis)
    assert squared_error(weights, result) / weights.size == pytest.approx(error * weights.var(), rel=0.05)


@pytest.mark.parametrize("step", [0.004, 0.008])
def test_a_sample_tells_rate_and_error(step: float) -> None:
    weights = laplacian(512, 256, 3, 3)
    (point,) = rate_distortion(weights, [step])
    result = quantize(weights, step)
    assert point.bits == pytest.approx(bits(result) / weights.size, rel=0.03)
    assert point.mse == pytest.approx(squared_error(weights, result) / weights.size, rel=0.05)


@pytest.mark.parametrize("shape", [(), (1,), (1000,)])
def test_vectors_are_rounded_without_a_trellis(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    result = quantize(weights, 0.01)
    assert not result.trellis
    assert result.shape == shape
    assert np.abs(result.array() - weights).max() < 0.011


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 0, 1, 1)])
def test_nothing_becomes_nothing(shape: tuple[int, ...]) -> None:
    assert quantize(np.zeros(shape, np.float32), 1.0).levels.shape == shape


def test_huge_and_tiny_weights_share_a_row() -> None:
    weights = np.array([[1e6, 1e-38, -3.0, 1e-45, -4e6, 0.4, 0.0, 1.0]], np.float32)
    values = quantize(weights, 1.0, lam=0.0).array()
    assert np.abs(values - weights).max() <= 2
    assert values[0, 6] == 0


@pytest.mark.parametrize("trellis", [False, True])
@pytest.mark.parametrize(
    ("weights", "steps", "error", "says"),
    [
        ([[1.0, np.nan]], 1.0, NetError, r"weight nan \(row 0, column 1\) is not finite"),
        ([[0.0], [-np.inf]], 1.0, NetError, r"weight -inf \(row 1, column 0\) is not finite"),
        ([[1.0, 2.0]], 1e-8, OptionError, "more than 2\\^22 steps"),
        ([[1.0, 2.0]], 1e-45, OptionError, "more than 2\\^22 steps"),
        ([[1.0, 2.0]], 0.0, OptionError, "must be positive"),
        ([[1.0, 2.0]], -1.0, OptionError, "must be positive"),
        ([[1.0, 2.0]], np.nan, OptionError, "must be positive"),
        ([[1.0, 2.0]], [1.0, 1.0], OptionError, "takes 1 step"),
    ],
)
def test_what_cannot_be_quantised_is_refused(
    weights: list[list[float]], steps: float, error: type[Exception], says: str, trellis: bool
) -> None:
    with pytest.raises(error, match=says):
        quantize(np.array(weights, np.float32), steps, trellis=trellis)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lam": -1.0}, "lam"),
        ({"lam": float("nan")}, "lam"),
        ({"rounds": 0}, "rounds"),
        ({"importance": Importance(rows=np.ones(3, np.float32))}, "3 factors for 2 rows"),
        ({"importance": Importance(columns=np.array([1, -1, 1], np.float32))}, "not negative"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        quantize(np.ones((2, 3), np.float32), 0.1, **options)  # type: ignore[arg-type]


def test_feedback_does_not_go_with_a_wide_trellis() -> None:
    with pytest.raises(OptionError, match="wide"):
        quantize(laplacian(4, 4), 0.1, wide=True, feedback=np.zeros((4, 1), np.float32))


def test_errors_that_cannot_be_reached_are_refused() -> None:
    with pytest.raises(OptionError, match="all equal"):
        step_for_error(np.ones((4, 4), np.float32), 0.1)
    with pytest.raises(OptionError, match="between 0 and 1"):
        step_for_error(laplacian(4, 4), 1.5)


@pytest.mark.parametrize("wide", [False, True])
def test_levels_of_a_result_survive_the_coder(wide: bool) -> None:
    weights = laplacian(60, 30, 3, 3)
    result = quantize(weights, 0.01, wide=wide)
    layout = Layout.of(weights.shape, True, wide)
    data = coder.encode([coder.LevelTensor(result.levels, layout)])
    (levels,) = coder.decode(data, [layout])
    assert (levels == result.levels).all()
    (values,) = coder.decode_to_float(data, [layout], [result.steps], [result.shifts])
    assert (values.reshape(weights.shape) == result.array()).all()
