"""Units: what a network can lose as a whole, and which of them are one because something ties them together.

A unit is one channel where it comes into being: an output of a convolution, an input of the network. Every blob says
for one of its axes which unit stands at each position. Flatten repeats a unit as often as its channel has elements,
Concat puts two lists behind each other, a blob that enters twice brings its units twice; removing a unit removes all of
its positions, wherever they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demitasse.layers.sizes import UNKNOWN, Shape, count

__all__ = ["Ids", "Knots", "Units", "carried", "spread"]

Ids = npt.NDArray[np.int64]
"""Numbers of units."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What stands at each position of one axis of a blob; along the other axes it is the same."""

    axis: int
    ids: Ids

    def __len__(self) -> int:
        return len(self.ids)

    def along(self, axis: int) -> Units:
        """The same units along another axis."""
        return Units(axis, self.ids)


@dataclass(slots=True)
class Knots:
    """Makes units, and remembers who ties which of them together (the position of the layer)."""

    count: int = 0
    firsts: list[Ids] = field(default_factory=list)
    seconds: list[Ids] = field(default_factory=list)
    tiers: list[int] = field(default_factory=list)

    def fresh(self, number: int) -> Ids:
        """Units that nothing is tied to yet."""
        self.count += number
        return np.arange(self.count - number, self.count, dtype=np.int64)

    def tie(self, a: Ids, b: Ids, layer: int) -> None:
        """Units that stay or go in pairs."""
        different = a != b
        if different.any():
            self.firsts.append(a[different])
            self.seconds.append(b[different])
            self.tiers.append(layer)

    def groups(self) -> Ids:
        """For each unit the smallest of those that it is tied to, directly or not."""
        group = np.arange(self.count, dtype=np.int64)
        if not self.firsts:
            return group
        a, b = np.concatenate(self.firsts), np.concatenate(self.seconds)
        while True:
            low = np.minimum(group[a], group[b])
            before = group.copy()
            for side in (a, b):
                np.minimum.at(group, group[side], low)
                np.minimum.at(group, side, low)
            while not np.array_equal(group, group[group]):
                group = group[group]
            if np.array_equal(before, group):
                return group


def carried(units: Units, shape: Shape, out: Shape) -> Units | None:
    """The units of a blob of ``shape`` after its elements are seen as ``out``; ``None`` if no axis tells them apart.

    The number of an element is outer × channels × inner; it is found again along an axis of the output whose steps
    are no longer than a channel and whose length is a whole number of rounds over the channels.
    """
    number, inner = len(units), count(shape, units.axis + 1)
    for axis in range(min(units.axis, 1), len(out)):
        step, size = count(out, axis + 1), out[axis]
        sizes = (number, inner, step, size)
        if any(one is UNKNOWN or one < 1 for one in sizes):
            # What lies behind the axis is not known, but it is the same on both sides.
            if axis == units.axis and shape[axis + 1 :] == out[axis + 1 :] and number == size:
                return units
            continue
        if inner % step == 0 and (size * step) % (number * inner) == 0:
            return Units(axis, units.ids[np.arange(size) * step // inner % number])
    return None


def spread(units: Units, shape: Shape, first: int, columns: int) -> Ids | None:
    """Which position of a blob's units each column reads, of a matrix that takes the axes from ``first`` on as a row.

    ``None`` if the units' axis is not among them. An unknown size behind the channels follows from the columns.
    """
    if units.axis < first or not len(units):
        return None
    outer = count(shape, first, units.axis)
    if outer is UNKNOWN or columns % (outer * len(units)):
        return None
    inner = columns // (outer * len(units))
    places: Ids = np.arange(columns, dtype=np.int64) // max(1, inner) % len(units)
    return places
