"""Groups of channels that have to leave together because a grouped convolution needs groups of one size.

Where the parts of a grouped convolution are one channel wide, a channel takes its whole part along. Elsewhere as many
have to leave from each part: the channels of equal rank of each part become one bundle. What would leave more from
one part than from another, and has no counterparts there, stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demitasse.layers.ties import Ties
from demitasse.layers.tying import Product
from demitasse.layers.units import Ids
from demitasse.transforms.prune.criteria import makers

__all__ = ["bundled"]

Worth = npt.NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Bundles:
    """``owner``: for each group that may leave the bundle that it is part of; ``members``: the other way round."""

    worth: Worth
    owner: dict[int, int] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)

    def of(self, groups: Iterable[int]) -> list[int]:
        """The bundles of some groups, each once; those that have to stay are left out."""
        return list(dict.fromkeys(self.owner[group] for group in groups if group in self.owner))

    def join(self, bundles: list[int]) -> None:
        """Several become one."""
        for other in bundles[1:]:
            for group in self.members.pop(other):
                self.owner[group] = bundles[0]
                self.members[bundles[0]].append(group)

    def drop(self, bundle: int) -> None:
        """A bundle that has to stay."""
        for group in self.members.pop(bundle):
            del self.owner[group]

    def value(self, bundle: int) -> float:
        """What it is worth."""
        return float(np.mean(self.worth[self.members[bundle]]))


def bundled(ties: Ties, free: Ids, worth: Worth) -> dict[int, int]:
    """For each group that may leave (of those that are ``free``) the bundle that it is part of, named by a group."""
    every = {int(group): int(group) for group in free}
    found = Bundles(worth, every, {group: [group] for group in every})
    for _, product in makers(ties):
        if product.groups > 1:
            sides = [ties.groups[ids].reshape(product.groups, -1) for ids in known_sides(product)]
            if len(sides) == 1 or min(side.shape[1] for side in sides) == 1:
                whole_parts(found, np.concatenate(sides, axis=1))
            else:
                for side in sides:
                    equal_parts(found, side)
    return found.owner


def known_sides(product: Product) -> list[Ids]:
    """The outputs, and the inputs if they are known."""
    return [product.rows] if product.columns is None else [product.rows, product.columns]


def whole_parts(found: Bundles, table: Ids) -> None:
    """Each row of the table leaves as a whole, or stays."""
    for row in table.tolist():
        bundles = found.of(row)
        if all(group in found.owner for group in row):
            found.join(bundles)
        else:
            for bundle in bundles:
                found.drop(bundle)


def equal_parts(found: Bundles, table: Ids) -> None:
    """As many leave from each row of the table."""
    parts = len(table)
    counts: dict[int, list[int]] = {}
    for part, row in enumerate(table.tolist()):
        for group in row:
            if group in found.owner:
                counts.setdefault(found.owner[group], [0] * parts)[part] += 1
    alike: dict[int, list[list[int]]] = {}
    for bundle, count in counts.items():
        touched = [part for part, number in enumerate(count) if number]
        if len(touched) == 1:
            alike.setdefault(count[touched[0]], [[] for _ in range(parts)])[touched[0]].append(bundle)
        elif len(set(count)) > 1:
            found.drop(bundle)
    for lists in alike.values():
        ranked = [sorted(bundles, key=found.value) for bundles in lists]
        number = min(map(len, ranked))
        for several in zip(*ranked, strict=False):
            found.join(list(several))
        for bundles in ranked:
            for bundle in bundles[number:]:
                found.drop(bundle)
