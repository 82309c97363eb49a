"""A second reader of .demi files, written after docs/format.md alone: what the document says is what the writer does.

It takes the package's text and level coders, and reads header, index and float streams itself.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from demitasse import codec
from demitasse.codec import text as text_coder
from demitasse.net import Dense, Levels


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def float32(self) -> float:
        return struct.unpack("<f", self.take(4))[0]


class Binary:
    """The binary decoder: a range of 64 bits, probabilities of a one in 1/65536."""

    def __init__(self, data: bytes) -> None:
        self.data = Bytes(data + bytes(16))
        self.value = int.from_bytes(self.data.take(8), "big")
        self.range = (1 << 64) - 1

    def bit(self, p: int = 32768) -> int:
        bound = (self.range >> 16) * p
        one = self.value < bound
        self.value, self.range = (self.value, bound) if one else (self.value - bound, self.range - bound)
        if self.range < 1 << 32:
            self.value = (self.value << 32 | int.from_bytes(self.data.take(4).ljust(4, b"\0"), "big")) & ((1 << 64) - 1)
            self.range <<= 32
        return int(one)


@dataclass
class Adaptive:
    p: int = 32768
    n: int = 0

    def read(self, source: Binary) -> int:
        bit = source.bit(self.p)
        self.p += int(((65503 if bit else 32) - self.p) / (self.n + 2))
        self.n = min(self.n + 1, 30)
        return bit


@dataclass
class Tree:
    bits: int
    nodes: dict[int, Adaptive] = field(default_factory=dict)

    def read(self, source: Binary) -> int:
        node = 1
        for _ in range(self.bits):
            node = node << 1 | self.nodes.setdefault(node, Adaptive()).read(source)
        return node - (1 << self.bits)


@dataclass
class Number:
    length: Tree = field(default_factory=lambda: Tree(4))
    first: dict[int, Adaptive] = field(default_factory=dict)

    def read(self, source: Binary) -> int:
        length = self.length.read(source)
        value = min(length, 1)
        for i in range(length - 1):
            value = value << 1 | (source.bit() if i else self.first.setdefault(length, Adaptive()).read(source))
        return value


FIELDS = {0: ("<u4", "<f4", 8), 1: ("<u8", "<f8", 11), 2: ("<u2", "<f2", 5), 3: ("u1", "u1", 0)}


def float_stream(data: bytes, kind: int, matrices: list[tuple[int, int]]) -> list[np.ndarray]:
    integer, dtype, exponent = FIELDS[kind]
    width = np.dtype(integer).itemsize * 8
    shapes = []
    for rows, columns in matrices:
        flat = columns == 1 or (columns < 8 and kind != 3)
        shapes.append((min(rows * columns, 1), rows * columns) if flat else (rows, columns))
    total = sum(rows * columns for rows, columns in shapes)
    if total == 0:
        return [np.zeros(shape, dtype) for shape in matrices]

    source = Bytes(data)
    model_size, word_count = source.varint(), source.varint()
    model = Binary(source.take(model_size))
    lanes = 32 if total >= 16384 else 1
    states = list(struct.unpack(f"<{lanes}I", source.take(4 * lanes)))
    words = iter(struct.unpack(f"<{word_count}H", source.take(2 * word_count)))
    raw = int.from_bytes(source.data[source.at :], "little")

    numbers, gaps = Number(), Number()
    with_sign, dropped, escape = model.bit(), numbers.read(model), model.bit()
    keys: list[int] = []
    for _ in range(numbers.read(model)):
        keys.append(gaps.read(model) + (keys[-1] + 1 if keys else 0))
    symbols = len(keys) + escape
    tables = Tree(5).read(model)
    table_of, step = [0] * 64, Adaptive()
    for i in range(1, 64 if tables > 1 else 0):
        table_of[i] = table_of[i - 1] + step.read(model)
    contexts: dict[int, Number] = {}
    counts: list[list[int]] = []
    for _ in range(tables):
        own: list[int] = []
        for symbol in range(symbols - 1):
            above = counts[-1][symbol].bit_length() if counts else 0
            before = own[-1].bit_length() if own else 0
            own.append(contexts.setdefault((above + before + 1) // 2, Number()).read(model))
        counts.append([*own, 4096 - sum(own)])
    row_steps, column_trees, has_columns, row_class = Tree(6), [Tree(5) for _ in range(4)], Adaptive(), 0
    classes = []
    for rows, columns in shapes:
        of_rows, of_columns = [], [0] * columns
        for _ in range(rows):
            row_class = (row_class + row_steps.read(model)) % 64
            of_rows.append(row_class)
        if rows >= 2 and has_columns.read(model):
            previous = 16
            for column in range(columns):
                previous = column_trees[0 if previous < 15 else min(previous - 14, 3)].read(model)
                of_columns[column] = previous - 16
        classes.append((of_rows, of_columns))

    key_bits = 8 if kind == 3 else exponent + 1 + with_sign
    rest_bits = 0 if kind == 3 else width - 2 - exponent
    position = 0

    def bits(count: int) -> int:
        nonlocal position
        position += count
        return raw >> (position - count) & ((1 << count) - 1)

    out, turn = [], 0
    for (rows, columns), (of_rows, of_columns), original in zip(shapes, classes, matrices, strict=True):
        values = np.zeros(rows * columns, integer)
        for row in range(rows):
            for column in range(columns):
                own = counts[table_of[min(max(of_rows[row] + of_columns[column], 0), 63)]]
                lane, turn = turn % lanes, turn + 1
                slot, symbol, start = states[lane] % 4096, 0, 0
                while slot >= start + own[symbol]:
                    start += own[symbol]
                    symbol += 1
                states[lane] = own[symbol] * (states[lane] // 4096) + slot - start
                if states[lane] < 1 << 16:
                    states[lane] = states[lane] << 16 | next(words)
                if symbol == len(keys):
                    value = bits(width)
                elif kind == 3:
                    value = keys[symbol]
                elif keys[symbol] >> key_bits:
                    value = (keys[symbol] & 1) << (width - 1)
                else:
                    value = keys[symbol] << rest_bits | bits(rest_bits - dropped) << dropped
                    value |= 0 if with_sign else bits(1) << (width - 1)
                values[row * columns + column] = value
        out.append(values.view(dtype).reshape(original))
    assert all(state == 1 << 16 for state in states)
    assert next(words, None) is None
    return out


@dataclass
class Tensor:
    kind: int
    shape: tuple[int, ...]
    flags: int = 0
    step: float = 0.0
    values: np.ndarray | None = None

    @property
    def matrix(self) -> tuple[int, int]:
        shape = list(self.shape)
        while len(shape) > 1 and shape[0] == 1 and self.kind != 4:
            shape.pop(0)
        return (shape[0] if shape else 1), math.prod(shape[1:])


def read(data: bytes) -> tuple[bytes, bytes, list[tuple[str, list[Tensor]]]]:
    """Prototxt, metadata and layers; tensors of kinds 0 to 3 have values."""
    magic, version, offset, *lengths, _, _ = struct.unpack("<7sBQIIIIII", data[:40])
    assert (magic, version) == (b"\x89DEMI\r\n", 1)
    head = Bytes(text_coder.decode(data[offset:], sum(lengths)))
    prototxt, metadata = head.take(lengths[0]), head.take(lengths[1])
    index = Bytes(head.take(lengths[2]))
    pieces, last, layers, tensors = prototxt.split(b'"'), 0, [], []
    for _ in range(index.varint()):
        reference = index.varint()
        if reference:
            last = (last + reference - 1) % len(pieces)
        name = pieces[last] if reference else index.take(index.varint())
        own = []
        for _ in range(index.varint()):
            kind, axes = divmod(index.varint(), 64)
            tensor = Tensor(kind, tuple(index.varint() for _ in range(axes)))
            if kind == 4:
                tensor.flags = index.varint()
                index.take(6 if tensor.flags & 4 else 0)
                if tensor.flags & 2:
                    assert index.varint() == tensor.shape[0]
                else:
                    tensor.step = index.float32()
            own.append(tensor)
        tensors += own
        layers.append((name.decode(), own))
    tensors += [Tensor(0, tensor.shape[:1]) for tensor in tensors if tensor.flags & 2]

    count, at = index.varint(), 40
    for kind in range(6):
        rows_done = 0
        waiting = [tensor for tensor in tensors if tensor.kind == kind]
        while waiting:
            cover, length, _ = index.varint(), index.varint(), index.take(4)
            block, count, at = data[at : at + length], count - 1, at + length
            if cover & 1:
                tensor, shapes = waiting[0], [(cover >> 1, waiting[0].matrix[1])]
            else:
                shapes = [tensor.matrix for tensor in waiting[: cover >> 1]]
            parts = float_stream(block, kind, shapes) if kind < 4 else [np.zeros(shape) for shape in shapes]
            if cover & 1:
                tensor.values = parts[0] if rows_done == 0 else np.concatenate([tensor.values, parts[0]])
                rows_done = (rows_done + (cover >> 1)) % tensor.matrix[0]
                waiting = waiting[1:] if rows_done == 0 else waiting
            else:
                for tensor, part in zip(waiting, parts, strict=False):
                    tensor.values = part
                waiting = waiting[cover >> 1 :]
    assert (count, at, index.at) == (0, offset, lengths[2])
    return prototxt, metadata, layers


def tensors() -> list[Dense | Levels]:
    rng = np.random.default_rng(0)
    scaled = rng.normal(size=(40, 150)) * np.exp(rng.normal(size=(40, 1))) * np.exp(rng.normal(size=150))
    sparse = scaled * (rng.random((40, 150)) < 0.2)
    wild = rng.integers(0, 1 << 32, (40, 150), np.uint64).astype(np.uint32).view("<f4")
    return [
        Dense(scaled.astype("<f4")),
        Dense(sparse.astype("<f4")),
        Dense(wild),
        Dense(scaled[:4]),
        Dense(sparse.astype("<f2")),
        Dense(np.abs(scaled).astype("<f4")),
        Dense(scaled.astype("<f2").astype("<f4")),
        Dense(scaled[:3, :7].astype("<f4").copy()),
        Dense(scaled[0].astype("<f4").reshape(1, 1, 1, 150)),
        Dense(np.array(2.5, "<f4")),
        Dense((scaled * 9).astype(np.int64).astype("u1")),
        Levels(rng.integers(-2, 3, (6, 8)).astype(np.int32), np.arange(1, 7, dtype=np.float32), True),
        Levels(
            rng.integers(-2, 3, (6, 8)).astype(np.int32),
            np.ones(1, np.float32),
            True,
            np.full(6, 0.25, np.float32),
            True,
        ),
        Levels(rng.integers(-2, 3, (6, 8)).astype(np.int32), np.array([0.5], np.float32)),
    ]


@pytest.mark.parametrize("elements", [1 << 20, 900])
def test_a_reader_written_after_the_document_reads_files(
    elements: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in codec.blocks.Kind:
        monkeypatch.setitem(codec.blocks.ELEMENTS, kind, elements)
    text = b'layer { name: "conv1" }\nlayer { name: "conv2" }\n'
    given = [("conv1", tensors()[:6]), ("conv2", tensors()[6:]), ("other", tensors()[:1])]
    codec.write(tmp_path / "a.demi", text, given, {"k": 1})
    prototxt, metadata, layers = read((tmp_path / "a.demi").read_bytes())
    assert (prototxt, metadata) == (text, b'{"k":1}')
    assert [name for name, _ in layers] == ["conv1", "conv2", "other"]
    for (_, expected), (_, own) in zip(given, layers, strict=True):
        for tensor, read_ in zip(expected, own, strict=True):
            assert tensor.shape == read_.shape
            if isinstance(tensor, Dense):
                assert read_.values is not None
                assert read_.values.tobytes() == tensor.values.tobytes()
