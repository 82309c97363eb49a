import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from demitasse.report import sparsity as module
from demitasse.report.sparsity import duplicate_rows, entropy, sparsity

shapes = arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)
values = arrays.arrays(np.float32, shapes, elements=st.sampled_from([0.0, -0.0, 1.0, -2.0]))


@given(values, st.sampled_from([1, 2]), st.sampled_from([1, 2**19]))
def test_counts_are_what_numpy_says(array, threads, block):
    module.BLOCK, before = block, module.BLOCK
    try:
        found = sparsity(array, threads=threads)
    finally:
        module.BLOCK = before
    others = tuple(range(1, array.ndim))
    assert found.zeros == array.size - np.count_nonzero(array)
    assert found.zero_rows == np.count_nonzero(~(array != 0).any(axis=others))
    if array.ndim > 1:
        others = (0, *range(2, array.ndim))
        assert found.zero_columns == np.count_nonzero(~(array != 0).any(axis=others))
    else:
        assert found.zero_columns == (0 if array.any() else 1)


def test_groups_have_columns_of_their_own():
    weights = np.ones((4, 3, 2, 2), np.float32)
    weights[:2, 1] = 0
    assert sparsity(weights).zero_columns == 0
    grouped = sparsity(weights, groups=2)
    assert (grouped.zero_columns, grouped.columns.tolist()) == (1, [True, False, True, True, True, True])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), ()])
def test_empty_and_scalar_tensors(shape):
    found = sparsity(np.zeros(shape, np.float32))
    assert found.size == int(np.prod(shape))
    assert found.zeros == found.size


def test_entropy_of_known_distributions():
    random = np.random.default_rng(0)
    assert entropy(np.zeros(100, np.float32)) == 0
    assert entropy(np.array([], np.float32)) == 0
    assert entropy(np.tile(np.array([-1, 1], np.float32), 500)) == pytest.approx(1)
    # Differential entropy of a normal variable, less the logarithm of the step: 2.047 + 1.
    assert entropy(random.standard_normal(1 << 20).astype(np.float32)) == pytest.approx(3.047, abs=0.03)
    assert np.isnan(entropy(np.array([1, np.inf], np.float32)))


def test_duplicates_are_rows_seen_before():
    random = np.random.default_rng(0)
    rows = random.standard_normal((5, 300)).astype(np.float32)
    rows[3], rows[4] = rows[0], 0
    assert duplicate_rows(rows) == 1
    nearly = np.repeat(rows[:1], 2, axis=0)
    nearly[1, 150] += 1
    assert duplicate_rows(nearly) == 0
    assert duplicate_rows(np.zeros((4, 4), np.float32)) == 0


def test_a_large_tensor_is_read_at_the_speed_of_memory():
    weights = np.zeros((4096, 8192), np.float32)
    weights[::2] = 1
    start = time.perf_counter()
    found = sparsity(weights, threads=2)
    assert found.zero_rows == 2048
    assert time.perf_counter() - start < 1.0
