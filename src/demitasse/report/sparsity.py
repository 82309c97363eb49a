"""What the zeros of a weight tensor are good for: counted exactly, by row and by column, and what is left to code.

Rows that are entirely zero are outputs that say nothing, columns that are entirely zero are inputs that nobody reads:
both can leave for good. Zeros elsewhere can leave only a stored file.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Sparsity", "duplicate_rows", "entropy", "sparsity"]

BLOCK = 1 << 19
"""Elements at a time: the mask of a block stays in the cache."""

SAMPLE = 1 << 16
"""Values that `entropy` looks at: its own error is then below 0.02 bits."""


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Of one tensor, seen as rows × columns × the rest. ``rows``, ``columns``: which have a value that is not 0."""

    size: int
    zeros: int
    rows: npt.NDArray[np.bool_]
    columns: npt.NDArray[np.bool_]

    @property
    def zero_rows(self) -> int:
        """Rows that are entirely zero."""
        return int(self.rows.size - np.count_nonzero(self.rows))

    @property
    def zero_columns(self) -> int:
        """Columns that are entirely zero."""
        return int(self.columns.size - np.count_nonzero(self.columns))


def sparsity(values: npt.NDArray[Any], groups: int = 1, threads: int = 1) -> Sparsity:
    """Zeros of an array by its first two axes (a vector: rows only). Negative zero is a zero.

    ``groups``: the first axis falls into that many parts, each with columns of its own, as in a grouped convolution.
    The array is read once, block by block.
    """
    count = values.shape[0] if values.ndim else 1
    columns = values.shape[1] if values.ndim > 1 else 1
    if not values.size or count % groups:
        return Sparsity(values.size, 0, np.ones(count, np.bool_), np.ones(columns, np.bool_))
    flat = values.reshape(count, -1)
    rows = np.zeros(count, np.bool_)
    used = np.zeros((groups, flat.shape[1]), np.bool_)

    def look(part: tuple[int, int, int]) -> tuple[int, int, npt.NDArray[np.bool_]]:
        group, start, stop = part
        mask = flat[start:stop] != 0
        rows[start:stop] = mask.any(axis=1)
        return group, int(np.count_nonzero(mask)), mask.any(axis=0)

    parts = list(row_blocks(count, flat.shape[1], groups))
    nonzero = 0
    if threads > 1 and len(parts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            looked = list(pool.map(look, parts))
    else:
        looked = [look(part) for part in parts]
    for group, found, some in looked:
        nonzero += found
        used[group] |= some
    by_column: npt.NDArray[np.bool_] = used.reshape(groups * columns, -1).max(axis=1)
    return Sparsity(values.size, values.size - nonzero, rows, by_column)


def row_blocks(rows: int, width: int, groups: int) -> Iterator[tuple[int, int, int]]:
    """(group, first row, last row + 1) of blocks of about `BLOCK` elements that lie in one group."""
    per_group = rows // groups
    step = max(1, BLOCK // max(1, width))
    for group in range(groups):
        end = (group + 1) * per_group
        for start in range(group * per_group, end, step):
            yield group, start, min(start + step, end)


def entropy(values: npt.NDArray[Any]) -> float:
    """Bits per weight of an order-0 entropy coder, the weights rounded to steps of half their standard deviation.

    Such rounding leaves about 17 dB of signal to noise in the weights. From a sample; not a number if one of the
    sampled weights is not finite.
    """
    flat = values.reshape(-1)
    sample = flat[:: max(1, flat.size // SAMPLE)].astype(np.float64)
    if not np.isfinite(sample).all():
        return float("nan")
    deviation = float(sample.std()) if sample.size else 0.0
    if deviation == 0.0:
        return 0.0
    _, counts = np.unique(np.rint(sample / (0.5 * deviation)), return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def duplicate_rows(values: npt.NDArray[Any]) -> int:
    """Rows that equal an earlier row and are not entirely zero: outputs computed twice, but for their biases."""
    if values.ndim < 2 or not values.size:
        return 0
    rows = values.reshape(values.shape[0], -1)
    probe = np.ascontiguousarray(rows[:, np.linspace(0, rows.shape[1] - 1, min(rows.shape[1], 32)).astype(np.int64)])
    kinds: dict[bytes, list[int]] = {}
    found = 0
    for i, key in enumerate(probe):
        alike = kinds.setdefault(key.tobytes(), [])
        if any(np.array_equal(rows[i], rows[j]) for j in alike):
            found += bool(rows[i].any())
        elif len(alike) < 64:  # Sparse rows look alike where they are probed: the time stays bounded.
            alike.append(i)
    return found
