"""What shrinking did to each layer, and why channels that hold zeros stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from demitasse.layers.ties import Ties
from demitasse.layers.tying import Tied
from demitasse.layers.units import Ids
from demitasse.net import Layer, Net, Note
from demitasse.transforms.shrink.needs import Cause, Needs
from demitasse.transforms.transform import done, kept

__all__ = ["changes", "stays", "why"]

STEP = "shrink"


def changes(before: Net, after: Net) -> list[Note]:
    """One note for each layer whose weights have another form, or that left; before and after are the shapes of its
    blobs."""
    new = {layer.name: layer for layer in after.layers}
    told = {note.layer for note in after.report[len(before.report) :]}
    notes: list[Note] = []
    for layer in before.layers:
        other = new.get(layer.name)
        was, now = shapes(layer), None if other is None else shapes(other)
        if other is None:
            if layer.name not in told:
                notes.append(done(STEP, layer.name, "nothing of it is read", shapes_before=was, shapes_after=None))
        elif was != now:
            text = ", ".join(f"{form(a)} → {form(b)}" for a, b in zip(was, now or [], strict=False) if a != b)
            if len(now or []) > len(was):
                text += f"{', ' if text else ''}a bias is new"
            notes.append(done(STEP, layer.name, text, shapes_before=was, shapes_after=now))
        elif tuple(layer.inputs) != tuple(other.inputs) and len(layer.inputs) != len(other.inputs):
            notes.append(done(STEP, layer.name, f"{len(layer.inputs)} → {len(other.inputs)} inputs"))
    return notes


def shapes(layer: Layer) -> list[list[int]]:
    """Of the weights."""
    return [list(tensor.shape) for tensor in layer.tensors]


def form(shape: list[int]) -> str:
    """``2×3``."""
    return "×".join(map(str, shape)) or "1"


def stays(state: Needs) -> Iterator[Note]:
    """For each layer that still has outputs that say nothing, or inputs that it does not read: how many, and why."""
    seen: set[int] = set()
    for tied in state.ties.placed:
        if tied.position in seen or not tied.products or not tied.layer.tensors:
            continue
        seen.add(tied.position)
        product = tied.products[0]
        if product.blobs[0] >= len(tied.layer.tensors):
            continue
        pattern = state.patterns.of(tied.layer.tensors[product.blobs[0]], product)
        silent = product.rows[~pattern.active()]
        yield from told(state, tied, np.unique(silent), "outputs whose weights are all zero")
        if pattern.columns is not None:
            used = pattern.read()
            ids = np.setdiff1d(pattern.columns[~used], pattern.columns[used])
            yield from told(state, tied, ids, "inputs that it does not read")


def told(state: Needs, tied: Tied, ids: Ids, what: str) -> Iterator[Note]:
    """Notes on units that stay: one for each reason."""
    members: dict[int, list[int]] = {}
    for unit in ids.tolist():
        members.setdefault(int(state.ties.groups[unit]), []).append(unit)
    causes = Counter(
        why(state.ties, group, state.causes.get(group), tied.layer, units) for group, units in members.items()
    )
    for (kind, text, layers), number in causes.items():
        if kind:
            yield kept(STEP, tied.layer.name, f"{number} {what} stay: {text}", kind=kind, channels=number, tied=layers)


def why(
    ties: Ties, group: int, cause: Cause | None, layer: Layer, units: Sequence[int]
) -> tuple[str, str, tuple[str, ...]]:
    """A word, a text, and names of the layers that tie the group together."""
    if cause is None:
        return "", "", ()
    tied = ties.tied_by(group)
    blamed = ties.net.layers[cause.layer]
    names = tuple(one.name for one in tied)
    reason = TEXTS.get(cause.kind, "{layer} needs them").format(layer=f"{blamed.name} ({blamed.type})")
    pin = next((pin for pin in ties.pins if pin.kind == cause.kind and pin.layer == cause.layer), None)
    if pin is not None and cause.kind not in TEXTS:
        reason = f"{blamed.name} ({blamed.type}): {pin.text}"
    if not names or (pin is not None and np.isin(units, pin.ids).all()):
        return cause.kind, reason, ()
    first = next((one for one in tied if one is not layer), tied[0])
    return "tied", f"tied by {first.name} ({first.type}) to channels that stay: {reason}", names


TEXTS = {
    "border": "{layer} pads its input, and would see at its border that they are not zero",
    "empty": "{layer} needs at least one channel",
    "group": "groups of {layer} have to be of one size",
    "input": "{layer} comes from outside of the network",
    "opaque": "{layer} is of a type whose channels cannot be told apart, or of unknown shape",
    "output": "outputs of the network keep their form ({layer})",
    "phases": "{layer} has another form in another phase",
    "read": "{layer} reads them",
    "window": "{layer} would bring channels into each other's neighbourhood",
}
