"""The .demi file: prototxt, metadata and weights in one, each block of weights readable alone. See docs/format.md.

    write("face.demi", text, [("conv1", (weights, bias)), …], {})
    with open("face.demi") as reader:
        reader.text, reader.layers

Whatever is wrong with a file ends in `ContainerError`; nothing is allocated for what it merely promises.
"""

from __future__ import annotations

import json
import os
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from demitasse import _core
from demitasse.atomic import replacing
from demitasse.codec import text as text_coder
from demitasse.codec.blocks import encode_block, plan
from demitasse.codec.cursor import Cursor
from demitasse.codec.index import Block, Index, Limits
from demitasse.codec.original import Buffer, Frame, Run, split
from demitasse.codec.reader import Blocks, Stored
from demitasse.codec.tensors import Coded, as_stored, hidden_tensors
from demitasse.errors import ContainerError
from demitasse.net import Tensor

__all__ = ["Reader", "is_container", "open", "write", "write_original"]

VERSION = 1
MAGIC = b"\x89DEMI\r\n"
"""As in PNG: no text file starts so, and a transfer that changes line ends is noticed."""

_HEADER = struct.Struct("<7sBQIIIIII")
"""Magic, version, offset of the head, lengths of its four parts, checksum of the head, checksum of the above."""


def write(
    path: str | os.PathLike[str],
    text: bytes,
    layers: Sequence[tuple[str, Sequence[Tensor]]],
    metadata: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
) -> None:
    """Writes a .demi: whole, or not at all. The bytes do not depend on ``threads`` (default: all cores).

    ``text``: the prototxt, kept byte for byte. ``layers``: name and tensors of each that has some, in file order.
    ``metadata``: JSON values. ContainerError for what cannot be stored.
    """
    _write(path, text, layers, metadata or {}, b"", threads)


def write_original(
    path: str | os.PathLike[str],
    text: bytes,
    model: Buffer,
    runs: Sequence[Run],
    metadata: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
) -> None:
    """Writes a .demi from which the parameter file ``model`` comes back byte for byte (`Reader.original`).

    ``runs``: where in it there are numbers, in no particular order; everything else is taken as it is.
    """
    tensors, frame = split(model, runs)
    _write(path, text, [("", tensors)], metadata or {}, frame, threads)


def _write(
    path: str | os.PathLike[str],
    text: bytes,
    layers: Sequence[tuple[str, Sequence[Tensor]]],
    metadata: Mapping[str, Any],
    frame: bytes,
    threads: int | None,
) -> None:
    try:
        described = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ContainerError(f"{path}: metadata must be JSON values: {error}") from None
    extra = described.encode("utf-8", "surrogatepass") if metadata else b""
    given = [tensor for _, those in layers for tensor in those]
    tensors = [as_stored(tensor.coded() if isinstance(tensor, Stored) else tensor) for tensor in given]
    tensors += hidden_tensors(tensors)
    entries = tuple(tensor.entry for tensor in tensors)
    with replacing(path) as file:
        file.write(bytes(_HEADER.size))
        blocks = tuple(_write_blocks(file, list(plan(entries)), tensors, threads or os.cpu_count() or 1))
        index = Index(tuple((name, len(those)) for name, those in layers), entries, blocks).encode(text)
        head = text_coder.encode(text + extra + index + frame)
        offset = file.tell()
        file.write(head)
        lengths = (len(text), len(extra), len(index), len(frame))
        if max(lengths) >= 1 << 32:
            raise ContainerError(f"{path}: a text of {max(lengths)} bytes cannot be stored")
        header = _HEADER.pack(MAGIC, VERSION, offset, *lengths, _core.crc32c(head), 0)[:-4]
        file.seek(0)
        file.write(header + struct.pack("<I", _core.crc32c(header)))


