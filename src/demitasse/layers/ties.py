"""Which channels of a network hang together, and which have to stay: the ground on which channels are removed.

`tie` walks over the layers of both phases and asks each for its rule (`ties_table.TIES`). What comes out is one list of
units (see `units`), the groups into which ties join them, and what pins some of them. Removing channels is then one
algorithm for all architectures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.layers.build import Graph, build
from demitasse.layers.shapes import Shapes, infer, place
from demitasse.layers.sizes import MaybeShape
from demitasse.layers.ties_fixed import unknown
from demitasse.layers.ties_table import tie_rule
from demitasse.layers.tying import Pin, Tied, Tying
from demitasse.layers.units import Ids, Knots, Units
from demitasse.net import Layer, Net

__all__ = ["Ties", "tie"]

PHASES = ("TEST", "TRAIN")

Value = tuple[int, int]
"""Position of a layer, and of one of its outputs."""


@dataclass(frozen=True, eq=False)
class Ties:
    """Everything that `tie` found out.

    ``placed``: each layer in each phase, in order (a layer of both phases twice). ``count``: how many units there are;
    ``groups``: for each the smallest that it is tied to. ``pins``: what has to stay and why. ``outputs``: names of the
    network's outputs, of any phase. ``free``: outputs that may change all the same. ``shared``: weights (layer, blob)
    that are another layer's, whose.
    """

    net: Net
    placed: tuple[Tied, ...]
    groups: Ids
    pins: tuple[Pin, ...]
    knots: Knots
    outputs: frozenset[str]
    free: frozenset[Value]
    shared: Mapping[tuple[int, int], tuple[int, int]]

    @property
    def count(self) -> int:
        """Number of units."""
        return len(self.groups)

    @cached_property
    def pinned(self) -> npt.NDArray[np.bool_]:
        """For each unit whether it, or one that it is tied to, has to stay."""
        return self.closed(pin.ids for pin in self.pins)

    def closed(self, several: Iterable[Ids]) -> npt.NDArray[np.bool_]:
        """For each unit whether its group has one of these."""
        found: npt.NDArray[np.bool_] = self.marked(self.groups[ids] for ids in several)[self.groups]
        return found

    def marked(self, several: Iterable[Ids]) -> npt.NDArray[np.bool_]:
        """For each unit whether it is one of these."""
        marks = np.zeros(self.count, np.bool_)
        for ids in several:
            marks[ids] = True
        return marks

    @cached_property
    def makers(self) -> npt.NDArray[np.int64]:
        """For each unit the position of the layer that it comes from."""
        makers = np.full(self.count, -1, np.int64)
        for tied in reversed(self.placed):
            for ids in own(tied):
                makers[ids] = tied.position
        return makers

    @cached_property
    def by_position(self) -> Mapping[int, tuple[Tied, ...]]:
        """A layer's places, one for each phase that it is part of."""
        found: dict[int, tuple[Tied, ...]] = {}
        for tied in self.placed:
            found[tied.position] = (*found.get(tied.position, ()), tied)
        return found

    def tied_by(self, group: int) -> tuple[Layer, ...]:
        """The layers that join the units of a group."""
        return tuple(self.net.layers[position] for position in sorted(self.tiers.get(group, ())))

    @cached_property
    def tiers(self) -> Mapping[int, set[int]]:
        """For each group of several units the positions of the layers that join them."""
        found: dict[int, set[int]] = {}
        for first, layer in zip(self.knots.firsts, self.knots.tiers, strict=True):
            if layer >= 0:
                for group in np.unique(self.groups[first]).tolist():
                    found.setdefault(group, set()).add(layer)
        return found


def own(tied: Tied) -> Iterator[Ids]:
    """Units that a layer makes: those of its products, or of outputs that are no input's."""
    for product in tied.products:
        yield product.rows
    given = np.concatenate([units.ids for units in tied.inputs if units is not None] or [np.zeros(0, np.int64)])
    for units in tied.outputs:
        if units is not None:
            yield np.setdiff1d(units.ids, given)


