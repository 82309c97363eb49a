"""Rounding to few bits: what a form promises holds for any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.onnx.narrow import FORMS, Form, chosen, narrowed

RANDOM = np.random.default_rng(4)


@given(
    form=st.sampled_from(FORMS),
    rows=st.integers(1, 5),
    columns=st.integers(1, 80),
    reach=st.sampled_from([0.5, 3.0, 90.0, 5000.0]),
    seed=st.integers(0, 99),
)
def test_no_weight_moves_by_more_than_half_a_scale(form: Form, rows: int, columns: int, reach: float, seed: int):
    values = np.random.default_rng(seed).uniform(-reach, reach, (rows, columns)).astype(np.float32)
    found = narrowed(values, form)
    assert found.integers.shape == values.shape
    assert np.abs(found.integers.astype(int)).max() <= form.largest
    scales = np.repeat(found.scales, form.block or columns, axis=1)[:, :columns]
    apart = np.abs(found.integers * scales - values)
    assert (apart <= scales * 0.501).all()
    assert found.noise == pytest.approx(np.square(apart.astype(float)).sum(axis=1), rel=1e-3, abs=1e-9)
    if form.block:
        assert (found.scales == found.scales.astype(np.float16)).all()


def test_whole_steps_stay_what_they_are_where_there_is_room():
    values = RANDOM.integers(-7, 8, (4, 40)).astype(np.float32)
    for form in FORMS:
        assert narrowed(values, form).noise.max() < 1e-4


def test_the_form_follows_the_reach():
    gaussian = RANDOM.standard_normal((64, 256)).astype(np.float32)
    forms = [chosen(gaussian * deviation, False) for deviation in (1.5, 20.0, 100.0)]
    assert [form.bits for form in forms] == [4, 8, 8]
    assert chosen(np.ones((30, 9), np.float32) * 4000.5, False) == Form(8, 0)
    far = gaussian.copy()
    far[:, 3] = 2000
    assert chosen(far, False).block > 0
