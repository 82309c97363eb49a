"""The transform: passes over the network until one finds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from demitasse.errors import DemitasseError, NetError, VerificationError
from demitasse.layers import build, differ, infer
from demitasse.layers.ties import Ties, tie
from demitasse.layers.tying import Tied
from demitasse.net import Layer, Net, Note, Tensor
from demitasse.transforms.removal import Edit, removed
from demitasse.transforms.shrink.flow import Flow, absorbed, absorbs, column_constants, flow
from demitasse.transforms.shrink.forms import settle
from demitasse.transforms.shrink.identities import without_identities
from demitasse.transforms.shrink.kernels import trimmed
from demitasse.transforms.shrink.needs import Needs, merges, needs
from demitasse.transforms.shrink.notes import changes, stays
from demitasse.transforms.shrink.patterns import Pattern, Patterns
from demitasse.transforms.transform import EXACT, done

__all__ = ["Shrink"]

STEP = "shrink"


@dataclass(frozen=True, slots=True)
class Shrink:
    """Removes whatever the outputs do not depend on, exactly, until nothing more can go.

    ``allow_outputs``: layers or blobs whose channels may leave although they are outputs of the network.
    The report gives the shapes of each layer before and after,
    and for what stays although it holds zeros, the reason. Applied again, it changes nothing.
    """

    allow_outputs: tuple[str, ...] = ()

    tolerance: ClassVar[float | None] = EXACT

    def __call__(self, net: Net) -> Net:
        """The network without what it does not need. NetError for one that does not hang together."""
        check(net, NetError, "its weights are {have}, and the network needs {wanted}")
        patterns, now = Patterns(), agreeing(net)
        while True:
            ties = tie(now, allow=self.allow_outputs)
            found = flow(ties, patterns)
            state = needs(ties, found, patterns)
            settle(state)
            smaller, notes = self.once(now, ties, found, state)
            if smaller is now:
                break
            now = smaller
            patterns.forget({id(tensor) for layer in now.layers for tensor in layer.tensors})
        if now is not net:
            check(now, VerificationError, "shrinking left weights of {have}, where {wanted} are needed")
        told = (*changes(net, now), *stays(state), *notes)
        return now.noting(summary(net, now), *told)

    def once(self, net: Net, ties: Ties, found: Flow, state: Needs) -> tuple[Net, list[Note]]:
        """One pass: channels, or if none can go, kernels and layers. The network itself if nothing can go."""
        kept = state.kept(np.arange(ties.count))
        if not kept.all():
            layers = removed(ties, kept, edits(state))
            if changed(net, layers):
                return net.with_layers(layers), []
        layers, notes = kernels(net, ties)
        if changed(net, layers):
            return net.with_layers(layers), []
        return without_identities(net, ties, found, STEP), notes


def agreeing(net: Net) -> Net:
    """The network with the weights that layers share in each of them: as in Caffe, those of the last sharer count."""
    shared = tie(net).shared
    if not shared:
        return net
    last: dict[tuple[int, int], Tensor] = {}
    for position, layer in enumerate(net.layers):
        last.update({shared.get((position, k), (position, k)): tensor for k, tensor in enumerate(layer.tensors)})
    layers: list[Layer] = []
    for position, layer in enumerate(net.layers):
        wanted = [last[shared.get((position, k), (position, k))] for k in range(len(layer.tensors))]
        same = all(map(equal, layer.tensors, wanted))
        layers.append(layer if same else layer.with_tensors(wanted))
    return net.with_layers(layers) if changed(net, layers) else net


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same; what has another shape is left alone."""
    return a is b or a.shape != b.shape or np.array_equal(a.array(), b.array())


def changed(net: Net, layers: list[Layer]) -> bool:
    """Whether any layer is another one."""
    return len(layers) != len(net.layers) or any(a is not b for a, b in zip(layers, net.layers, strict=True))