def tie(net: Net, inputs: Mapping[str, Sequence[int]] | None = None, allow: Collection[str] = ()) -> Ties:
    """The units of a network and what ties and pins them.

    ``inputs`` gives shapes of blobs, as `infer` takes them. ``allow``: layers or blobs that may lose channels although
    they are outputs of the network. NetError if the network has no phase that hangs together.
    """
    walk = Walk(net, frozenset(allow))
    graphs = list(phases(net))
    for graph in graphs:
        given = {
            name: shape for name, shape in (inputs or {}).items() if any(name in la.outputs for la in graph.layers)
        }
        walk.phase(graph, infer(graph, given, strict=False))
    walk.outside({id(layer) for graph in graphs for layer in graph.layers})
    return walk.result(frozenset(name for graph in graphs for name in graph.outputs))


def phases(net: Net) -> Iterator[Graph]:
    """The network of each phase; one that has the layers of another is left out, and one that makes no sense."""
    seen: list[tuple[int, ...]] = []
    error: NetError | None = None
    for phase in PHASES:
        try:
            graph = build(net, phase)
        except NetError as refused:
            error = error or refused
            continue
        layers = tuple(map(id, graph.layers))
        if layers not in seen:
            seen.append(layers)
            yield graph
    if error is not None and not seen:
        raise error


