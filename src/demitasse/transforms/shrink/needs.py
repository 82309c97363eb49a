"""Backwards through a network: which values anybody needs, and which units therefore stay.

A value is needed if an output of the network depends on it, which weights of zero do not. A constant that its readers
can take into their biases is not needed, nor is a channel that holds the same as another one of the blob. What
is needed stays, and so does what is tied to it, though nobody may need its value: then it may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demitasse.layers.ties import Ties, Value
from demitasse.layers.tying import Product, Tied
from demitasse.layers.units import Ids, Units
from demitasse.transforms.shrink.constants import gathered_width, places
from demitasse.transforms.shrink.duplicates import MOVING
from demitasse.transforms.shrink.flow import Flow, absorbs, column_constants, own_weights
from demitasse.transforms.shrink.patterns import Patterns

__all__ = ["Cause", "Needs", "merges", "needs"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a group of units stays: a word, and the layer (its position) that is to blame."""

    kind: str
    layer: int


@dataclass(slots=True, eq=False)
class Needs:
    """``standing``: for each group whether it stays; ``causes``: the first reason for that.

    ``values``: for each value, which positions are needed.
    """

    ties: Ties
    found: Flow
    patterns: Patterns
    standing: Mask
    causes: dict[int, Cause] = field(default_factory=dict)
    values: dict[Value, Mask] = field(default_factory=dict)

    def keep(self, ids: Ids, kind: str, layer: int) -> bool:
        """Units that stay, with what is tied to them. Whether that is news."""
        groups = self.ties.groups[ids]
        new = np.unique(groups[~self.standing[groups]])
        self.standing[new] = True
        self.causes.update({int(group): Cause(kind, layer) for group in new})
        return bool(len(new))

    def kept(self, ids: Ids) -> Mask:
        """For each of these units whether it stays."""
        found: Mask = self.standing[self.ties.groups[ids]]
        return found

    def stays(self, units: Units | None) -> Mask:
        """For each position whether its unit stays."""
        return np.ones(0, np.bool_) if units is None else self.kept(units.ids)

    def alive(self, tied: Tied) -> bool:
        """Whether anything of a layer stays."""
        tracked = [units for units in tied.outputs if units is not None]
        return len(tracked) < len(tied.outputs) or not tied.outputs or any(self.stays(u).any() for u in tracked)

    def demand(self, tied: Tied, which: int, mask: Mask, kind: str = "read") -> None:
        """Positions of an input that are needed."""
        units, value = tied.inputs[which], tied.sources[which]
        if units is None or not mask.any():
            return
        before = self.values.get(value)
        self.values[value] = mask.copy() if before is None else before | mask
        self.keep(units.ids[mask], kind, tied.position)

    def varies(self, tied: Tied, which: int) -> Mask:
        """Positions of an output that are not constant."""
        units, values = tied.outputs[which], self.found.constants.get((tied.position, which))
        return np.ones(length(units), np.bool_) if values is None else np.isnan(values)

    def wanted(self, tied: Tied, which: int) -> Mask:
        """Positions of an output that are needed."""
        units = tied.outputs[which]
        if units is None:
            return np.ones(0, np.bool_)
        return self.values.get((tied.position, which), np.zeros(len(units), np.bool_))


def needs(ties: Ties, found: Flow, patterns: Patterns) -> Needs:
    """What stays, at least; see `forms.settle` for what layers ask for besides."""
    state = Needs(ties, found, patterns, np.zeros(ties.count, np.bool_))
    for pin in ties.pins:
        state.keep(pin.ids, pin.kind, pin.layer)
    backwards(state, doubles=False)
    backwards(state, doubles=True)
    return state


def backwards(state: Needs, *, doubles: bool) -> None:
    """One pass against the order of the layers. With ``doubles``, of several equal channels one is chosen."""
    for value, mask in held(state.ties).items():
        before = state.values.get(value)
        state.values[value] = mask if before is None else before | mask
    for tied in reversed(state.ties.placed):
        for which, units in enumerate(tied.outputs):
            if units is not None and (tied.position, which) in state.ties.free:
                state.values[tied.position, which] = state.wanted(tied, which) | state.varies(tied, which)
                state.keep(units.ids[state.varies(tied, which)], "output", tied.position)
        read(state, tied, doubles)