def _write_blocks(file: BinaryIO, blocks: Sequence[Block], tensors: Sequence[Coded], threads: int) -> Iterator[Block]:
    """Coded side by side, written in order; only a few are ever held."""

    def finished(block: Block, data: bytes) -> Block:
        offset = file.tell()
        file.write(data)
        return replace(block, offset=offset, nbytes=len(data), checksum=_core.crc32c(data))

    with ThreadPoolExecutor(threads) as pool:
        left = iter(blocks)
        waiting: deque[tuple[Block, Future[bytes]]] = deque()
        try:
            while True:
                for block in islice(left, threads + 1 - len(waiting)):
                    parts = [tensors[piece.entry] for piece in block.pieces]
                    waiting.append((block, pool.submit(encode_block, block, parts)))
                if not waiting:
                    return
                block, coded = waiting.popleft()
                yield finished(block, coded.result())
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """An open .demi. ``text``: the prototxt; ``layers``: name and tensors of each, undecoded.

    ``original``: where the file holds a parameter file byte for byte, that; its tensors then have no layers' names.
    A context manager: tensors can be decoded until it is closed.
    """

    text: bytes
    metadata: Mapping[str, Any]
    layers: tuple[tuple[str, tuple[Stored, ...]], ...]
    original: Frame | None
    blocks: Blocks

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self.blocks.close()

    def check(self) -> None:
        """Compares every checksum. ContainerError for a file that is not what was written."""
        self.blocks.check()


def is_container(path: str | os.PathLike[str]) -> bool:
    """Whether the file starts as a .demi does, whatever its version."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open(path: str | os.PathLike[str], *, threads: int | None = None, limits: Limits | None = None) -> Reader:
    """Reads header, prototxt and index, and no weights. ContainerError for anything but a sound .demi."""
    limits = limits or Limits()
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            offset, lengths, checksum = _read_header(file.read(_HEADER.size), path, size)
            if sum(lengths) > limits.text:
                raise ContainerError(f"{path}: {sum(lengths)} bytes of text, the limit is {limits.text}")
            file.seek(offset)
            head = file.read(size - offset)
    except OSError as error:
        raise ContainerError(f"{path}: cannot be read: {error.strerror}") from None
    if _core.crc32c(head) != checksum:
        raise ContainerError(f"{path}: prototxt and index are damaged (their checksum is wrong)")
    cursor = Cursor(text_coder.decode(head, sum(lengths)), str(path))
    text, extra, packed, frame = (cursor.take(length) for length in lengths)
    cursor = Cursor(packed, f"{path}: index")
    index = Index.decode(cursor, text, _HEADER.size, offset, limits)
    cursor.end()
    blocks = Blocks(path, index, threads or os.cpu_count() or 1)
    numbers = iter(range(len(index.entries)))
    layers = tuple(
        (name, tuple(Stored(index.entries[number], number, blocks) for number in islice(numbers, count)))
        for name, count in index.layers
    )
    original = Frame.decode(frame, [tensor for _, those in layers for tensor in those], str(path)) if frame else None
    return Reader(text, _metadata(extra, path), layers, original, blocks)


def _read_header(data: bytes, path: str | os.PathLike[str], size: int) -> tuple[int, tuple[int, ...], int]:
    if data[: len(MAGIC)] != MAGIC:
        raise ContainerError(f"{path} is not a .demi file")
    if len(data) < _HEADER.size:
        raise ContainerError(f"{path} is cut: {size} bytes, the header alone has {_HEADER.size}")
    _, version, offset, *lengths, head, own = _HEADER.unpack(data)
    if version != VERSION:
        raise ContainerError(f"{path} is a .demi of version {version}; this program reads version {VERSION}")
    if own != _core.crc32c(data[:-4]):
        raise ContainerError(f"{path}: the header is damaged (its checksum is wrong)")
    if not _HEADER.size <= offset <= size:
        raise ContainerError(f"{path} is cut: {size} bytes, the index starts at byte {offset}")
    return offset, tuple(lengths), head


def _metadata(extra: bytes, path: str | os.PathLike[str]) -> Mapping[str, Any]:
    if not extra:
        return {}
    try:
        metadata = json.loads(extra.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise ContainerError(f"{path}: metadata is not a JSON object")
    return metadata
