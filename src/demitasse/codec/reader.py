"""The weights of an open .demi: decoded when they are asked for, on as many threads as allowed."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from threading import Lock, local
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

AHEAD, AHEAD_EACH = 1 << 24, 2
"""Elements that are decoded before they are asked for, at most, where tensors are read one after the other; and blocks,
for each thread: what is decoded long before it is taken has left the caches by then."""

PLAIN = frozenset({Kind.FLOAT32, Kind.FLOAT64, Kind.FLOAT16})
FEW = 1 << 24
"""Plain numbers below which one thread is faster than two: they are decoded at the speed of fresh memory, which the
system gives to one thread of a process at a time."""

Key = tuple[int, bool]
"""Number of a block, and whether as floats."""


class Blocks:
    """The weights of an open file, by number of tensor. May be used from several threads."""

    def __init__(self, path: str | os.PathLike[str], index: Index, threads: int) -> None:
        self.index = index
        self._name = str(path)
        self._file = Path(path).open("rb")  # noqa: SIM115
        self._lock = Lock()
        self._ahead: OrderedDict[Key, Future[list[Array]]] = OrderedDict()
        self._kept: OrderedDict[Key, Future[list[Array]]] = OrderedDict()
        self._last: dict[Kind, int] = {}
        self._hidden: dict[int, Array] | None = None
        self._cover: dict[int, list[int]] = {}
        self._place: dict[int, int] = {}  # of a tensor in its last block
        for number, block in enumerate(index.blocks):
            for place, piece in enumerate(block.pieces):
                self._cover.setdefault(piece.entry, []).append(number)
                self._place[piece.entry] = place
        numbers = [self._elements(number) for number in range(len(index.blocks))]
        plain = sum(count for count, block in zip(numbers, index.blocks, strict=True) if block.kind in PLAIN)
        self._threads = 1 if plain < FEW and 2 * plain > sum(numbers) else threads
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        self._scratch = local()

    def close(self) -> None:
        """Lets go of the file; what was not read yet can no longer be."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._file.close()

    @property
    def ahead(self) -> int:
        """Elements that are decoded, or about to be, before anybody asked for them."""
        return sum(self._elements(number) for number, _ in self._ahead)

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
            return self._take(cover[0], floats)[self._place[number]]
        out = np.empty(entry.matrix, _dtype(entry, floats))
        with self._lock:
            begun = [(one, future) for one in cover if (future := self._ahead.pop((one, floats), None))]

        def fill(part: Block) -> None:
            piece = part.pieces[0]
            self._decode(part, [Target(entry, hidden, out[piece.start : piece.stop])], floats)

        left = [one for one in cover if one not in dict(begun)]
        for _ in self._map(fill, [self.index.blocks[one] for one in left]):
            pass
        for one, future in begun:
            piece = self.index.blocks[one].pieces[0]
            out[piece.start : piece.stop] = future.result()[0]
        return out

    def parts(self, number: int) -> Iterator[Array]:
        """The weights of a tensor in runs of rows, decoded a little ahead: a big one is never whole in memory."""
        self.hidden(number)
        cover = self._cover[number]
        if self.index.blocks[cover[0]].whole:
            yield self.matrix(number, floats=True)
            return
        for one in cover:
            yield self._take(one, True)[0]

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

    def _read(self, block: Block) -> memoryview:
        """The bytes of a block, until this thread reads the next: into memory that need not be fresh each time."""
        room: bytearray = getattr(self._scratch, "room", bytearray())
        if len(room) < block.nbytes:
            room = self._scratch.room = bytearray(block.nbytes)
        data = memoryview(room)[: block.nbytes]
        if os.preadv(self._file.fileno(), [data], block.offset) != len(data) or _core.crc32c(data) != block.checksum:
            raise ContainerError(f"{self._name}: the block at byte {block.offset} is damaged (its checksum is wrong)")
        return data

    def _decode(self, block: Block, targets: list[Target], floats: bool) -> None:
        data = self._read(block)
        try:
            decode_block(block, data, targets, floats=floats)
        except ContainerError as error:
            raise ContainerError(f"{self._name}: the block at byte {block.offset}: {error}") from None

    def _take(self, number: int, floats: bool) -> list[Array]:
        """The tensors of a block, or the rows that it holds of one. Where blocks are taken in the order of the file,
        those behind this one are decoded meanwhile."""
        key, block = (number, floats), self.index.blocks[number]
        with self._lock:
            future = self._ahead.pop(key, None) or self._kept.get(key) or self._submitted(number, floats)
            if block.whole:
                self._kept[key] = future
                self._kept.move_to_end(key)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            if self._pool is not None and number - self._last.get(block.kind, number) in (0, 1):
                self._begin(number + 1, block.kind, floats)
            self._last[block.kind] = number
        return future.result()

    def _begin(self, number: int, kind: Kind, floats: bool) -> None:
        """Starts on blocks of a kind from this one on, as many as may be ahead."""
        room = AHEAD - self.ahead
        for one in range(number, min(number + AHEAD_EACH * self._threads, len(self.index.blocks))):
            key = (one, floats)
            room -= 0 if key in self._ahead else self._elements(one)
            if self.index.blocks[one].kind is not kind or room < 0:
                return
            if key not in self._ahead and key not in self._kept:
                self._ahead[key] = self._submitted(one, floats)

    def _elements(self, number: int) -> int:
        pieces = self.index.blocks[number].pieces
        return sum((piece.stop - piece.start) * self.index.entries[piece.entry].matrix[1] for piece in pieces)

    def _submitted(self, number: int, floats: bool) -> Future[list[Array]]:
        block = self.index.blocks[number]
        # Looked up here: a thread of the pool that waits for another could wait for ever.
        hidden = [None if self._hidden is None else self._hidden.get(piece.entry) for piece in block.pieces]
        return self._submit(partial(self._decoded, block, hidden, floats))

    def _decoded(self, block: Block, hidden: list[Array | None], floats: bool) -> list[Array]:
        entries = [self.index.entries[piece.entry] for piece in block.pieces]
        shapes = [
            (piece.stop - piece.start, entry.matrix[1]) for piece, entry in zip(block.pieces, entries, strict=True)
        ]
        ends = list(accumulate(rows * columns for rows, columns in shapes))
        room = np.empty(ends[-1], _dtype(entries[0], floats))
        targets = [
            Target(entry, own, room[end - rows * columns : end].reshape(rows, columns))
            for entry, own, (rows, columns), end in zip(entries, hidden, shapes, ends, strict=True)
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
