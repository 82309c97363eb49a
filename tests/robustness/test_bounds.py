"""Small files that promise huge things: an error or an answer, at once, and no memory for what is not there."""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demitasse import _core, files
from demitasse.cli import main
from demitasse.codec import container
from demitasse.codec import text as words
from demitasse.errors import DemitasseError
from demitasse.varint import varint
from networks import field

MEMORY = 256 << 20
"""Threads reserve some, whether they use it or not."""

SECONDS = 2.0
HUGE = 1 << 60


@contextmanager
def bounds(memory: int = MEMORY) -> Iterator[None]:
    """No more than so much memory above what is in use, and so much time of the processor."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs to know how much memory is in use")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(statm.read_text().split()[0]) * resource.getpagesize()
    start = time.process_time()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - start < SECONDS


def read_to_the_end(*paths: Path) -> None:
    for layer in files.load(*paths).layers:
        for tensor in layer.tensors:
            tensor.array()


def caffemodel(blob: bytes) -> bytes:
    return field(100, field(1, b"fc") + field(2, b"InnerProduct") + field(7, blob))


PROTOTXT = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: %d } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: %d bias_term: false } }
"""

WEIGHTS: dict[str, bytes] = {
    "2^60 floats by length": caffemodel(b"\x2a" + varint(HUGE)),
    "a layer of 2^60 bytes": b"\xa2\x06" + varint(HUGE) + b"\x0a\x02fc",
    "2^60 by shape": caffemodel(field(7, field(1, varint(1 << 30) + varint(1 << 30))) + field(5, bytes(8))),
    "2^60 by shape, and no data": caffemodel(field(7, field(1, varint(1 << 30) + varint(1 << 30)))),
    "a shape of many axes": caffemodel(field(7, field(1, varint(2) * 5000)) + field(5, bytes(8))),
    "2^31 by old shape": caffemodel(b"\x08\x01\x10\x01\x18" + varint(1 << 16) + b"\x20" + varint(1 << 15) + b"\x2a\0"),
    "half precision of 2^60 bytes": caffemodel(b"\x52" + varint(HUGE)),
    "nested without end": field(100, b"\xa3\x06" * 50000),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_caffemodel_that_promises_too_much(tmp_path: Path, name: str) -> None:
    (tmp_path / "deploy.prototxt").write_text(PROTOTXT % (1 << 30, 1 << 30))
    (tmp_path / "a.caffemodel").write_bytes(WEIGHTS[name])
    with bounds(), pytest.raises(DemitasseError):
        read_to_the_end(tmp_path / "deploy.prototxt", tmp_path / "a.caffemodel")


@pytest.mark.parametrize("sizes", [(1 << 30, 1 << 30), (HUGE, 1), (1 << 62, 1 << 62), (10**40, 1), (1, 10**40)])
def test_a_prototxt_that_promises_too_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sizes: tuple[int, int]
) -> None:
    """The numbers are what the text says, or an error; nothing has that size."""
    path = tmp_path / "deploy.prototxt"
    path.write_text(PROTOTXT % sizes)
    with bounds():
        status = main(["inspect", str(path), "--json"])
    assert status in (0, 2)
    assert "internal" not in capsys.readouterr().err


TEXTS: dict[str, str] = {
    "nested braces": "a {" * 100_000,
    "nested lists": "a: [" * 100_000,
    "closed braces": "a {" * 100_000 + "}" * 100_000,
    "one long name": "a" * 1_000_000,
    "one long string": '"' + "\\" * 999_999,
    "many strings": "a: " + '"b" ' * 200_000,
    "a long number": "a: " + "9" * 100_000,
    "a large exponent": "a: 1e" + "9" * 1000,
    "only comments": "#\n" * 300_000,
    "many bottoms": "layer { " + 'bottom: "x" ' * 20_000,
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_goes_on_and_on(tmp_path: Path, name: str) -> None:
    path = tmp_path / "deploy.prototxt"
    path.write_text(TEXTS[name])
    start = time.process_time()
    with pytest.raises(DemitasseError) as caught:
        files.load(path)
    assert len(str(caught.value)) < 1000, "the message shows a part of the line"
    assert time.process_time() - start < SECONDS


def forged(entry: bytes, block: bytes) -> bytes:
    """A .demi with one tensor in one block, whose checksums are right, whatever it says."""
    index = varint(1) + varint(0) + varint(2) + b"fc" + varint(1) + entry
    index += varint(1) + varint(2) + varint(len(block)) + struct.pack("<I", _core.crc32c(block))
    prototxt = (PROTOTXT % (1 << 12, 1 << 12)).encode()
    head = words.encode(prototxt + index)
    lengths = (len(prototxt), 0, len(index), 0)
    layout = container._HEADER
    header = layout.pack(container.MAGIC, 1, layout.size + len(block), *lengths, _core.crc32c(head), 0)[:-4]
    return header + struct.pack("<I", _core.crc32c(header)) + block + head


def shape(kind: int, *axes: int) -> bytes:
    return varint(kind << 6 | len(axes)) + b"".join(map(varint, axes))


STEP = varint(0) + struct.pack("<f", 0.5)
LARGEST = 1 << 25

CONTAINERS: dict[str, bytes] = {
    "2^60 floats": forged(shape(0, 1 << 30, 1 << 30), b""),
    "2^60 levels": forged(shape(4, 1 << 30, 1 << 30) + STEP, b"\1"),
    "2^60 positions": forged(shape(5, 1 << 30, 1 << 30) + varint(9), b"\0"),
    "floats of an empty block": forged(shape(0, LARGEST), b""),
    "levels of an empty block": forged(shape(4, LARGEST) + STEP, b""),
    "levels of a block that is too short": forged(shape(4, LARGEST) + STEP, b"\1" + bytes(20)),
    "rows of levels of a block that is too short": forged(shape(4, 1 << 12, 1 << 13) + STEP, b"\1" + bytes(20)),
    "tables of a block that is too short": forged(shape(4, LARGEST) + STEP, b"\2" + bytes(20)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_demi_that_promises_too_much(tmp_path: Path, name: str) -> None:
    """What a caller's limits allow is reserved once, for the numbers themselves, and no more."""
    (tmp_path / "a.demi").write_bytes(CONTAINERS[name])
    with bounds(MEMORY + 4 * LARGEST), pytest.raises(DemitasseError):
        read_to_the_end(tmp_path / "a.demi")
