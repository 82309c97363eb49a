"""The entropy coder of levels: lossless on anything, small where weights have structure, a typed error on damage."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demitasse import _core
from demitasse.codec.levels import Coder, Layout, LevelTensor, bits, choose, decode, decode_to_float, encode
from demitasse.errors import ContainerError

CODERS = [Coder.MIXING, Coder.TABLES]

layouts = st.builds(
    Layout,
    st.integers(0, 20),
    st.integers(0, 12),
    st.integers(1, 5),
    st.integers(1, 5),
    trellis=st.booleans(),
    wide=st.booleans(),
)


def draw(layout: Layout, seed: int, density: float = 0.5, scale: float = 2.0) -> LevelTensor:
    random = np.random.default_rng(seed)
    values = random.laplace(0, scale, layout.shape) * (random.random(layout.shape) < density)
    return LevelTensor(np.rint(np.clip(values, -(2**20), 2**20)).astype(np.int32), layout)


@given(st.lists(layouts, max_size=3), st.integers(0, 2**31), st.floats(0, 1), st.sampled_from([0.3, 2, 40, 1e5, 1e7]))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("coder", CODERS)
def test_groups_come_back(coder: Coder, group: list[Layout], seed: int, density: float, scale: float) -> None:
    tensors = [draw(layout, seed + i, density, scale) for i, layout in enumerate(group)]
    stream = encode(tensors, coder=coder)
    for tensor, back in zip(tensors, decode(stream, group), strict=True):
        np.testing.assert_array_equal(tensor.levels, back)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize(("trellis", "wide"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("per_row", [False, True])
def test_weights_are_those_of_dequantize(coder: Coder, trellis: bool, wide: bool, per_row: bool) -> None:
    layout = Layout(21, 7, 3, 3, trellis, wide)
    tensor = draw(layout, 1, scale=3)
    steps = np.linspace(0.01, 0.2, 21 if per_row else 1, dtype=np.float32)
    shifts = np.array([0.06, 0.03, -0.01, 0.25, 0, 0.5], np.float32)
    [weights] = decode_to_float(encode([tensor], coder=coder), [layout], [steps], [shifts])
    wanted = _core.dequantize(tensor.levels.reshape(21, -1), steps, layout.states, shifts)
    assert weights.tobytes() == wanted.tobytes()


def test_weights_go_where_they_are_wanted() -> None:
    layout = Layout(4, 5)
    tensor = draw(layout, 2)
    out = np.full((4, 5), np.nan, np.float32)
    decode_to_float(encode([tensor]), [layout], [np.ones(1, np.float32)], [np.zeros(6, np.float32)], [out])
    np.testing.assert_array_equal(out, tensor.levels.reshape(4, 5))


def entropy(levels: npt.NDArray[np.int32]) -> float:
    """Order-0, in bits."""
    _, counts = np.unique(levels, return_counts=True)
    return float(-(counts * np.log2(counts / levels.size)).sum())


@pytest.mark.parametrize("coder", CODERS)
def test_structure_pays(coder: Coder) -> None:
    """Rows and columns of different scales, as in trained layers, cost less than their order-0 entropy."""
    random = np.random.default_rng(3)
    scales = np.exp(random.normal(0, 0.7, (128, 1))) * np.exp(random.normal(0, 0.7, 256))
    levels = np.rint(random.laplace(0, 1, (128, 256)) * scales).astype(np.int32)
    tensor = LevelTensor(levels, Layout(128, 256))
    assert 8 * len(encode([tensor], coder=coder)) < 0.93 * entropy(levels)


def test_rows_alike_pay() -> None:
    """A row that is another's negative, as before a softmax over two classes, costs little."""
    random = np.random.default_rng(4)
    half = np.rint(random.laplace(0, 2, (16, 300))).astype(np.int32)
    levels = np.concatenate([half, -half])
    assert 8 * len(encode([LevelTensor(levels, Layout(32, 300))])) < 0.65 * entropy(levels)


