"""Which channels leave: bundles that have to go together, families of them that are ranked together, and a target.

A bundle (see `bundles`) is a group of tied channels, or several that have to go together. A family are the bundles that
the same layers make: the channels of a layer, or of all layers that a chain of sums ties together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demitasse.errors import OptionError
from demitasse.layers import build, infer
from demitasse.layers.ties import Ties
from demitasse.layers.tying import Product
from demitasse.layers.units import Ids
from demitasse.transforms.prune.bundles import bundled
from demitasse.transforms.prune.criteria import Scores, makers
from demitasse.transforms.shrink.flow import Flow
from demitasse.transforms.shrink.forms import settle
from demitasse.transforms.shrink.needs import Needs
from demitasse.transforms.shrink.patterns import Patterns

__all__ = [
    "Cost",
    "Family",
    "families",
    "in_multiples",
    "kept_units",
    "macs",
    "parameters",
    "to_budget",
    "to_share",
    "worst_first",
]

Mask = npt.NDArray[np.bool_]

LEAST = 0.05
"""Share of a family that stays however little it is worth: a layer of one channel is worse than its ranking says."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """``layers``: positions of those that make the channels. ``bundles``: groups of each, least worth first;
    ``worth``: likewise. ``channels``: how many channels of a layer one bundle is."""

    layers: tuple[int, ...]
    bundles: tuple[Ids, ...]
    worth: npt.NDArray[np.float64]
    channels: int

    def least(self, multiple: int) -> int:
        """Bundles that have to stay."""
        return self.rounded(max(1, int(np.ceil(LEAST * len(self.bundles)))), multiple)

    def rounded(self, number: int, multiple: int) -> int:
        """At least so many bundles, such that a layer has a multiple of channels; all, if there is no such number."""
        step = int(np.lcm(multiple, self.channels)) // self.channels
        return min(len(self.bundles), -(-number // step) * step)


def families(ties: Ties, worth: Scores, only: frozenset[int] | None) -> list[Family]:
    """The families of channels that may leave, of those that one of the layers ``only`` (by position) makes."""
    value = worth.mean
    groups = np.unique(ties.groups)
    free = groups[~ties.pinned[groups] & ~np.isnan(value[groups])]
    owner = bundled(ties, free, value)
    made: dict[int, set[int]] = {}
    sizes: dict[int, dict[int, int]] = {}
    for tied, product in makers(ties):
        for unit in product.rows:
            bundle = owner.get(int(ties.groups[unit]))
            if bundle is not None:
                made.setdefault(bundle, set()).add(tied.position)
                layer = sizes.setdefault(bundle, {})
                layer[tied.position] = layer.get(tied.position, 0) + 1
    members: dict[int, list[int]] = {}
    for group, bundle in owner.items():
        members.setdefault(bundle, []).append(group)
    by_layers: dict[tuple[int, ...], list[int]] = {}
    for bundle in members:
        layers = tuple(sorted(made.get(bundle, ())))
        if layers and (only is None or only.intersection(layers)):
            by_layers.setdefault(layers, []).append(bundle)
    found: list[Family] = []
    for layers, bundles in by_layers.items():
        each = np.array([np.mean(value[members[bundle]]) for bundle in bundles])
        order = np.argsort(each, kind="stable")
        ids = tuple(np.array(members[bundles[i]], np.int64) for i in order)
        channels = max(max(sizes[bundle].values()) for bundle in bundles)
        found.append(Family(layers, ids, each[order], channels))
    return found


def kept_units(ties: Ties, leaving: Sequence[Ids]) -> Mask:
    """For each unit whether it stays if these groups leave, as far as the forms of layers allow."""
    standing = np.ones(ties.count, np.bool_)
    for groups in leaving:
        standing[groups] = False
    state = Needs(ties, Flow(), Patterns(), standing)
    settle(state)
    return state.kept(np.arange(ties.count))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs: multiply-accumulates, or parameters. ``whole``: of each product, by the layer's position;
    ``others``: of weights that are cut channel by channel, with their units; ``fixed``: of all that never changes."""

    ties: Ties
    of: str
    whole: Mapping[int, float]
    others: tuple[tuple[Ids, float], ...] = ()
    fixed: float = 0.0

    def __call__(self, kept: Mask) -> float:
        """The cost if these units stay."""
        products = sum(self.whole[tied.position] * share(product, kept) for tied, product in makers(self.ties))
        return self.fixed + products + sum(size * float(kept[ids].mean()) for ids, size in self.others)


def macs(ties: Ties) -> Cost:
    """Multiply-accumulates of the test phase."""
    graph = build(ties.net)
    found = dict(zip(map(id, graph.layers), infer(graph, strict=False).macs, strict=True))
    whole = {tied.position: float(found.get(id(tied.layer)) or 0) for tied, _ in makers(ties)}
    if not any(whole.values()):
        raise OptionError("the multiply-accumulates are not known: the prototxt does not say how large its inputs are")
    return Cost(ties, "macs", whole)