@dataclass(slots=True, eq=False)
class Walk:
    """The state of `tie`."""

    net: Net
    allow: frozenset[str]
    knots: Knots = field(default_factory=Knots)
    pins: list[Pin] = field(default_factory=list)
    placed: list[Tied] = field(default_factory=list)
    made: dict[Value, Units | None] = field(default_factory=dict)
    named: dict[str, list[Units]] = field(default_factory=dict)
    shared: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    exempt: list[Ids] = field(default_factory=list)
    free: set[Value] = field(default_factory=set)

    def phase(self, graph: Graph, shapes: Shapes) -> None:
        """Goes over the layers of one phase."""
        positions = {id(layer): i for i, layer in enumerate(self.net.layers)}
        latest: dict[str, tuple[Value, MaybeShape]] = {}
        start = len(self.placed)
        for layer, out in zip(graph.layers, shapes.outputs, strict=True):
            position = positions[id(layer)]
            tied = self.layer(position, layer, graph.phase, [latest[name] for name in layer.inputs], out)
            self.placed.append(tied)
            for which, name in enumerate(layer.outputs):
                latest[name] = ((position, which), out[which] if which < len(out) else None)
        places = [tied.position for tied in self.placed[start:]]
        for (i, k), (j, m) in shapes.shared.items():
            self.share((places[i], k), (places[j], m), self.placed[start + i], self.placed[start + j])
        for name in graph.outputs:
            value = latest[name][0]
            units = self.made.get(value)
            if name in self.allow or self.net.layers[value[0]].name in self.allow:
                self.free.add(value)
            elif units is not None:
                self.pins.append(Pin(units.ids, value[0], "output", f'"{name}" is an output of the network'))

    def layer(
        self,
        position: int,
        layer: Layer,
        phase: str,
        reads: Sequence[tuple[Value, MaybeShape]],
        shapes: tuple[MaybeShape, ...],
    ) -> Tied:
        """One layer of one phase."""
        placed, blind = place(layer, [shape for _, shape in reads], phase)
        units = tuple(self.made.get(value) for value, _ in reads)
        tying = Tying(position, placed, units, shapes, self.knots, self.pins)
        rule = unknown if blind or None in shapes else tie_rule(layer.type)
        tying.free = bool(self.allow.intersection((layer.name, *layer.inputs, *layer.outputs)))
        outs = tuple(self.joined((position, which), out) for which, out in enumerate(rule(tying)))
        if layer.name in self.allow:
            self.exempt += [out.ids for out in outs if out is not None]
        self.join_weights(tying)
        for name, out in zip(layer.outputs, outs, strict=False):
            if out is not None:
                self.named.setdefault(name, []).append(out)
        return Tied(
            position,
            layer,
            placed,
            shapes,
            units,
            outs,
            tuple(value for value, _ in reads),
            tying.weights,
            tuple(tying.products),
            tying.whole,
            tying.by_shape,
            tying.droppable,
            tying.window,
            tying.mixes,
            tying.opaque,
        )

    def joined(self, value: Value, units: Units | None) -> Units | None:
        """The units of an output, tied to those that it has in the other phase."""
        if value not in self.made:
            self.made[value] = units
            return units
        before = self.made[value]
        if before is not None and units is not None and before.axis == units.axis and len(before) == len(units):
            self.knots.tie(before.ids, units.ids, -1)
            return units
        for one in (before, units):
            if one is not None:
                self.pins.append(Pin(one.ids, value[0], "phases", "it has another form in another phase"))
        return units

    def join_weights(self, tying: Tying) -> None:
        """Ties the weights of a layer to what they are in the other phase."""
        for tied in self.placed:
            if tied.position == tying.position:
                self.same_weights(tied, tying)

    def same_weights(self, a: Tied | Tying, b: Tied | Tying) -> None:
        """Two layers, or a layer in two phases, whose weights are the same."""
        for p, q in zip(a.products, b.products, strict=False):
            self.equal(p.rows, q.rows, a.position)
            self.equal(p.columns, q.columns, a.position)
        for blob, axes in a.weights.items():
            for axis, ids in axes.items():
                self.equal(ids, b.weights.get(blob, {}).get(axis), a.position)

    def equal(self, a: Ids | None, b: Ids | None, position: int) -> None:
        """The same place of the same weights: tied, or held where only one of them is known."""
        if a is not None and b is not None and len(a) == len(b):
            self.knots.tie(a, b, position)
            return
        for ids in (a, b):
            if ids is not None:
                self.pins.append(Pin(ids, position, "shared", "its weights are shared, and used in another form"))

    def share(self, one: tuple[int, int], owner: tuple[int, int], a: Tied, b: Tied) -> None:
        """A blob that belongs to another layer: both are cut alike."""
        self.shared[one] = owner
        alike = len(a.products) == len(b.products) and [p.blobs for p in a.products] == [p.blobs for p in b.products]
        if alike and one[1] == owner[1] and a.layer.type == b.layer.type:
            for p, q in zip(a.products, b.products, strict=True):
                if one[1] in p.blobs:
                    self.equal(p.rows, q.rows, a.position)
                    self.equal(p.columns, q.columns, a.position)
            axes, others = a.weights.get(one[1], {}), b.weights.get(owner[1], {})
            for axis in {*axes, *others}:
                self.equal(axes.get(axis), others.get(axis), a.position)
            return
        for tied in (a, b):
            for ids in (ids for axes in tied.weights.values() for ids in axes.values()):
                self.equal(ids, None, tied.position)
            for product in tied.products:
                self.equal(product.rows, None, tied.position)
                self.equal(None, product.columns, tied.position)

    def outside(self, inside: Collection[int]) -> None:
        """Pins what layers touch that belong to no phase that is looked at."""
        for position, layer in enumerate(self.net.layers):
            if id(layer) not in inside:
                for units in (one for name in (*layer.inputs, *layer.outputs) for one in self.named.get(name, ())):
                    self.pins.append(Pin(units.ids, position, "outside", "is used by layers that other rules let in"))

    def result(self, outputs: frozenset[str]) -> Ties:
        """What was found, with the groups."""
        pins = self.pins
        if self.exempt:
            free = np.concatenate(self.exempt)
            pins = [replace(pin, ids=np.setdiff1d(pin.ids, free)) if pin.kind == "output" else pin for pin in self.pins]
        return Ties(
            self.net,
            tuple(self.placed),
            self.knots.groups(),
            tuple(pins),
            self.knots,
            outputs,
            frozenset(self.free),
            self.shared,
        )
