import contextlib
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demitasse.codec import clusters, lossless
from demitasse.errors import ContainerError

Group = tuple[list[np.ndarray], list[int], list[np.ndarray]]


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """Positions, kernels and codebooks, whose values are drawn from all bit patterns or are like those of a layer."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    positions, kernels, codebooks = [], [], []
    for _ in range(draw(st.integers(1, 3))):
        entries = draw(st.integers(1, 60))
        if draw(st.booleans()):
            bits = np.unique(rng.integers(0, 1 << 32, entries, np.uint64).astype(np.uint32))
            codebooks.append(lossless.from_keys(bits))
        else:
            values = np.append(rng.normal(size=entries - 1), 0.0).astype(np.float32)
            codebooks.append(lossless.from_keys(np.unique(lossless.to_keys(values))))
        kernels.append(draw(st.sampled_from([1, 6, 9, 25])))
        shape = (draw(st.integers(0, 9)), kernels[-1] * draw(st.integers(0, 6)))
        spread = np.abs(rng.normal(size=shape)) * len(codebooks[-1]) * draw(st.sampled_from([0.0, 0.1, 1.0]))
        positions.append(np.minimum(spread, len(codebooks[-1]) - 1).astype(np.int32))
    return positions, kernels, codebooks


@given(groups())
@settings(max_examples=150, deadline=None)
def test_positions_come_back(group: Group) -> None:
    positions, kernels, codebooks = group
    data = clusters.encode(positions, kernels, codebooks)
    out = [np.empty_like(each) for each in positions]
    clusters.decode(data, out, kernels, codebooks)
    assert all((a == b).all() for a, b in zip(positions, out, strict=True))


@given(groups())
@settings(max_examples=150, deadline=None)
def test_codebooks_come_back(group: Group) -> None:
    codebooks = group[2]
    out = [np.empty_like(codebook) for codebook in codebooks]
    clusters.decode_codebooks(clusters.encode_codebooks(codebooks), out)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(codebooks, out, strict=True))


@given(groups(), st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_foreign_bytes_are_an_error_or_positions_within(group: Group, data: bytes) -> None:
    positions, kernels, codebooks = group
    with contextlib.suppress(ContainerError):
        clusters.decode(data, positions, kernels, codebooks)
        assert all(not p.size or (p.min() >= 0 and p.max() < len(c)) for p, c in zip(positions, codebooks, strict=True))
    with contextlib.suppress(ContainerError):
        clusters.decode_codebooks(data, codebooks)
        assert all((np.diff(lossless.to_keys(c).astype(np.int64)) > 0).all() for c in codebooks)


def test_positions_outside_the_codebook_are_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        clusters.encode([np.array([[0, 2]], np.int32)], [1], [np.array([1, 2], np.float32)])


def pruned(rows: int = 96, columns: int = 9 * 64) -> tuple[np.ndarray, np.ndarray]:
    """Positions in a codebook of 32, of every row another share zero; the signs within a kernel mostly agree."""
    rng = np.random.default_rng(7)
    codebook = np.sort(np.append(rng.normal(size=31), 0)).astype(np.float32)
    zero = int((codebook < 0).sum())
    sign = np.repeat(rng.choice([-1, 1], (rows, columns // 9)), 9, axis=1) * np.where(
        rng.random((rows, columns)) < 0.05, -1, 1
    )
    value = np.where(
        rng.random((rows, columns)) < rng.random((rows, 1)), 0.0, sign * np.abs(rng.normal(size=(rows, columns)))
    )
    positions = np.clip(np.searchsorted(codebook, value), 0, 31).astype(np.int32)
    return np.where(value == 0, zero, positions).astype(np.int32), codebook


def test_smaller_than_the_entropy_of_the_positions() -> None:
    positions, codebook = pruned()
    counts = np.bincount(positions.ravel())
    shares = counts[counts > 0] / positions.size
    order0 = -(shares * np.log2(shares)).sum() * positions.size / 8
    assert len(clusters.encode([positions], [9], [codebook])) < 0.93 * order0


def patterned(rows: int = 128, channels: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Kernels of 3 x 3 that are one pattern times a number, and noise: those nearby tell each weight, linearly."""
    rng = np.random.default_rng(11)
    pattern = rng.normal(size=9)
    kernels = rng.normal(size=(rows, channels, 1)) * pattern + 0.3 * rng.normal(size=(rows, channels, 9))
    codebook = np.sort(np.append(rng.normal(size=31) * 1.5, 0)).astype(np.float32)
    nearest = np.abs(kernels.reshape(rows, -1, 1) - codebook).argmin(-1)
    return nearest.astype(np.int32), codebook


def test_linear_dependence_within_kernels_is_used() -> None:
    positions, codebook = patterned()
    shuffled = np.random.default_rng(12).permuted(positions, axis=0)
    plain, mixed = (len(clusters.encode([each], [9], [codebook])) for each in (positions, shuffled))
    assert plain < 0.93 * mixed


@pytest.mark.parametrize("shape", [(3, 5000), (700, 1), (1, 1), (2, 1023), (40, 49)])
@pytest.mark.parametrize("kernel", [1, 7, 49, 1500, 5000])
def test_kernels_of_any_size_come_back(shape: tuple[int, int], kernel: int) -> None:
    rng = np.random.default_rng(5)
    codebook = np.array([-3e38, -1, 1e-40, 2], np.float32)
    positions = rng.integers(0, 4, shape).astype(np.int32)
    out = np.empty_like(positions)
    clusters.decode(clusters.encode([positions], [kernel], [codebook]), [out], [kernel], [codebook])
    assert (out == positions).all()


def test_the_format_has_not_changed() -> None:
    ramp = np.arange(60 * 72).reshape(60, 72)
    positions = ((ramp**2 // 7 % 13) * (ramp % 3 == 0) % 16 + 5).astype(np.int32)
    codebook = np.arange(-5, 27, dtype=np.float32) / 8
    assert hashlib.sha256(clusters.encode([positions, positions], [9, 1], [codebook, codebook])).hexdigest() == CODED
    assert hashlib.sha256(clusters.encode_codebooks([codebook, codebook[3:]])).hexdigest() == BOOKS


CODED = "d114ba7d9ec3bb43cb622c5797f4f540edb0bf1eb3efad8bdd58f89b96f2d169"
BOOKS = "66e627f5a1d021ab00275d27c945653a6d0a2eec8389e982c91cbaf28c8ac337"
