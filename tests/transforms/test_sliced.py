import numpy as np
import pytest

from demitasse.net import Clustered, Dense, Levels
from demitasse.transforms.sliced import Fold, Sliced, sliced

RNG = np.random.default_rng(4)
WHOLE = RNG.standard_normal((6, 5, 3, 3)).astype(np.float32)


def ids(*numbers):
    return np.array(numbers)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"rows": ids(0, 2, 5)}, WHOLE[[0, 2, 5]]),
        ({"columns": ids(1, 4)}, WHOLE[:, [1, 4]]),
        ({"rows": ids(1, 2), "columns": ids(0, 3)}, WHOLE[1:3][:, [0, 3]]),
        ({"rows": ids(1, 2), "columns": np.array([[0, 1], [3, 4]])}, np.stack([WHOLE[1, :2], WHOLE[2, 3:]])),
        ({"window": (slice(1, 2), slice(0, 2))}, WHOLE[:, :, 1:2, :2]),
        ({"folds": (Fold(1, ids(0), ids(3)),), "columns": ids(0, 1)}, WHOLE[:, :2] + [[[[1]], [[0]]]] * WHOLE[:, 3:4]),
        ({"folds": (Fold(0, ids(1), ids(4)),), "rows": ids(0, 1)}, WHOLE[:2] + [[[[0]]], [[[1]]]] * WHOLE[4]),
    ],
)
@pytest.mark.parametrize("small", [True, False])
def test_part_of_a_tensor(arguments, expected, small):
    tensor = Dense(WHOLE)
    if small:
        part = sliced(tensor, **arguments)
        assert isinstance(part, Dense)
    else:
        part = Sliced(tensor, **{"rows": np.arange(6), **arguments})
        assert np.concatenate(list(part.parts())).tolist() == part.array().reshape(-1).tolist()
    assert part.shape == expected.shape
    assert part.dtype == np.float32
    np.testing.assert_array_equal(part.array(), expected.astype(np.float32))


def test_part_of_a_part():
    part = Sliced(Sliced(Dense(WHOLE), ids(1, 3, 5), ids(0, 2)), ids(0, 2), ids(1))
    np.testing.assert_array_equal(part.array(), WHOLE[[1, 5]][:, [2]])


def test_all_of_a_tensor_is_itself():
    tensor = Dense(WHOLE)
    assert sliced(tensor) is tensor


def test_part_of_a_coded_tensor():
    coded = Clustered(np.array([[0, 1], [1, 1]], np.uint8), np.array([2.0, 3.0], np.float32))
    assert sliced(coded, rows=ids(0)).array().tolist() == [[2.0, 3.0]]


def test_large_parts_are_not_made_before_they_are_used():
    tensor = Dense(np.zeros((2000, 1000), np.float32))
    part = sliced(tensor, rows=np.arange(0, 2000, 2))
    assert isinstance(part, Sliced)
    assert part.shape == (1000, 1000)
    assert max(piece.size for piece in part.parts()) <= 1 << 20


@pytest.mark.parametrize("steps", [[0.5], [0.5, 0.25, 2.0]], ids=["one step", "a step for each row"])
def test_part_of_quantised_weights_stays_quantised(steps):
    levels = np.arange(12, dtype=np.int8).reshape(3, 4)
    whole = Levels(levels, np.array(steps, np.float32))
    part = sliced(whole, np.array([2, 0]), np.array([1, 3]))
    assert isinstance(part, Levels)
    np.testing.assert_array_equal(part.array(), whole.array()[[2, 0]][:, [1, 3]])


def test_sums_of_quantised_weights_stay_quantised_where_they_are_levels():
    levels = np.array([[100, 0, 100], [1, 2, 3]], np.int8)
    fold = Fold(1, np.array([0]), np.array([2]))
    part = sliced(Levels(levels, np.array([0.5], np.float32)), columns=np.array([0, 1]), folds=(fold,))
    assert isinstance(part, Levels)
    np.testing.assert_array_equal(part.array(), [[100, 0], [2, 1]])
    apart = sliced(Levels(levels, np.array([0.5, 1], np.float32)), columns=np.array([0, 1]), folds=(fold,))
    np.testing.assert_array_equal(apart.array(), [[100, 0], [4, 2]])