def kernels(net: Net, ties: Ties) -> tuple[list[Layer], list[Note]]:
    """Layers with the borders of their kernels cut off, and why some stay."""
    layers, notes = list(net.layers), []
    for position, places in ties.by_position.items():
        if {(position, blob) for blob in range(2)} & {*ties.shared, *ties.shared.values()}:
            continue
        if places[0].opaque or not places[0].products:
            continue
        layer, reason = trimmed(places[0])
        if layer is not None:
            layers[position] = layer
        elif reason:
            notes.append(Note(STEP, places[0].layer.name, reason, {"kept": True, "kind": "kernel"}))
    return layers, notes


def edits(state: Needs) -> Mapping[int, Edit]:
    """What else changes in layers some of whose columns leave: constants move into biases, doubles are added up."""
    found: dict[int, Edit] = {}
    for tied in state.ties.placed:
        if tied.position in found or len(tied.products) != 1 or not tied.layer.tensors or not state.alive(tied):
            continue
        product = tied.products[0]
        pattern = state.patterns.of(tied.layer.tensors[0], product)
        if pattern.columns is None:
            continue
        leaves = ~state.kept(pattern.columns)
        if leaves.any():
            found[tied.position] = Edit(constant(state, tied, pattern, leaves), doubles(state, tied, pattern, leaves))
    return found


def constant(state: Needs, tied: Tied, pattern: Pattern, leaves: np.ndarray) -> np.ndarray | None:
    """What the constants that leave add to each output; ``None`` if that is nothing."""
    constants = column_constants(tied.products[0], pattern, state.found.of(tied))
    if constants is None or not absorbs(state.ties, tied):
        return None
    moving = np.where(leaves & ~np.isnan(constants), constants, 0.0)
    if not moving.any():
        return None
    more = absorbed(tied, pattern, moving)
    rows = state.kept(tied.products[0].rows)
    return more if more[rows].any() else None


def doubles(state: Needs, tied: Tied, pattern: Pattern, leaves: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Pairs of columns: one that stays, and one that leaves because it holds the same."""
    units, value = tied.inputs[0] if tied.inputs else None, tied.sources[0] if tied.sources else (-1, 0)
    classes, needed = state.found.classes.get(value), state.values.get(value)
    if units is None or classes is None or needed is None or pattern.places is None or not merges(state.ties, tied):
        return ()
    standing = np.flatnonzero(needed & state.kept(units.ids))
    target = {int(classes[place]): int(place) for place in standing[::-1]}
    columns: dict[int, list[int]] = {}
    for column, place in enumerate(pattern.places.tolist()):
        columns.setdefault(place, []).append(column)
    read, moves = pattern.read(), absorbs(state.ties, tied)
    constants = state.found.constants.get(value)
    pairs: list[tuple[int, int]] = []
    for place, sources in columns.items():
        other = target.get(int(classes[place]))
        if constants is not None and (constants[place] == 0 or (moves and not np.isnan(constants[place]))):
            continue
        if other is None or not leaves[sources[0]] or not read[sources].any():
            continue
        for into, source in zip(columns[other], sources, strict=True):
            pairs += [(into * pattern.run + i, source * pattern.run + i) for i in range(pattern.run)]
    return tuple(pairs)


def summary(before: Net, after: Net) -> Note:
    """What left altogether."""
    gone = before.parameters - after.parameters
    if after is before or not gone:
        layers = len(before.layers) - len(after.layers)
        text = f"{layers} layers that do nothing" if layers else "nothing can leave"
        return done(STEP, "", text, parameters_before=before.parameters, parameters_after=after.parameters)
    share = gone / max(1, before.parameters)
    text = f"{gone:,} of {before.parameters:,} parameters ({share:.1%})".replace(",", " ")
    return done(STEP, "", text, parameters_before=before.parameters, parameters_after=after.parameters)


def check(net: Net, error: type[DemitasseError], text: str) -> None:
    """The error if a layer's weights do not have the shapes that the network asks for."""
    graph = build(net)
    shapes = infer(graph, strict=False)
    for layer, wanted in zip(graph.layers, shapes.parameters, strict=True):
        have = tuple(tensor.shape for tensor in layer.tensors)
        if have and wanted is not None and (len(have) != len(wanted) or any(map(differ, have, wanted))):
            raise error(f"{layer}: {text.format(have=list(have), wanted=list(wanted))}")
