"""Which weights of a product are zero, by output and by channel of the input; what constants add up to.

Weights are read once, some rows at a time; a table of bits remains that is as large as the channels, not the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.layers.tying import Product
from demitasse.layers.units import Ids
from demitasse.net import Dense, Tensor, release
from demitasse.transforms.sliced import Sliced, row_blocks

__all__ = ["Pattern", "Patterns", "blocks", "run_length"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """``used[row, column]``: whether that output reads that channel of its own group at all.

    ``run``: so many columns of a matrix, or 1, are one column here. ``columns``: units, group after group, one for each
    column here; ``None`` if not known. ``places``: positions of the input, likewise.
    """

    used: Mask
    columns: Ids | None
    places: Ids | None
    groups: int
    run: int

    def active(self) -> Mask:
        """For each row whether it reads anything."""
        found: Mask = np.logical_or.reduce(self.used, axis=1)
        return found

    def read(self) -> Mask:
        """For each column (of all groups) whether any row reads it."""
        return self.reads(np.ones(len(self.used), np.bool_))

    def reads(self, rows: Mask) -> Mask:
        """For each column (of all groups) whether one of these rows reads it."""
        table = self.used.reshape(self.groups, -1, self.used.shape[1])
        found: Mask = (table & rows.reshape(self.groups, -1, 1)).any(axis=1).reshape(-1)
        return found

    def rows_reading(self, columns: Mask) -> Mask:
        """For each row whether it reads one of these columns (of all groups)."""
        table = self.used.reshape(self.groups, -1, self.used.shape[1])
        found: Mask = (table & columns.reshape(self.groups, 1, -1)).any(axis=2).reshape(-1)
        return found


@dataclass(slots=True, eq=False)
class Patterns:
    """Patterns that were found, so that no weight is read twice. Tensors are kept alive: they are known by identity."""

    found: dict[tuple[int, int], tuple[Tensor, Pattern]] = field(default_factory=dict)

    def of(self, tensor: Tensor, product: Product) -> Pattern:
        """The pattern of a product's first blob."""
        run = run_length(product, tensor)
        key = (id(tensor), run)
        if key not in self.found:
            self.found[key] = (tensor, look(tensor, product, run))
        pattern = self.found[key][1]
        columns = None if product.columns is None else product.columns[::run]
        places = None if product.places is None else product.places[::run]
        return Pattern(pattern.used, columns, places, product.groups, run)

    def forget(self, alive: set[int]) -> None:
        """Lets go of tensors that are no longer part of the network."""
        self.found = {key: value for key, value in self.found.items() if key[0] in alive}


def run_length(product: Product, tensor: Tensor) -> int:
    """How many columns in a row always read the same channel."""
    places = product.places
    if len(tensor.shape) != 2 or places is None or len(places) < 2:
        return 1
    steps = np.flatnonzero(np.diff(places)) + 1
    return int(np.gcd.reduce(np.append(steps, len(places))))


def look(tensor: Tensor, product: Product, run: int) -> Pattern:
    """Reads a tensor."""
    first, second = tensor.shape[0], tensor.shape[1]
    runs = (1, run) if product.rows_first else (run, 1)
    used = np.zeros((first // runs[0], second // runs[1]), np.bool_)
    for start, values in blocks(tensor):
        mask = values != 0
        mask = mask.reshape(len(values), second // runs[1], -1).any(axis=2)
        if runs[0] == 1:
            used[start : start + len(values)] = mask
        else:
            np.logical_or.at(used, np.arange(start, start + len(values)) // runs[0], mask)
    if not product.rows_first:
        used = by_output(used, product.groups)
    return Pattern(used, None, None, product.groups, run)


def by_output(used: Mask, groups: int) -> Mask:
    """Weights of inputs × outputs of one group as outputs × inputs of one group."""
    inputs, outputs = used.shape
    table = used.reshape(groups, inputs // groups, outputs).transpose(0, 2, 1)
    return np.ascontiguousarray(table).reshape(groups * outputs, inputs // groups)


def blocks(tensor: Tensor) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Number of the first row, and some rows, one after the other; pages that were read are let go."""
    source = tensor if isinstance(tensor, Dense | Sliced) else Dense(tensor.array())
    for part in row_blocks(source):
        if isinstance(source, Dense):
            values = source.values[part]
            yield part.start, values
            if values.flags.c_contiguous:
                release(values)
        else:
            yield part.start, source.take(np.arange(part.start, part.stop))
