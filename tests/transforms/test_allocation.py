import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.transforms.allocation import Weighed, allocated, expected

TENSORS = {"a": Weighed(1000, 0.01, 1e-3), "b": Weighed(50_000, 0.002, 1e-5), "c": Weighed(300, 1.0, None)}

weighed = st.builds(Weighed, st.integers(1, 10**8), st.floats(1e-8, 1e4), st.one_of(st.none(), st.floats(1e-12, 1e6)))


@given(st.dictionaries(st.text(max_size=3), weighed, min_size=1, max_size=6), st.floats(0, 80), st.floats(1, 30))
def test_more_decibels_are_finer_steps(tensors: dict[str, Weighed], quality: float, more: float) -> None:
    coarse, fine = allocated(tensors, quality), allocated(tensors, quality + more)
    assert all(0 < fine[key] <= coarse[key] for key in tensors)


@pytest.mark.parametrize("quality", [20, 30, 60])
def test_the_predicted_noise_is_what_was_asked_for(quality: float) -> None:
    tensors = {key: tensor for key, tensor in TENSORS.items() if tensor.cost}
    steps = allocated(tensors, quality)
    noise = sum(expected(tensor, steps[key]) for key, tensor in tensors.items())
    assert -10 * math.log10(noise) == pytest.approx(quality, abs=0.5)


def test_uniform_is_one_absolute_step() -> None:
    steps = allocated(TENSORS, 30, "uniform")
    assert steps["a"] == steps["b"] == steps["c"]


def test_what_costs_more_gets_a_finer_step() -> None:
    steps = allocated(TENSORS, 30)
    assert steps["a"] < steps["b"]


def test_without_any_cost_all_weights_count_alike() -> None:
    tensors = {key: Weighed(tensor.size, tensor.power, None) for key, tensor in TENSORS.items()}
    steps = allocated(tensors, 20)
    assert len({steps[key] for key in tensors}) == 1


def test_steps_are_parts_of_octaves() -> None:
    steps = allocated(TENSORS, 33.3)
    assert all((128 * math.log2(steps[key])).is_integer() for key in ("a", "b"))
