from collections.abc import Mapping

import numpy as np
import pytest

from demitasse.codec.levels import Layout, bits
from demitasse.errors import OptionError
from demitasse.message import Message
from demitasse.net import Clustered, Dense, Layer, Levels, Net, Tensor
from demitasse.transforms import Quantize
from demitasse.transforms.sensitivity import Feedback, Marginals, Moments, Sensitivity

RNG = np.random.default_rng(11)
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before() -> None:
    RNG.bit_generator.state = STATE


def laplacian(*shape: int) -> np.ndarray:
    return RNG.laplace(0, 0.05, shape).astype(np.float32)


def net_of(layers: Mapping[str, tuple[str, tuple[np.ndarray | Tensor, ...]]]) -> Net:
    return Net(
        "n",
        tuple(
            Layer(
                name, kind, ("x",), ("x",), Message(), tuple(t if isinstance(t, Tensor) else Dense(t) for t in tensors)
            )
            for name, (kind, tensors) in layers.items()
        ),
    )


KERNEL, MATRIX, BIAS = laplacian(32, 16, 3, 3), laplacian(64, 100), laplacian(64) * 10
SMALL = net_of({"conv": ("Convolution", (KERNEL,)), "fc": ("InnerProduct", (MATRIX, BIAS))})
COSTS = Sensitivity({("conv", 0): Marginals(np.full(32, 4.0), np.full(144, 1.0))})

APART = np.abs(np.subtract.outer(np.arange(144), np.arange(144)))
TOGETHER = Moments((0.8**APART,), 10**6).feedback()
assert isinstance(TOGETHER, Feedback)


def squared_error(net: Net, other: Net) -> float:
    return sum(
        float(((a.array().astype(np.float64) - b.array()) ** 2).sum())
        for one, two in zip(net.layers, other.layers, strict=True)
        for a, b in zip(one.tensors, two.tensors, strict=True)
    )


def size(net: Net) -> float:
    levels = [t for layer in net.layers for t in layer.tensors if isinstance(t, Levels)]
    return sum(bits(t.levels, Layout.of(t.shape, t.trellis)) for t in levels)


@pytest.mark.parametrize("known", [Sensitivity(), COSTS])
def test_more_decibels_are_more_bytes_and_less_error(known: Sensitivity) -> None:
    results = [Quantize(quality, known)(SMALL) for quality in (10, 20, 30, 40)]
    sizes, errors = [size(net) for net in results], [squared_error(SMALL, net) for net in results]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


def test_the_result_does_not_depend_on_threads() -> None:
    one, two = (Quantize(25, COSTS, threads=threads)(SMALL) for threads in (1, 3))
    for a, b in zip(one.layers, two.layers, strict=True):
        for s, t in zip(a.tensors, b.tensors, strict=True):
            assert isinstance(s, Levels)
            assert isinstance(t, Levels)
            assert np.array_equal(s.levels, t.levels)
            assert np.array_equal(s.steps, t.steps)


def test_zeros_of_a_pruned_network_stay_zero() -> None:
    pruned = KERNEL * (RNG.random(KERNEL.shape) < 0.2)
    known = Sensitivity(COSTS.costs, {"conv": TOGETHER})
    (layer,) = Quantize(30, known)(net_of({"conv": ("Convolution", (pruned,))})).layers
    values = layer.tensors[0].array()
    assert not values[pruned == 0].any()
    assert values.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_kept_and_noted(bad: float) -> None:
    broken = KERNEL.copy()
    broken[3, 2, 1, 0] = bad
    done = Quantize(30)(net_of({"conv": ("Convolution", (broken,)), "fc": ("InnerProduct", (MATRIX,))}))
    assert np.array_equal(done.layer("conv").tensors[0].array(), broken, equal_nan=True)
    assert isinstance(done.layer("fc").tensors[0], Levels)
    assert any("not finite" in note.text and note.layer == "conv" for note in done.report)


