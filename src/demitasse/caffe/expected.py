"""What weights the layers of a file need, phase by phase, as far as the file tells.

Reading must not fail where inspecting would: a layer whose shape is not known, or that Caffe would refuse, is passed
over here, and whatever needs to know more about it says so then.
"""

from __future__ import annotations

from dataclasses import dataclass

from demitasse.errors import NetError
from demitasse.layers import UNKNOWN, MaybeShape, Shape, parameter_shapes
from demitasse.layers.build import State
from demitasse.layers.shapes import place, resolve
from demitasse.net import Layer, Net

__all__ = ["Need", "needs"]


@dataclass(frozen=True, slots=True)
class Need:
    """What one layer takes from a parameter file.

    ``shapes``: of its blobs, None where not even their number is known; a shape is None where only the number is.
    ``first``: whether it is the first of its name in some phase; Caffe gives weights to no other.
    """

    shapes: tuple[MaybeShape, ...] | None
    first: bool


def needs(net: Net) -> list[Need]:
    """One for each layer of the file, in order. A layer of both phases is judged as in TEST."""
    found: dict[int, Need] = {}
    for phase in ("TEST", "TRAIN"):
        state = State(phase, 0, frozenset(net.message.message("state").strings("stage")))
        blobs: dict[str, MaybeShape] = {}
        names: set[str] = set()
        for i, layer in enumerate(net.layers):
            if not included(state, layer):
                continue
            inputs = [blobs.get(name) for name in layer.inputs]
            old, first = found.get(i), layer.name not in names
            if old is None:
                found[i] = Need(shapes(layer, inputs, phase), first)
            elif first and not old.first:
                found[i] = Need(old.shapes, True)
            names.add(layer.name)
            blobs.update(zip(layer.outputs, outputs(layer, inputs, phase), strict=False))
    taken = {net.layers[i].name for i, need in found.items() if need.first}
    # What neither phase has belongs to a stage or level of its own.
    return [found.get(i) or Need(None, layer.name not in taken) for i, layer in enumerate(net.layers)]


def included(state: State, layer: Layer) -> bool:
    """Whether a layer's rules let it in; contradictory ones do."""
    try:
        return state.includes(layer)
    except NetError:
        return True


def shapes(layer: Layer, inputs: list[MaybeShape], phase: str) -> tuple[MaybeShape, ...] | None:
    """Shapes of a layer's weights; where those of its inputs are not known, at least how many there are."""
    try:
        if (exact := parameter_shapes(layer, inputs, phase)) is not None:
            return exact
        guessed = parameter_shapes(layer, [shape or (UNKNOWN,) * 4 for shape in inputs], phase)
    except NetError:
        return None
    return None if guessed is None else (None,) * len(guessed)


def outputs(layer: Layer, inputs: list[MaybeShape], phase: str) -> tuple[MaybeShape, ...]:
    """Shapes of a layer's outputs; None for those that are not known."""
    nothing = (None,) * len(layer.outputs)
    try:
        placed, blind = place(layer, inputs, phase)
        return nothing if blind else resolve(placed, dict[str, Shape]())
    except NetError:
        return nothing
