import numpy as np
import pytest

from demitasse.transforms.lowrank.spectrum import factored, gram, root

SHAPES = [(5, 9), (9, 5), (6, 6), (1, 4), (1100, 30)]


def matrix(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_errors_are_those_of_the_singular_values(shape):
    values = matrix(*shape)
    spectrum = factored([values])
    singular = np.linalg.svd(values.astype(np.float64), compute_uv=False) ** 2
    tails = np.concatenate([np.cumsum(singular[::-1])[::-1], [0]]) / singular.sum()
    assert spectrum.errors == pytest.approx(tails, abs=1e-6)
    for rank in range(1, spectrum.full + 1):
        ((left, right),) = spectrum.at(rank)
        assert (left.shape, right.shape) == ((shape[0], rank), (rank, shape[1]))
        lost = np.linalg.norm(values - left @ right) ** 2 / np.linalg.norm(values) ** 2
        assert lost == pytest.approx(tails[rank], abs=1e-5)


def test_groups_share_one_rank():
    parts = [matrix(4, 7, 1), matrix(4, 7, 2)]
    spectrum = factored(parts)
    lost = sum(np.linalg.norm(m - a @ b) ** 2 for m, (a, b) in zip(parts, spectrum.at(2), strict=True))
    assert spectrum.errors[2] == pytest.approx(lost / sum(np.linalg.norm(m) ** 2 for m in parts), rel=1e-5)


def test_nothing_has_no_error():
    assert not factored([np.zeros((3, 4), np.float32)]).errors.any()


def test_the_gram_matrix_is_summed_piece_by_piece():
    values = matrix(6, 5000)
    assert np.allclose(gram(values), values.astype(np.float64) @ values.T.astype(np.float64), rtol=1e-6)
    wide = matrix(1030, 40)
    assert np.allclose(gram(wide), wide.astype(np.float64) @ wide.T.astype(np.float64), atol=1e-3)


def test_the_root_and_its_inverse():
    values = matrix(8, 30).astype(np.float64)
    square = values @ values.T
    one, inverse = root(square)
    assert one @ one == pytest.approx(square)
    assert one @ inverse == pytest.approx(np.eye(8), abs=1e-9)