@pytest.mark.parametrize(
    "values", [np.zeros((4, 5)), np.full((4, 5), 1e-42), np.full((4, 5), 3e38), np.zeros((0, 5)), np.ones(1)]
)
def test_what_a_step_cannot_describe_is_kept(values: np.ndarray) -> None:
    stored = values.astype(np.float32)
    done = Quantize(30)(net_of({"fc": ("InnerProduct", (stored,))}))
    assert done.layers[0].tensors[0].array().tobytes() == stored.tobytes()


@pytest.mark.parametrize("spread", [1, 100, 1e4, 1e9])
def test_variances_stay_positive_and_close_and_the_factor_exact(spread: float) -> None:
    variance = np.geomspace(1e-3, 1e-3 * spread, 50).astype(np.float32)
    factor = np.array([999.98236], np.float32)
    known = Sensitivity({("bn", 1): Marginals(np.full(50, 1e-12), np.ones(1))})
    net = net_of({"bn": ("BatchNorm", (laplacian(50), variance, factor)), "fc": ("InnerProduct", (MATRIX,))})
    mean, stored, kept = Quantize(5, known)(net).layer("bn").tensors
    assert mean.array() == pytest.approx(net.layers[0].tensors[0].array(), abs=0.02)
    assert stored.array() == pytest.approx(variance, rel=0.1)
    assert stored.array().min() > 0
    assert kept.array() == factor


def test_few_values_stay_exact_where_that_takes_no_more_room() -> None:
    two = np.where(RNG.random((64, 100)) < 0.02, np.float32(0.3), np.float32(0))
    done = Quantize(60)(net_of({"fc": ("InnerProduct", (two,))}))
    assert np.array_equal(done.layers[0].tensors[0].array(), two)


def test_coded_tensors_are_left_alone() -> None:
    clustered = Clustered(np.zeros((3, 4), np.uint8), np.ones(1, np.float32))
    assert Quantize(30)(net_of({"fc": ("InnerProduct", (clustered,))})).layers[0].tensors[0] is clustered


def test_progress_counts_weights() -> None:
    seen: list[tuple[int, int]] = []
    Quantize(20, progress=lambda done, total: seen.append((done, total)))(SMALL)
    assert seen[-1] == (SMALL.parameters, SMALL.parameters)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_quality_that_is_no_number_is_refused() -> None:
    with pytest.raises(OptionError, match="quality"):
        Quantize(float("nan"))(SMALL)


def test_stated_steps_are_taken_and_what_is_not_named_stays() -> None:
    done = Quantize(steps={"conv[0]": 0.25})(SMALL)
    coded = done.layer("conv").tensors[0]
    assert isinstance(coded, Levels)
    assert coded.steps == [0.25]


def test_rows_that_cost_more_get_finer_steps() -> None:
    """As the square root of what they cost, in quarters of octaves, around the step that is stated."""
    costs = Marginals(np.repeat([1.0, 16.0], 16), np.ones(144))
    known = Sensitivity({("conv", 0): costs}, {"conv": TOGETHER})
    coded = Quantize(steps={"conv[0]": 0.25}, sensitivity=known)(SMALL).layer("conv").tensors[0]
    assert isinstance(coded, Levels)
    assert (coded.steps[:16] / coded.steps[16:] == 4).all()
    assert np.log2(coded.steps).mean() == pytest.approx(-2, abs=0.13)


def test_stated_steps_leave_what_is_not_named() -> None:
    done = Quantize(steps={"conv[0]": 0.25})(SMALL)
    assert done.layer("conv").tensors[1:] == SMALL.layer("conv").tensors[1:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of quality and steps"),
        ({"quality": 30, "steps": {}}, "not both"),
        ({"steps": {"conv[0]": 0.0}}, "above 0"),
        ({"steps": {"conv[9]": 0.5}}, 'no tensor "conv\\[9\\]"'),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Quantize(**options)(SMALL)


def test_what_is_known_is_asked_for_when_it_is_needed() -> None:
    asked = Quantize(30, calibrate=lambda net: COSTS)(SMALL)
    given = Quantize(30, COSTS)(SMALL)
    for one, other in zip(asked.layers, given.layers, strict=True):
        assert all(np.array_equal(a.array(), b.array()) for a, b in zip(one.tensors, other.tensors, strict=True))
