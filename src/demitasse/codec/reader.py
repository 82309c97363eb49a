"""The weights of an open .demi: decoded when they are asked for, on as many threads as allowed."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from demitasse import _core
from demitasse.codec.blocks import Target, decode_block
from demitasse.codec.index import Block, Entry, Index, Kind
from demitasse.codec.tensors import as_tensor, entry_dtype
from demitasse.errors import ContainerError
from demitasse.net import Tensor

__all__ = ["Blocks", "Stored"]

Array = npt.NDArray[Any]
T = TypeVar("T")
R = TypeVar("R")

KEPT = 6
"""Blocks of several tensors that stay decoded, so that reading tensor after tensor decodes each block once."""


class Blocks:
    """The weights of an open file, by number of tensor. May be used from several threads."""

    def __init__(self, path: str | os.PathLike[str], index: Index, threads: int) -> None:
        self.index = index
        self._name = str(path)
        self._file = Path(path).open("rb")  # noqa: SIM115
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._lock = Lock()
        self._kept: OrderedDict[tuple[int, bool], Future[list[Array]]] = OrderedDict()
        self._hidden: dict[int, Array] | None = None
        self._cover: dict[int, list[int]] = {}
        for number, block in enumerate(index.blocks):
            for piece in block.pieces:
                self._cover.setdefault(piece.entry, []).append(number)

    def close(self) -> None:
        """Lets go of the file; what was not read yet can no longer be."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def check(self) -> None:
        """Reads every block and compares its checksum, decoding nothing. ContainerError for a damaged one."""
        for _ in self._map(self._read, self.index.blocks):
            pass

    def matrix(self, number: int, *, floats: bool) -> Array:
        """All elements of a tensor: its weights, or (``floats`` false) the integers that stand for them."""
        entry = self.index.entries[number]
        hidden = self.hidden(number)
        cover = self._cover[number]
        block = self.index.blocks[cover[0]]
        if block.whole:
            return self._group(cover[0], floats)[[piece.entry for piece in block.pieces].index(number)]
        out = np.empty(entry.matrix, _dtype(entry, floats))

        def fill(part: Block) -> None:
            piece = part.pieces[0]
            self._decode(part, [Target(entry, hidden, out[piece.start : piece.stop])], floats)

        for _ in self._map(fill, [self.index.blocks[number] for number in cover]):
            pass
        return out

    def parts(self, number: int) -> Iterator[Array]:
        """The weights of a tensor in runs of rows, decoded a little ahead: a big one is never whole in memory."""
        entry = self.index.entries[number]
        hidden = self.hidden(number)
        cover = [self.index.blocks[number] for number in self._cover[number]]
        if cover[0].whole:
            yield self.matrix(number, floats=True)
            return

        def part(block: Block) -> Array:
            piece = block.pieces[0]
            out = np.empty((piece.stop - piece.start, entry.matrix[1]), _dtype(entry, True))
            self._decode(block, [Target(entry, hidden, out)], True)
            return out

        yield from self._map(part, cover)

    def hidden(self, number: int) -> Array | None:
        """The steps or the codebook of a tensor, where they are many."""
        if self.index.entries[number].kind not in (Kind.LEVELS, Kind.CLUSTERED):
            return None
        if self._hidden is None:  # of all tensors: a block is decoded with its neighbours, and the one ahead
            owners = [owner for owner, entry in enumerate(self.index.entries) if entry.hidden is not None]
            first = len(self.index.entries) - len(owners)
            self._hidden = {
                owner: self.matrix(first + place, floats=True).ravel() for place, owner in enumerate(owners)
            }
        return self._hidden.get(number)

    def _read(self, block: Block) -> bytes:
        data = os.pread(self._file.fileno(), block.nbytes, block.offset)
        if len(data) != block.nbytes or _core.crc32c(data) != block.checksum:
            raise ContainerError(f"{self._name}: the block at byte {block.offset} is damaged (its checksum is wrong)")
        return data

    def _decode(self, block: Block, targets: list[Target], floats: bool) -> None:
        data = self._read(block)
        try:
            decode_block(block, data, targets, floats=floats)
        except ContainerError as error:
            raise ContainerError(f"{self._name}: the block at byte {block.offset}: {error}") from None

    def _group(self, number: int, floats: bool) -> list[Array]:
        """The tensors of a block of whole ones; the next such block is decoded meanwhile."""
        ahead = number + 1
        with self._lock:
            future = self._started(number, floats)
            if self._pool is not None and ahead < len(self.index.blocks):
                following = self.index.blocks[ahead]
                if following.whole and following.kind is self.index.blocks[number].kind:
                    self._started(ahead, floats)
        return future.result()

    def _started(self, number: int, floats: bool) -> Future[list[Array]]:
        key = (number, floats)
        if key not in self._kept:
            block = self.index.blocks[number]
            # Looked up here: a thread of the pool that waits for another could wait for ever.
            hidden = [None if self._hidden is None else self._hidden.get(piece.entry) for piece in block.pieces]
            self._kept[key] = self._submit(partial(self._whole, block, hidden, floats))
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _whole(self, block: Block, hidden: list[Array | None], floats: bool) -> list[Array]:
        entries = [self.index.entries[piece.entry] for piece in block.pieces]
        targets = [
            Target(entry, own, np.empty(entry.matrix, _dtype(entry, floats)))
            for entry, own in zip(entries, hidden, strict=True)
        ]
        self._decode(block, targets, floats)
        for target in targets:
            target.out.flags.writeable = False
        return [target.out for target in targets]

    def _submit(self, task: Callable[[], R]) -> Future[R]:
        if self._file.closed:
            raise ContainerError(f"{self._name} was closed before all its tensors were read")
        if self._pool is not None:
            return self._pool.submit(task)
        future: Future[R] = Future()
        try:
            future.set_result(task())
        except ContainerError as error:
            future.set_exception(error)
        return future

    def _map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """In order, and never more than a few ahead of what was taken."""
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(self._submit(partial(task, item)))
            if self._pool is None or len(waiting) > self._threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _dtype(entry: Entry, floats: bool) -> np.dtype[Any]:
    integers = entry.kind in (Kind.LEVELS, Kind.CLUSTERED) and not floats
    return np.dtype(np.int32) if integers else entry_dtype(entry)


@dataclass(frozen=True, slots=True, eq=False)
class Stored(Tensor):
    """A tensor that is still in its file: shape and type are known, `array` and `coded` decode it."""

    entry: Entry
    number: int
    blocks: Blocks = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entry.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return entry_dtype(self.entry)

    def array(self) -> Array:
        return self.blocks.matrix(self.number, floats=True).reshape(self.shape)

    def coded(self) -> Tensor:
        """The form that was stored: `Dense`, `Levels` or `Clustered`."""
        values = self.blocks.matrix(self.number, floats=False)
        return as_tensor(self.entry, values, self.blocks.hidden(self.number))

    def parts(self) -> Iterator[Array]:
        """The weights in order, flat, a few million at a time: for writing a model that is larger than memory."""
        for part in self.blocks.parts(self.number):
            yield part.ravel()