def test_a_group_shares_statistics() -> None:
    tensors = [draw(Layout(16, 8, 3, 3), seed, scale=1.0) for seed in range(6)]
    together = len(encode(tensors))
    alone = sum(len(encode([tensor])) for tensor in tensors)
    assert together < 0.98 * alone


@pytest.mark.parametrize("trellis", [False, True])
def test_bits_come_near(trellis: bool) -> None:
    tensor = draw(Layout(128, 64, 3, 3, trellis), 5, scale=1.0)
    real = 8 * len(encode([tensor], coder=Coder.TABLES))
    assert bits(tensor.levels, tensor.layout) == pytest.approx(real, rel=0.03)


@pytest.mark.parametrize("coder", CODERS)
def test_every_truncation_is_an_error_or_other_levels(coder: Coder) -> None:
    """The stream has no checksum of its own: a cut must never crash, and a cut of tables is always seen."""
    tensor = draw(Layout(9, 6, 3, 3), 6)
    stream = encode([tensor], coder=coder)
    for size in range(len(stream)):
        try:
            [back] = decode(stream[:size], [tensor.layout])
        except ContainerError:
            continue
        assert coder is Coder.MIXING
        assert not np.array_equal(back, tensor.levels) or size >= len(stream) - 8


@given(st.binary(max_size=300), layouts)
@settings(max_examples=200, deadline=None)
def test_noise_is_an_error_or_some_levels(data: bytes, layout: Layout) -> None:
    for head in (b"", b"\1", b"\2"):
        try:
            [back] = decode(head + data, [layout])
        except ContainerError:
            continue
        assert back.shape == layout.shape


def test_levels_beyond_the_limit_are_refused() -> None:
    with pytest.raises(ValueError, match="2\\^24"):
        encode([LevelTensor(np.array([[1 << 25]], np.int32), Layout(1, 1))])


def test_a_layout_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="layout"):
        encode([LevelTensor(np.zeros((2, 3), np.int32), Layout(2, 4))])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 32, 3, 3), (64, 32, 3, 3)),
        ((64, 32, 5), (64, 32, 1, 5)),
        ((10, 500), (10, 500, 1, 1)),
        ((7,), (1, 7, 1, 1)),
        ((), (1, 1, 1, 1)),
    ],
)
def test_layouts_of_shapes(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert Layout.of(shape).shape == expected
    assert Layout.of(shape).size == np.prod(shape, dtype=int)


@pytest.mark.parametrize(
    ("block", "model", "coder"),
    [
        (25_000, 25_000, Coder.MIXING),
        (2_600_000, 2_600_000, Coder.MIXING),
        (3_900_000, 5_900_000, Coder.MIXING),
        (4_000_000, 138_000_000, Coder.TABLES),
        (1_000_000, 138_000_000, Coder.TABLES),
        (40_000, 138_000_000, Coder.MIXING),
    ],
)
def test_the_coder_fits_the_model(block: int, model: int, coder: Coder) -> None:
    assert choose(block, model) is coder


@pytest.mark.parametrize(
    ("coder", "digest"),
    [(Coder.MIXING, "67a39814ef56b924"), (Coder.TABLES, "5ce5b389a3f4256d")],
)
def test_the_format_stands_still(coder: Coder, digest: str) -> None:
    """A fixed group gives a fixed stream. Another digest is another format."""
    group = [Layout(24, 10, 3, 3, True), Layout(12, 70), Layout(1, 40)]
    tensors = []
    seed = 1
    for layout in group:
        values = np.empty(layout.size, np.int32)
        for i in range(layout.size):
            seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
            values[i] = (seed >> 16) % (2 + i // layout.shape[1] % 5) - (seed >> 9) % 2
        tensors.append(LevelTensor(values, layout))
    assert hashlib.sha256(encode(tensors, coder=coder)).hexdigest()[:16] == digest
