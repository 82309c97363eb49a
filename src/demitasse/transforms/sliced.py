"""A tensor of which rows, columns or borders are left out, or added to others, when it is used and not before.

Cutting the weights of a large layer this way costs no memory: what is kept is gathered from the file, some rows at a
time, while the smaller model is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.net import TOGETHER, Dense, Levels, Tensor, release

__all__ = ["Fold", "Sliced", "row_blocks", "sliced"]

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Along an axis (0 or 1), ``source`` is added to ``target``, pair by pair, before anything is cut."""

    axis: int
    targets: Ids
    sources: Ids


@dataclass(frozen=True, slots=True, eq=False)
class Sliced(Tensor):
    """Part of another tensor.

    ``rows``: which indices of the first axis stay. ``columns``: which of the second, the same for all rows, or one list
    for each kept row (``None``: all). ``window``: which range of each further axis.
    """

    source: Dense | Sliced
    rows: Ids
    columns: Ids | None = None
    window: tuple[slice, ...] = ()
    folds: tuple[Fold, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        whole = self.source.shape
        if len(whole) < 2:
            return (len(self.rows), *whole[1:])
        second = whole[1] if self.columns is None else self.columns.shape[-1]
        spans = (*self.window, *(slice(None),) * (len(whole) - 2 - len(self.window)))
        rest = (len(range(size)[span]) for size, span in zip(whole[2:], spans, strict=True))
        return (len(self.rows), second, *rest)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    def array(self) -> npt.NDArray[Any]:
        values = np.empty(self.size, self.dtype)
        at = 0
        for part in self.parts():
            values[at : at + part.size] = part
            at += part.size
        return values.reshape(self.shape)

    def parts(self) -> Iterator[npt.NDArray[Any]]:
        for block in row_blocks(self):
            yield np.ascontiguousarray(self.take(np.arange(block.start, block.stop))).reshape(-1)

    def release(self) -> None:
        self.source.release()

    def take(self, which: Ids) -> npt.NDArray[Any]:
        """Some of the rows, by their number in this tensor."""
        wanted = self.rows[which]
        values = taken(self.source, wanted)
        for fold in self.folds:
            values = self.folded(values, wanted, fold)
        if self.columns is not None:
            columns = self.columns
            if columns.ndim == 1:
                values = values[:, columns]
            else:
                index = columns[which].reshape(len(which), -1, *(1,) * (values.ndim - 2))
                values = np.take_along_axis(values, index, axis=1)
        return values[(slice(None), slice(None), *self.window)] if self.window else values

    def folded(self, values: npt.NDArray[Any], wanted: Ids, fold: Fold) -> npt.NDArray[Any]:
        """The rows of the source with some added to them, or with columns added to columns."""
        values = np.array(values)
        if fold.axis == 1:
            for target, source in zip(fold.targets, fold.sources, strict=True):
                values[:, target] += values[:, source]
            return values
        place = {int(row): i for i, row in enumerate(wanted)}
        for target, source in zip(fold.targets, fold.sources, strict=True):
            if (at := place.get(int(target))) is not None:
                values[at] += taken(self.source, np.array([source]))[0]
        return values


def taken(tensor: Dense | Sliced, rows: Ids) -> npt.NDArray[Any]:
    """Rows of a tensor; a view where they follow each other. Pages of a file that were read are let go."""
    if isinstance(tensor, Sliced):
        return tensor.take(rows)
    values = tensor.values
    if len(rows) and len(rows) == rows[-1] - rows[0] + 1 and (np.diff(rows) == 1).all():
        return values[rows[0] : rows[-1] + 1]
    found: npt.NDArray[Any] = values[rows]
    if found.nbytes > TOGETHER and values.flags.c_contiguous and len(rows):
        release(values[rows.min() : rows.max() + 1])
    return found


def row_blocks(tensor: Tensor) -> Iterator[slice]:
    """Ranges of rows that hold about a million elements."""
    rows = tensor.shape[0] if tensor.shape else 1
    step = max(1, TOGETHER * max(1, rows) // max(1, tensor.size))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def sliced(
    tensor: Tensor,
    rows: Ids | None = None,
    columns: Ids | None = None,
    window: tuple[slice, ...] = (),
    folds: tuple[Fold, ...] = (),
) -> Tensor:
    """Part of a tensor; the tensor itself if that is all of it. ``None``: all rows, all columns."""
    if rows is None and columns is None and not window and not folds:
        return tensor
    # A trellis gives a level its value by those before it; sums are levels only where all have one step and no shift.
    summable = isinstance(tensor, Levels) and tensor.steps.size == 1 and not tensor.shifts.any()
    if isinstance(tensor, Levels) and not tensor.trellis and (summable or not folds):
        return sliced_levels(tensor, rows, columns, window, folds)
    source = tensor if isinstance(tensor, Dense | Sliced) else Dense(tensor.array())
    every = np.arange(tensor.shape[0]) if rows is None else rows
    part = Sliced(source, every, columns, window, folds)
    return Dense(part.array()) if part.size < TOGETHER // 4 else part


def sliced_levels(
    tensor: Levels, rows: Ids | None, columns: Ids | None, window: tuple[slice, ...], folds: tuple[Fold, ...]
) -> Levels:
    """Part of quantised weights, with their steps."""
    levels = sliced(Dense(tensor.levels.astype(np.int32)), rows, columns, window, folds).array()
    kind = tensor.levels.dtype
    fits = np.abs(levels).max(initial=0) <= np.iinfo(kind).max
    steps = tensor.steps if rows is None or tensor.steps.size == 1 else tensor.steps[rows]
    return replace(tensor, levels=levels.astype(kind) if fits else levels, steps=steps)
