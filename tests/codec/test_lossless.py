import contextlib
import hashlib
import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from demitasse.caffe.read import read_net
from demitasse.codec import lossless
from demitasse.errors import ContainerError

DTYPES = ["<f4", "<f8", "<f2", "u1"]
SPECIAL = {
    "<f4": [0, 1 << 31, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x007FFFFF, 0x3F800000],
    "<f8": [0, 1 << 63, 1, 0x7FF0000000000000, 0xFFF8000000000000, 0x7FF0000000000001, (1 << 64) - 1],
    "<f2": [0, 1 << 15, 1, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 0xFFFF],
    "u1": [0, 255],
}


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def round_trip(matrices: list[np.ndarray]) -> bytes:
    data = lossless.encode(matrices)
    out = [np.empty_like(matrix) for matrix in matrices]
    lossless.decode(data, out)
    assert all(same_bits(a, b) for a, b in zip(matrices, out, strict=True))
    return data


@st.composite
def groups(draw: st.DrawFn) -> list[np.ndarray]:
    """Matrices of one type whose bit patterns are drawn, or are scattered around some scale, or mostly zero."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    out = []
    for _ in range(draw(st.integers(1, 4))):
        shape = (draw(st.integers(0, 40)), draw(st.integers(0, 60)))
        style = draw(st.sampled_from(["bits", "normal", "sparse", "special", "constant"]))
        bits = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype).reshape(shape)
        normal = (
            (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3)).astype(dtype) if dtype.kind == "f" else bits // 9
        )
        if style == "bits":
            matrix = bits
        elif style == "sparse":
            matrix = normal * (rng.random(shape) < 0.1).astype(dtype)
        elif style == "special":
            values = np.array(SPECIAL[dtype.str.replace("|", "")], np.uint64).astype(f"u{dtype.itemsize}").view(dtype)
            matrix = rng.choice(values, shape)
        else:
            matrix = np.full(shape, rng.integers(1, 9)).astype(dtype) if style == "constant" else normal
        out.append(np.ascontiguousarray(matrix))
    return out


@given(groups())
@settings(max_examples=300, deadline=None)
def test_every_bit_comes_back(matrices: list[np.ndarray]) -> None:
    round_trip(matrices)


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values_come_back(dtype: str) -> None:
    bits = np.array(SPECIAL[dtype], np.uint64).astype(f"u{np.dtype(dtype).itemsize}")
    round_trip([bits.view(dtype).reshape(1, -1)])
    round_trip([np.tile(bits, 3000).view(dtype).reshape(100, -1)])


def test_every_half_comes_back() -> None:
    round_trip([np.arange(1 << 16, dtype=np.uint16).view("<f2").reshape(256, 256)])


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_more_exponents_than_symbols_come_back(dtype: str) -> None:
    rng = np.random.default_rng(1)
    unsigned = np.dtype(f"u{np.dtype(dtype).itemsize}")
    bits = rng.integers(0, 1 << 63, (300, 301), np.uint64).astype(np.uint64) << np.uint64(1)
    values = (bits >> np.uint64(64 - 8 * unsigned.itemsize)).astype(unsigned).view(dtype)
    values[::2] = rng.normal(size=values[::2].shape)
    round_trip([values])


@given(groups(), st.data())
@settings(max_examples=200, deadline=None)
def test_damage_is_an_error_or_other_numbers(matrices: list[np.ndarray], data: st.DataObject) -> None:
    stream = bytearray(lossless.encode(matrices))
    for _ in range(data.draw(st.integers(1, 3))):
        if stream:
            stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ContainerError):
        lossless.decode(bytes(stream), [np.empty_like(matrix) for matrix in matrices])


@given(st.binary(max_size=300), hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), st.sampled_from(DTYPES))
@settings(max_examples=300, deadline=None)
def test_foreign_bytes_are_an_error_or_numbers(data: bytes, shape: tuple[int, int], dtype: str) -> None:
    with contextlib.suppress(ContainerError):
        lossless.decode(data, [np.empty(shape, dtype)])


def test_a_cut_stream_is_an_error() -> None:
    values = np.random.default_rng(0).normal(size=(80, 60)).astype("<f4")
    stream = lossless.encode([values])
    for size in range(0, len(stream), 7):
        with pytest.raises(ContainerError):
            lossless.decode(stream[:size], [np.empty_like(values)])


def weights(rows: int = 512, columns: int = 576) -> np.ndarray:
    """As trained ones are: every filter and every input channel has a scale of its own."""
    rng = np.random.default_rng(3)
    scale = np.exp(rng.normal(size=(rows, 1)) * 0.5) * np.exp(np.repeat(rng.normal(size=columns // 9), 9) * 0.5)
    return (rng.normal(size=(rows, columns)) * scale * 0.02).astype("<f4")


def test_scales_of_rows_and_columns_are_used() -> None:
    values = weights()
    exponents = (values.view(np.uint32) >> 23 & 255).ravel()
    counts = np.bincount(exponents)
    probabilities = counts[counts > 0] / counts.sum()
    order0 = values.size * (24 - (probabilities * np.log2(probabilities)).sum()) / 8
    assert len(lossless.encode([values])) < 0.99 * order0


def test_zeros_cost_next_to_nothing() -> None:
    assert len(lossless.encode([np.zeros((1000, 1000), "<f4")])) < 200
    values = weights() * (np.random.default_rng(4).random((512, 576)) < 0.1)
    packed = lossless.encode([values.astype("<f4")])
    assert len(packed) < len(lzma.compress(values.astype("<f4").tobytes())) * 0.95


def test_low_bits_that_are_always_zero_are_free() -> None:
    values = weights().astype("<f2").astype("<f4")
    assert len(lossless.encode([values])) < 1.05 * len(lossless.encode([values.astype("<f2")]))


def test_signs_that_are_all_alike_are_free() -> None:
    values = np.abs(weights())
    assert len(lossless.encode([values])) < len(lossless.encode([weights()])) - values.size / 9


@given(hnp.arrays(np.uint32, st.integers(1, 300)))
def test_keys_are_in_order_and_come_back(bits: np.ndarray) -> None:
    values = bits.view(np.float32)
    keys = lossless.to_keys(values)
    assert lossless.from_keys(keys).tobytes() == values.tobytes()
    plain = values[np.argsort(keys)]
    plain = plain[~np.isnan(plain)]
    assert (np.diff(plain) >= 0).all() if len(plain) < 2 or np.isfinite(plain).all() else True


def test_few_distinct_values_are_found() -> None:
    rng = np.random.default_rng(5)
    book = rng.normal(size=100).astype("<f4")
    book[:3] = [0.0, -0.0, np.nan]
    values = book[rng.integers(0, 100, (60, 70))]
    keys = lossless.distinct(values)
    assert keys is not None
    assert len(keys) == 100
    assert lossless.from_keys(keys)[lossless.positions(values, keys)].tobytes() == values.tobytes()
    assert lossless.distinct(weights()) is None
    assert lossless.distinct(np.zeros((0, 4), "<f4")) is None


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["fsrcnn_x3", "mtcnn_det1", "resnet20_cifar10", "vanface_landmark"])
def test_real_weights_are_smaller_than_xz_makes_them(name: str, zoo: Path) -> None:
    folder = zoo / "models" / name
    net = read_net(folder / "deploy.prototxt", folder / f"{name}.caffemodel")
    matrices = [t.array().reshape(t.shape[0], -1) for layer in net.layers for t in layer.tensors]
    raw = b"".join(matrix.tobytes() for matrix in matrices)
    packed = round_trip(matrices)
    assert len(packed) < 0.93 * len(lzma.compress(raw, preset=9))
    assert len(packed) < 0.85 * len(raw)


def test_the_format_has_not_changed() -> None:
    values = np.cumsum(np.arange(170 * 110, dtype=np.int64) ** 3 % 1009 - 504).reshape(170, 110) / 64
    values[::7] = 0
    for dtype, expected in CODED.items():
        matrix = values.astype(dtype) if dtype != "u1" else (values * 64).astype(np.int64).astype(np.uint8)
        assert hashlib.sha256(lossless.encode([matrix, matrix[:1, :50].copy()])).hexdigest()[:16] == expected, dtype


CODED = {"<f4": "977392cbd4f3769d", "<f8": "1ad748db674434da", "<f2": "eb70ce929db068cb", "u1": "0e9e6ddffe464dce"}
