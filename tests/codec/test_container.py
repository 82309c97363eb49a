"""The .demi container: what comes back, what is refused, what is never allocated."""

import contextlib
import hashlib
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demitasse import _core, codec
from demitasse.codec import blocks, clusters, container, text
from demitasse.codec.index import Entry, Index, Kind, Limits
from demitasse.errors import ContainerError
from demitasse.net import Clustered, Dense, Levels, Tensor
from demitasse.varint import varint

TEXT = b'name: "n"\nlayer {\n  name: "conv1"\n  type: "Convolution"\n}\nlayer { name: "fc2" type: "InnerProduct" }\n'
Layers = list[tuple[str, tuple[Tensor, ...]]]


def dense(*shape: int, dtype: str = "<f4", seed: int = 0) -> Dense:
    return Dense(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def levels(
    *shape: int, rows: bool = False, trellis: bool = False, wide: bool = False, spread: int = 3, seed: int = 0
) -> Levels:
    rng = np.random.default_rng(seed)
    steps = rng.random(shape[0] if rows else 1).astype(np.float32) + np.float32(0.1)
    shifts = np.array([-128, 32, 127, 0, -1, 1] if trellis else [0] * 6, np.float32) / 256
    return Levels(rng.integers(-spread, spread + 1, shape).astype(np.int32), steps, trellis, shifts, wide)


def clustered(*shape: int, k: int = 16, seed: int = 0) -> Clustered:
    rng = np.random.default_rng(seed)
    return Clustered(rng.integers(0, k, shape).astype(np.uint8), rng.normal(size=k).astype(np.float32))


def same(given: Tensor, stored: codec.Stored) -> bool:
    """Bit for bit, in each of the ways in which it can be read."""
    expected = given.array() if given.size else np.empty(given.shape, given.dtype)
    ways = [
        stored.array(),
        stored.coded().array(),
        np.concatenate([p.ravel() for p in stored.parts()]).reshape(stored.shape),
    ]
    return stored.shape == given.shape and all(
        way.dtype == expected.dtype and way.tobytes() == expected.tobytes() for way in ways
    )


def assert_comes_back(path: Path, layers: Layers, **options: int) -> None:
    with codec.open(path, **options) as reader:
        reader.check()
        assert [name for name, _ in reader.layers] == [name for name, _ in layers]
        for (name, given_), (_, stored) in zip(layers, reader.layers, strict=True):
            assert len(given_) == len(stored)
            assert all(same(a, b) for a, b in zip(given_, stored, strict=True)), name


KINDS: dict[str, Tensor] = {
    "dense": dense(8, 3, 3, 3),
    "double": dense(5, 7, dtype="<f8"),
    "half": dense(5, 7, dtype="<f2"),
    "legacy shape": dense(1, 1, 1, 9),
    "scalar": Dense(np.array(3.5, np.float32)),
    "empty": Dense(np.zeros((0, 4), np.float32)),
    "empty levels": levels(0, 4),
    "levels": levels(8, 4, 3, 3),
    "levels of a vector": levels(19),
    "levels of a scalar": Levels(np.array(3, np.int32), np.array([0.5], np.float32)),
    "steps per row": levels(8, 36, rows=True),
    "steps per element": levels(9, rows=True),
    "trellis": levels(8, 4, 3, 3, trellis=True, rows=True),
    "wide trellis": levels(8, 4, 3, 3, trellis=True, wide=True),
    "trellis of a vector": levels(9, trellis=True),
    "trellis of one row": levels(1, 33, trellis=True),
    "large levels": levels(3, 5, spread=1 << 20),
    "clustered": clustered(10, 20),
    "one value": Clustered(np.zeros((3, 3), np.uint8), np.array([2.5], np.float32)),
    "few values": Dense(np.tile(np.array([0.0, -0.0, np.nan, np.inf], np.float32), (16, 8))),
    "denormal": Dense(np.arange(12, dtype=np.uint32).view(np.float32)),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_comes_back(name: str, tmp_path: Path) -> None:
    layers: Layers = [("conv1", (KINDS[name], dense(4))), ("fc2", (KINDS[name],))]
    codec.write(tmp_path / "a.demi", TEXT, layers)
    assert_comes_back(tmp_path / "a.demi", layers)


@pytest.mark.parametrize("threads", [1, 3])
def test_big_tensors_in_many_blocks_come_back(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in Kind:
        monkeypatch.setitem(blocks.ELEMENTS, kind, 200)
    layers: Layers = [
        (name, (tensor, dense(30, 40), levels(40, 30, trellis=True, rows=True))) for name, tensor in KINDS.items()
    ]
    layers.append(("bytes", (clustered(50, 40), levels(300), levels(300, trellis=True), dense(500), levels(1, 900))))
    codec.write(tmp_path / "a.demi", TEXT, layers, threads=threads)
    assert_comes_back(tmp_path / "a.demi", layers, threads=threads)
    with codec.open(tmp_path / "a.demi") as reader:
        assert sum(not block.whole for block in reader.blocks.index.blocks) > 50


@st.composite
def networks(draw: st.DrawFn) -> Layers:
    seed = draw(st.integers(0, 1 << 30))
    shapes = st.lists(st.integers(0, 12), max_size=4).map(tuple)
    names = st.one_of(st.sampled_from(["conv1", "fc2", "n", "", '"', "Convolution"]), st.text(max_size=8))

    def tensor() -> Tensor:
        shape = draw(shapes)
        match draw(st.sampled_from(["dense", "levels", "clustered"])):
            case "dense":
                return dense(*shape, dtype=draw(st.sampled_from(["<f4", "<f8", "<f2"])), seed=seed)
            case "levels":
                rows, trellis = draw(st.booleans()), draw(st.booleans())
                return levels(*shape, rows=rows and bool(shape), trellis=trellis, seed=seed)
            case _:
                return clustered(*shape, k=draw(st.integers(1, 30)), seed=seed)

    return [
        (draw(names.filter(is_text)), tuple(tensor() for _ in range(draw(st.integers(0, 3)))))
        for _ in range(draw(st.integers(0, 5)))
    ]


def is_text(name: str) -> bool:
    return not any(0xD800 <= ord(c) < 0xE000 for c in name)


@given(networks(), st.binary(max_size=100), st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_networks_come_back(tmp_path: Path, layers: Layers, prototxt: bytes, metadata: dict[str, object]) -> None:
    path = tmp_path / "a.demi"
    codec.write(path, prototxt, layers, metadata)
    assert_comes_back(path, layers)
    with codec.open(path) as reader:
        assert reader.text == prototxt
        assert dict(reader.metadata) == metadata


def test_bytes_do_not_depend_on_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(blocks.ELEMENTS, Kind.FLOAT32, 300)
    layers: Layers = [("conv1", (dense(50, 60), levels(30, 40), clustered(9, 9))), ("fc2", (dense(7),))]
    files = []
    for threads in (1, 2, 7):
        codec.write(tmp_path / "a.demi", TEXT, layers, threads=threads)
        files.append((tmp_path / "a.demi").read_bytes())
    assert files[0] == files[1] == files[2]


def test_large_networks_use_the_faster_coder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGE", 5000)
    monkeypatch.setattr(blocks, "ALONE", 900)
    monkeypatch.setitem(blocks.ELEMENTS, Kind.LEVELS, 2000)
    sizes = [(8, 10), (40, 30), (9, 9), (3, 4), (100, 50), (64, 3, 3, 3)]
    layers: Layers = [("conv1", tuple(levels(*size, rows=True, trellis=True) for size in sizes))]
    codec.write(tmp_path / "a.demi", TEXT, layers)
    assert_comes_back(tmp_path / "a.demi", layers)
    with codec.open(tmp_path / "a.demi") as reader:
        plan = [block for block in reader.blocks.index.blocks if block.kind is Kind.LEVELS]
        coders = [blocks.levels.Coder((tmp_path / "a.demi").read_bytes()[block.offset]) for block in plan]
    fast, small = blocks.levels.Coder.TABLES, blocks.levels.Coder.MIXING
    assert [len(block.pieces) for block in plan] == [1, 1, 2, 1, 1, 1, 1]
    assert coders == [small, fast, small, fast, fast, fast, fast]


def test_many_threads_may_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in Kind:
        monkeypatch.setitem(blocks.ELEMENTS, kind, 500)
    given_ = [make(20, 30 + i, seed=i) for i in range(20) for make in (dense, levels, clustered)]
    codec.write(tmp_path / "a.demi", TEXT, [("conv1", given_)])
    with codec.open(tmp_path / "a.demi", threads=3) as reader, ThreadPoolExecutor(8) as pool:
        ((_, stored),) = reader.layers
        order = list(range(60)) * 3
        for number, array in zip(order, pool.map(lambda n: stored[n].array(), order), strict=True):
            assert array.tobytes() == given_[number].array().tobytes()


def test_a_stored_tensor_is_stored_again_as_it_was(tmp_path: Path) -> None:
    codec.write(tmp_path / "a.demi", TEXT, [("conv1", (levels(8, 9), clustered(9, 9), dense(3, 3)))])
    with codec.open(tmp_path / "a.demi") as reader:
        codec.write(tmp_path / "b.demi", reader.text, reader.layers)
    assert (tmp_path / "a.demi").read_bytes() == (tmp_path / "b.demi").read_bytes()


def test_little_is_added_to_a_small_network(tmp_path: Path) -> None:
    codec.write(tmp_path / "a.demi", b"", [])
    assert (tmp_path / "a.demi").stat().st_size <= 60
    layers: Layers = [(f"conv{i}", (dense(4, 4, 3, 3, seed=i), dense(4, seed=i))) for i in range(20)]
    prototxt = b"".join(b'layer { name: "conv%d" type: "Convolution" }\n' % i for i in range(20))
    codec.write(tmp_path / "a.demi", prototxt, layers)
    weights = sum(tensor.nbytes for _, those in layers for tensor in those)
    assert (tmp_path / "a.demi").stat().st_size < 0.9 * weights + 250


def test_opening_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec.write(tmp_path / "a.demi", TEXT, [("conv1", (dense(8, 9),))])
    monkeypatch.setattr("demitasse.codec.reader.decode_block", lambda *_, **__: pytest.fail("decoded"))
    with codec.open(tmp_path / "a.demi") as reader:
        ((_, (tensor,)),) = reader.layers
        assert (tensor.shape, tensor.dtype, tensor.nbytes) == ((8, 9), np.float32, 288)


def test_a_closed_file_gives_no_more_tensors(tmp_path: Path) -> None:
    codec.write(tmp_path / "a.demi", TEXT, [("conv1", (dense(8, 9),))])
    with codec.open(tmp_path / "a.demi") as reader:
        ((_, (tensor,)),) = reader.layers
    with pytest.raises(ContainerError, match="closed"):
        tensor.array()


def small_file(path: Path) -> bytes:
    codec.write(path, b'layer { name: "a" }', [("a", (levels(3, 4), dense(2), clustered(2, 3, k=2)))], {"k": 1})
    return path.read_bytes()


def opens(path: Path) -> bool:
    with codec.open(path, threads=1) as reader:
        reader.check()
        for _, tensors in reader.layers:
            for tensor in tensors:
                tensor.array()
    return True


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.demi"
    good = small_file(path)
    assert opens(path)
    for position in range(len(good) * 8):
        bad = bytearray(good)
        bad[position // 8] ^= 1 << position % 8
        path.write_bytes(bad)
        with pytest.raises(ContainerError):
            opens(path)


def test_every_cut_and_every_addition_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.demi"
    good = small_file(path)
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(ContainerError):
            opens(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(ContainerError):
        opens(path)


def forged(
    index: bytes, weights: bytes = b"", prototxt: bytes = b"", extra: bytes = b"", frame: bytes = b"", version: int = 1
) -> bytes:
    """A file whose checksums are right, whatever its index says."""
    head = text.encode(prototxt + extra + index + frame)
    lengths = (len(prototxt), len(extra), len(index), len(frame))
    offset = container._HEADER.size + len(weights)
    header = container._HEADER.pack(container.MAGIC, version, offset, *lengths, _core.crc32c(head), 0)[:-4]
    return header + struct.pack("<I", _core.crc32c(header)) + weights + head


def entry(kind: int, *shape: int) -> bytes:
    return varint(kind << 6 | len(shape)) + b"".join(varint(n) for n in shape)


def one_tensor(described: bytes, *cover: tuple[int, bytes]) -> bytes:
    """The index of a layer with one tensor, and of blocks that cover so much and hold these bytes."""
    out = varint(1) + varint(0) + varint(1) + b"a" + varint(1) + described + varint(len(cover))
    return out + b"".join(varint(c) + varint(len(d)) + struct.pack("<I", _core.crc32c(d)) for c, d in cover)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "2^60 elements": (forged(one_tensor(entry(0, 1 << 60), (2, b""))), "size of a tensor is 1152921504606846976"),
    "2^60 elements by axes": (forged(one_tensor(entry(0, *[1 << 20] * 3), (2, b""))), "elements, the limit is"),
    "many tensors too large together": (
        forged(varint(1) + varint(0) + varint(0) + varint(40) + entry(0, 1 << 28) * 40 + varint(0)),
        "more than 1073741824 elements",
    ),
    "too many axes": (forged(one_tensor(entry(0, *[1] * 33), (2, b""))), "33 axes"),
    "levels of nothing": (forged(one_tensor(entry(4, 0, 3), (2, b""))), "without elements"),
    "unknown kind": (forged(one_tensor(entry(7, 3), (2, b""))), "kind of tensor"),
    "codebook of no tensor": (forged(one_tensor(entry(6, 3), (2, b""))), "without a tensor"),
    "2^40 layers": (forged(varint(1 << 40)), "number of layers"),
    "2^40 tensors": (forged(varint(1) + varint(0) + varint(0) + varint(1 << 40)), "number of tensors"),
    "2^40 blocks": (forged(varint(0) + varint(1 << 40)), "number of blocks"),
    "name beyond the text": (forged(varint(1) + varint(9)), "name of a layer"),
    "number that does not end": (forged(b"\xff" * 20), "well-formed"),
    "number with a needless byte": (forged(b"\x80\x00"), "well-formed"),
    "index that ends early": (forged(varint(1)), "is cut"),
    "index that goes on": (forged(varint(0) + varint(0) + b"x"), "too many"),
    "no block for a tensor": (forged(one_tensor(entry(0, 3))), "cover"),
    "block of nothing": (forged(one_tensor(entry(0, 3), (0, b""))), "covers nothing"),
    "block of two tensors where there is one": (forged(one_tensor(entry(0, 3), (4, b""))), "more than there is"),
    "block of too many rows": (forged(one_tensor(entry(0, 3), (9, b""))), "more than there is"),
    "block beyond the file": (forged(one_tensor(entry(0, 3), (2, b"abc")), b"ab"), "size of a block"),
    "bytes of no block": (forged(one_tensor(entry(0, 3), (2, b"ab")), b"abc"), "do not agree"),
    "two blocks for one tensor": (forged(one_tensor(entry(0, 3), (2, b""), (2, b""))), "do not agree"),
    "steps of another shape": (forged(one_tensor(entry(4, 3) + varint(2) + varint(2), (2, b""))), "2 steps"),
    "codebook larger than its tensor": (forged(one_tensor(entry(5, 3) + varint(4), (2, b""))), "codebook"),
    "metadata that is no JSON": (forged(varint(0) + varint(0), extra=b"{"), "not a JSON object"),
    "metadata nested without end": (forged(varint(0) + varint(0), extra=b"[" * 5000), "not a JSON object"),
    "metadata that is a list": (forged(varint(0) + varint(0), extra=b"[]"), "not a JSON object"),
    "another version": (forged(varint(0) + varint(0), version=2), "version 2"),
    "frame without tensors": (forged(varint(0) + varint(0), frame=varint(5)), "number of tensors"),
    "frame of another size": (
        forged(varint(0) + varint(0), frame=varint(0) + varint(9) + bytes(32) + b"\0abc"),
        "not as long",
    ),
    "frame of unknown kind": (
        forged(varint(0) + varint(0), frame=varint(0) + varint(3) + bytes(32) + b"\7abc"),
        "do not agree",
    ),
    "a text": (b'name: "n"\n', "not a .demi"),
    "nothing": (b"", "not a .demi"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_before_anything_is_allocated(name: str, tmp_path: Path) -> None:
    data, message = HOSTILE[name]
    path = tmp_path / "a.demi"
    path.write_bytes(data)
    with pytest.raises(ContainerError, match=message) as caught:
        codec.open(path)
    assert "a.demi" in str(caught.value)
    assert "\n" not in str(caught.value)


BLOCKS: dict[str, bytes] = {
    "floats": entry(0, 40, 50),
    "doubles": entry(1, 40, 50),
    "halves": entry(2, 40, 50),
    "bytes": entry(3, 40, 50),
    "positions": entry(5, 40, 50) + varint(3),
    "levels": entry(4, 40, 50) + varint(1) + struct.pack("<f", 0.5),
}


@pytest.mark.parametrize("name", BLOCKS)
@given(data=st.binary(max_size=80))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_blocks_are_an_error_or_numbers(name: str, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.demi"
    book = clusters.encode_codebooks([np.arange(3, dtype=np.float32)]) if name == "positions" else b""
    blocks = [(2, data), (2, book)] if book else [(2, data)]
    path.write_bytes(forged(one_tensor(BLOCKS[name], *blocks), data + book))
    with codec.open(path) as reader, contextlib.suppress(ContainerError):
        assert reader.layers[0][1][0].array().shape == (40, 50)


def test_positions_outside_the_codebook_are_an_error(tmp_path: Path) -> None:
    book = clusters.encode_codebooks([np.array([1.0, 2.0], np.float32)])
    block = blocks.encode_block(
        blocks.Block(Kind.LEVELS, (blocks.Piece(0, 0, 3),), whole=True),
        [blocks.Coded(Entry(Kind.LEVELS, (3,), steps=1), np.array([0, 1, 7], np.int32))],
    )
    block = b"\1" + block  # coded as levels
    index = one_tensor(entry(5, 3) + varint(2), (2, block), (2, book))
    (tmp_path / "a.demi").write_bytes(forged(index, block + book))
    with codec.open(tmp_path / "a.demi") as reader, pytest.raises(ContainerError, match="outside its codebook"):
        reader.layers[0][1][0].array()


def test_limits_can_be_raised_and_lowered(tmp_path: Path) -> None:
    codec.write(tmp_path / "a.demi", TEXT, [("conv1", (dense(10, 10),))])
    with pytest.raises(ContainerError, match="the limit is 99"):
        codec.open(tmp_path / "a.demi", limits=Limits(elements=99))
    with pytest.raises(ContainerError, match="the limit is 50"):
        codec.open(tmp_path / "a.demi", limits=Limits(text=50))
    codec.open(tmp_path / "a.demi", limits=Limits(elements=100)).close()


@pytest.mark.parametrize(
    "broken",
    [
        lambda: [("a", (Dense(np.zeros(3, np.int32)),))],
        lambda: [("a", (Levels(np.full(3, 1 << 30, np.int32), np.ones(1, np.float32)),))],
        lambda: [("a", (Levels(np.zeros(3, np.int32), np.ones(2, np.float32)),))],
    ],
)
def test_what_cannot_be_stored_leaves_the_old_file(broken: Callable[[], Layers], tmp_path: Path) -> None:
    old = small_file(tmp_path / "a.demi")
    with pytest.raises(ContainerError):
        codec.write(tmp_path / "a.demi", TEXT, broken())
    assert (tmp_path / "a.demi").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


def test_metadata_must_be_json(tmp_path: Path) -> None:
    for value in (object(), float("nan")):
        with pytest.raises(ContainerError, match="JSON"):
            codec.write(tmp_path / "a.demi", TEXT, [], {"a": value})


def test_a_part_of_a_big_tensor_is_enough_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(blocks.ELEMENTS, Kind.FLOAT32, 1 << 12)
    codec.write(tmp_path / "a.demi", TEXT, [("fc2", (dense(512, 512),))])
    with codec.open(tmp_path / "a.demi", threads=2) as reader:
        sizes = [part.size for part in reader.layers[0][1][0].parts()]
    assert sum(sizes) == 512 * 512
    assert max(sizes) <= 1 << 12


@given(st.lists(st.text(max_size=6).filter(is_text), max_size=12), st.binary(max_size=60))
def test_names_of_layers_come_back(names: list[str], prototxt: bytes) -> None:
    prototxt += b"".join(b'name: "%s"\n' % name.encode() for name in names[::2])
    index = Index(tuple((name, 0) for name in names), (), ())
    cursor = container.Cursor(index.encode(prototxt), "index")
    assert Index.decode(cursor, prototxt, 0, 0, Limits()) == index


def test_the_format_has_not_changed(tmp_path: Path) -> None:
    """Of the container itself; each coder has a test of its own."""
    ramp = Dense((np.arange(600, dtype=np.float32) ** 2 / 64).reshape(20, 30))
    codec.write(tmp_path / "a.demi", TEXT, [("conv1", (ramp,)), ("x", (ramp, ramp))], {"k": [1, "ü"]})
    assert hashlib.sha256((tmp_path / "a.demi").read_bytes()).hexdigest() == FILE


FILE = "ce0c62f146a575d067e329200c3d75bea73069789eb102233d9a0ebd1e01c4b2"
