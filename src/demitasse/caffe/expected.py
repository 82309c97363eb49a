"""What weights the layers of a file need, phase by phase, as far as the file tells.

Reading must not fail where inspecting would: a layer whose shape is not known, or that Caffe would refuse, is passed
over here, and whatever needs to know more about it says so then.
"""

from __future__ import annotations

from dataclasses import dataclass

from demitasse.errors import NetError
from demitasse.layers import UNKNOWN, MaybeShape, layer_type, parameter_shapes
from demitasse.layers.build import State
from demitasse.layers.shapes import ask
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
            outputs, shapes = answers(layer, [blobs.get(name) for name in layer.inputs], phase)
            blobs.update(zip(layer.outputs, outputs, strict=False))
            first = layer.name not in names
            names.add(layer.name)
            if (old := found.get(i)) is None:
                found[i] = Need(numbered(layer, phase) if shapes is None else shapes, first)
            elif first and not old.first:
                found[i] = Need(old.shapes, True)
    taken = {net.layers[i].name for i, need in found.items() if need.first}
    # What neither phase has belongs to a stage or level of its own.
    return [found.get(i) or Need(None, layer.name not in taken) for i, layer in enumerate(net.layers)]


def included(state: State, layer: Layer) -> bool:
    """Whether a layer's rules let it in; contradictory ones do."""
    try:
        return state.includes(layer)
    except NetError:
        return True


def answers(
    layer: Layer, inputs: list[MaybeShape], phase: str
) -> tuple[tuple[MaybeShape, ...], tuple[MaybeShape, ...] | None]:
    """Shapes of a layer's outputs and weights, as far as it tells them."""
    try:
        layer_type(layer.type).check_counts(layer)
        answer = ask(layer, inputs, phase, {})
    except NetError:
        return (None,) * len(layer.outputs), None
    return answer.outputs, answer.parameters


def numbered(layer: Layer, phase: str) -> tuple[None, ...] | None:
    """How many blobs a layer has whose inputs are not known; None if not even that is known."""
    try:
        layer_type(layer.type).check_counts(layer)
        shapes = parameter_shapes(layer, [(UNKNOWN,) * 4] * len(layer.inputs), phase)
    except NetError:
        return None
    return None if shapes is None else (None,) * len(shapes)