def parameters(ties: Ties) -> Cost:
    """Weights of all kinds."""
    whole: dict[int, float] = {}
    others: list[tuple[Ids, float]] = []
    for tied, product in makers(ties):
        tensors = tied.layer.tensors
        whole[tied.position] = float(sum(tensors[blob].size for blob in product.blobs if blob < len(tensors)))
    for places in ties.by_position.values():
        tensors = places[0].layer.tensors
        for blob, axes in places[0].weights.items():
            if blob < len(tensors) and axes:
                others.append((next(iter(axes.values())), float(tensors[blob].size)))
    counted = sum(whole.values()) + sum(size for _, size in others)
    return Cost(ties, "params", whole, tuple(others), ties.net.parameters - counted)


def share(product: Product, kept: Mask) -> float:
    """How much of a product's weights are left."""
    rows = kept[product.rows]
    if product.columns is None:
        return float(rows.mean())
    parts = max(1, int(rows.reshape(product.groups, -1).any(axis=1).sum()))
    return float(rows.mean() * kept[product.columns].mean()) * product.groups / parts


def to_share(found: Sequence[Family], ratio: Callable[[Family], float], multiple: int) -> list[Ids]:
    """The groups that leave if so large a share of each family stays."""
    leaving: list[Ids] = []
    for family in found:
        number = len(family.bundles)
        stay = max(family.least(multiple), family.rounded(int(np.ceil(ratio(family) * number - 1e-9)), multiple))
        leaving += family.bundles[: number - stay]
    return leaving


def worst_first(found: Sequence[Family], number: int, multiple: int) -> list[Ids]:
    """The groups that leave if so many bundles do, whatever layer they are in."""
    candidates = [(float(worth), i, k) for i, family in enumerate(found) for k, worth in enumerate(family.worth)]
    chosen: dict[int, int] = {}
    for _, i, _ in sorted(candidates)[:number]:
        chosen[i] = chosen.get(i, 0) + 1
    leaving: list[Ids] = []
    for i, gone in chosen.items():
        family = found[i]
        stay = max(family.least(multiple), family.rounded(len(family.bundles) - gone, multiple))
        leaving += family.bundles[: len(family.bundles) - stay]
    return leaving


def to_budget(
    ties: Ties,
    found: Sequence[Family],
    cost: Cost,
    wanted: float,
    multiple: int,
    *,
    across: bool,
    lean: npt.NDArray[np.float64] | None = None,
) -> list[Ids]:
    """The fewest groups that have to leave for the cost to be no higher than ``wanted`` of what it was.

    ``across``: ranked over all layers; else the same share of each, or that times ``lean``, one for each family.
    OptionError if that cannot be had.
    """
    leans = np.ones(len(found)) if lean is None else lean
    rates = {family.layers: float(rate) for family, rate in zip(found, leans, strict=True)}
    before = cost(np.ones(ties.count, np.bool_))
    total = sum(len(family.bundles) for family in found)

    def leaving(number: int) -> list[Ids]:
        if across:
            return worst_first(found, number, multiple)
        return to_share(found, lambda family: share_left(family, number), multiple)

    def share_left(family: Family, number: int) -> float:
        return max(0.0, 1 - number / total * rates[family.layers])

    def left(groups: list[Ids]) -> float:
        return cost(kept_units(ties, groups)) / before

    if not total or left(leaving(total)) > wanted:
        lowest = left(leaving(total)) if total else 1.0
        why = "layers that outputs, sums with inputs or unknown layers hold keep their channels"
        if held := in_multiples(found, multiple):
            why = f"{held}, and {why}"
        raise OptionError(
            f"{cost.of} cannot be brought to {wanted:g}: with all that may leave, {lowest:.2f} are left; {why}"
        )
    number = least(total, lambda number: left(leaving(number)) <= wanted)
    if across or number == 0:
        return leaving(number)

    # The same share of each, and of the first families one step more: as little beyond the budget as rounding allows.
    def up_to(further: int) -> list[Ids]:
        first, rest = found[:further], found[further:]
        return [
            *to_share(first, lambda family: share_left(family, number), multiple),
            *to_share(rest, lambda family: share_left(family, number - 1), multiple),
        ]

    return up_to(least(len(found), lambda further: left(up_to(further)) <= wanted))


def in_multiples(found: Sequence[Family], multiple: int) -> str:
    """What to say of layers that lose nothing because a multiple of channels is to be left; "" if there are none."""
    few = sum(family.least(multiple) == len(family.bundles) for family in found)
    if multiple == 1 or not few:
        return ""
    return f"{few} of {len(found)} layers (or groups of tied layers) cannot lose any in multiples of {multiple}"


def least(highest: int, enough: Callable[[int], bool]) -> int:
    """The least number from 0 to ``highest`` that is enough, if more of it always is, and the highest is."""
    low, high = 0, highest
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low
