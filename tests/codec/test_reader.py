"""Decoding ahead: the same weights in whatever order they are asked for, and no more at once than is allowed."""

import random
from pathlib import Path

import numpy as np
import pytest

from demitasse import codec
from demitasse.codec import blocks, reader
from demitasse.codec.index import Kind
from demitasse.errors import ContainerError
from demitasse.net import Dense, Levels, Tensor


def tensors() -> list[Tensor]:
    """Small ones that share a block and large ones of several blocks, of two kinds that take turns."""
    rng = np.random.default_rng(1)
    out: list[Tensor] = []
    for rows in (4, 80, 8, 64, 2, 2, 100):
        levels = rng.integers(-3, 4, (rows, 50)).astype(np.int32)
        out += [Levels(levels, np.float32([0.5])), Dense(rng.normal(size=rows).astype("<f4"))]
    return out


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(blocks.ELEMENTS, Kind.LEVELS, 800)
    codec.write(tmp_path / "a.demi", b"", [("a", tensors())])
    return tmp_path / "a.demi"


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("ahead", [0, 1000, 1 << 24])
def test_any_order_gives_the_same_weights(
    stored: Path, threads: int, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "AHEAD", ahead)
    expected = [tensor.array().tobytes() for tensor in tensors()]
    for seed in range(4):
        order = list(range(len(expected))) * 2
        if seed:
            random.Random(seed).shuffle(order)
        with codec.open(stored, threads=threads) as opened:
            ((_, found),) = opened.layers
            for step, number in enumerate(order):
                if step % 2:
                    assert found[number].array().tobytes() == expected[number]
                else:
                    assert b"".join(part.tobytes() for part in found[number].parts()) == expected[number]


def test_no_more_is_ahead_than_allowed(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "AHEAD", 1700)
    with codec.open(stored, threads=2) as opened:
        ((_, found),) = opened.layers
        most = 0
        for tensor in found:
            for _ in tensor.parts():
                most = max(most, opened.blocks.ahead)
        assert 800 <= most <= 1700
        assert opened.blocks.ahead == 0


def test_a_damaged_block_is_an_error_for_those_who_take_it(stored: Path) -> None:
    with codec.open(stored, threads=2) as opened:
        last = max(opened.blocks.index.blocks, key=lambda block: block.offset if block.kind is Kind.LEVELS else 0)
    data = bytearray(stored.read_bytes())
    data[last.offset + 3] ^= 1
    stored.write_bytes(data)
    with codec.open(stored, threads=2) as opened:
        ((_, found),) = opened.layers
        for tensor, original in zip(found[:-2], tensors(), strict=False):
            assert tensor.array().tobytes() == original.array().tobytes()
        with pytest.raises(ContainerError, match="damaged"):
            found[-2].array()