def held(ties: Ties) -> dict[Value, Mask]:
    """Positions that are needed because something pins them: where it does, not wherever the same unit stands. What
    stands there elsewhere stays, too, and may be anything. Of shared weights, and of layers outside of what is looked
    at, it cannot be told where."""
    anywhere = ties.marked(pin.ids for pin in ties.pins if pin.kind in ("outside", "shared"))
    given: dict[int, list[Ids]] = {}
    read: dict[int, list[Ids]] = {}
    for pin in ties.pins:
        given.setdefault(pin.layer, []).append(pin.ids)
        if pin.kind not in ("output", "phases"):
            read.setdefault(pin.layer, []).append(pin.ids)
    found: dict[Value, Mask] = {}
    for tied in ties.placed:
        values = [((tied.position, which), units, given) for which, units in enumerate(tied.outputs)]
        values += [(value, units, read) for value, units in zip(tied.sources, tied.inputs, strict=True)]
        for value, units, by_layer in values:
            if units is not None:
                mask = anywhere[units.ids] | np.isin(
                    units.ids, np.concatenate([NONE, *by_layer.get(tied.position, ())])
                )
                found[value] = found[value] | mask if value in found else mask
    return found


NONE: Ids = np.zeros(0, np.int64)


def read(state: Needs, tied: Tied, doubles: bool) -> None:
    """What a layer needs of its inputs, given what is needed of its outputs. Constants come about without."""
    sink = not tied.outputs or any(units is None for units in tied.outputs)
    if tied.droppable and not tied.outputs:
        return
    outs = [state.wanted(tied, which) & state.varies(tied, which) for which in range(len(tied.outputs))]
    if not (sink or tied.opaque or any(mask.any() for mask in outs)):
        return
    for which in (*tied.whole, *(range(len(tied.inputs)) if tied.opaque else ())):
        state.demand(tied, which, np.ones(length(tied.inputs[which]), np.bool_))
    if any(not product.inputs for product in tied.products):
        outs = [fed_back(state, tied, outs)] * len(outs)
        for which in range(2, len(tied.inputs)):
            if length(tied.inputs[which]) == len(outs[0]):
                state.demand(tied, which, outs[0])
    for product in tied.products:
        rows = row_mask(tied, product, outs)
        if rows.any():
            multiply(state, tied, product, rows, doubles)
    if not tied.products and not tied.opaque:
        for which, mask in passed(state, tied, outs):
            state.demand(tied, which, mask)


def fed_back(state: Needs, tied: Tied, outs: list[Mask]) -> Mask:
    """Units of a state that are needed, at this step or for a later one."""
    mask, units = union(outs), tied.outputs[0]
    if units is None:
        return mask
    while True:
        before = mask.copy()
        for product in tied.products:
            if not product.inputs and product.blobs[0] < len(tied.layer.tensors):
                pattern = state.patterns.of(tied.layer.tensors[product.blobs[0]], product)
                mask |= pattern.reads(row_mask(tied, product, [mask])) & state.varies(tied, 0)
        if (mask == before).all():
            state.keep(units.ids[mask], "read", tied.position)
            return mask


def length(units: Units | None) -> int:
    """Number of positions."""
    return 0 if units is None else len(units)


def row_mask(tied: Tied, product: Product, outs: list[Mask]) -> Mask:
    """Rows of a product whose outputs are needed."""
    units = tied.outputs[0]
    if units is None:
        return np.ones(len(product.rows), np.bool_)
    mask = union(outs)
    return mask if len(mask) == len(product.rows) else np.isin(product.rows, units.ids[mask])


def multiply(state: Needs, tied: Tied, product: Product, rows: Mask, doubles: bool) -> None:
    """The columns that the rows are not zero for, but for constants that can move into the bias."""
    if not tied.layer.tensors or product.blobs[0] >= len(tied.layer.tensors):
        for which in product.inputs:
            state.demand(tied, which, np.ones(length(tied.inputs[which]), np.bool_))
        return
    pattern = state.patterns.of(tied.layer.tensors[product.blobs[0]], product)
    columns = pattern.reads(rows)
    if pattern.places is None or pattern.columns is None:
        return
    constants = column_constants(product, pattern, state.found.of(tied))
    kind = np.full(len(columns), False)
    if constants is not None:
        leaves = constants == 0
        kind = ~np.isnan(constants) & ~leaves
        if absorbs(state.ties, tied):
            leaves = ~np.isnan(constants)
        columns &= ~leaves
    for which in product.inputs:
        units = tied.inputs[which]
        if units is None:
            continue
        mask = np.zeros(len(units), np.bool_)
        mask[pattern.places[columns]] = True
        mask = one_of_each(state, tied, which, mask, doubles) if product.groups == 1 else mask
        border = np.zeros(len(units), np.bool_)
        border[pattern.places[columns & kind]] = True
        state.demand(tied, which, mask & ~border)
        state.demand(tied, which, mask & border, "border")


def one_of_each(state: Needs, tied: Tied, which: int, mask: Mask, doubles: bool) -> Mask:
    """Of needed positions that hold the same one is enough: one that stays anyway, or else the first."""
    units, classes = tied.inputs[which], state.found.classes.get(tied.sources[which])
    if units is None or classes is None or not merges(state.ties, tied):
        return mask
    groups = state.ties.groups[units.ids]
    needed = np.flatnonzero(mask)
    order = np.argsort(classes, kind="stable")
    unique, starts = np.unique(classes[order], return_index=True)
    if len(unique) == len(classes):
        return mask
    result = mask.copy()
    members = {int(number): part for number, part in zip(unique, np.split(order, starts[1:]), strict=True)}
    for number in np.unique(classes[needed]):
        alike = members[int(number)]
        if len(alike) == 1 or len(np.unique(groups[alike])) == 1:
            continue
        result[alike] = False
        standing = alike[state.kept(units.ids[alike])]
        if len(standing):
            result[standing[0]] = True
        elif doubles:
            result[alike[0]] = True
    return result


def merges(ties: Ties, tied: Tied) -> bool:
    """Whether the layer can read one of two equal channels with the weights of both."""
    return own_weights(ties, tied) and tied.products[0].groups == 1 and len(tied.inputs) == 1


def passed(state: Needs, tied: Tied, outs: list[Mask]) -> Iterator[tuple[int, Mask]]:
    """What layers need that do not multiply: position by position."""
    if not outs or not tied.inputs:
        return
    if sum(map(length, tied.inputs)) == length(tied.outputs[0]) and tied.layer.type == "Concat":
        edges = np.cumsum([length(units) for units in tied.inputs])[:-1]
        yield from enumerate(np.split(outs[0], edges))
        return
    out = np.concatenate(outs) if sum(map(len, outs)) == length(tied.inputs[0]) else union(outs)
    first = tied.inputs[0]
    if tied.layer.type == "Filter":
        yield from enumerate(outs)
        return
    if first is None:
        return
    if tied.mixes:
        out = np.full(len(out), out.any())
    elif tied.window:
        out = with_neighbours(state, tied, out)
    elif len(out) != len(first) or tied.layer.type in MOVING:
        out = moved_back(tied, first, out)
    for which, units in enumerate(tied.inputs):
        if which not in tied.whole and which not in tied.by_shape and length(units) == len(out):
            yield which, out


def union(masks: list[Mask]) -> Mask:
    """Positions of which any output is needed."""
    result = masks[0].copy()
    for mask in masks[1:]:
        if len(mask) == len(result):
            result |= mask
    return result


def moved_back(tied: Tied, units: Units, out: Mask) -> Mask:
    """Positions of the input that some needed position of the output came from."""
    made = tied.outputs[0]
    mask = np.zeros(len(units), np.bool_)
    if made is None:
        return ~mask
    together = gathered_width(tied, len(units), len(made))
    if together:
        return np.repeat(out, together)
    where = places(tied, units, made)
    if where is None:
        return ~mask
    mask[where[out]] = True
    return mask


def with_neighbours(state: Needs, tied: Tied, out: Mask) -> Mask:
    """Also the inputs beside, or all, on whose squares the outputs depend: unless they are zero."""
    constants = state.found.constants.get(tied.sources[0])
    zero = np.zeros(len(out), np.bool_) if constants is None else constants == 0
    if tied.window < 0:
        near = np.full(len(out), out.any())
    else:
        near = np.convolve(out, np.ones(2 * tied.window + 1), "same")[: len(out)] > 0 if len(out) else out
        if len(out) < 2 * tied.window + 1:
            near = np.full(len(out), out.any())
    found: Mask = out | (near & ~zero)
    return found
