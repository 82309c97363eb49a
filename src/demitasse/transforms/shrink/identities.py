"""Layers that do nothing any more: a sum whose other branches are zero, a factor of one, a list of one."""

from __future__ import annotations

import numpy as np

from demitasse.errors import NetError
from demitasse.layers.ties import Ties
from demitasse.layers.tying import Tied
from demitasse.net import Layer, Net, Note
from demitasse.transforms.shrink.constants import Constants
from demitasse.transforms.shrink.flow import Flow
from demitasse.transforms.transform import done
from demitasse.transforms.wiring import Wiring

__all__ = ["passing", "without_identities"]


def without_identities(net: Net, ties: Ties, found: Flow, step: str) -> Net:
    """The network without layers that hand one of their inputs on as it is, and without branches that then end."""
    layers = {position: source for position in sorted(ties.by_position) if (source := passing(ties, found, position))}
    if not layers:
        return net
    wiring = Wiring.of(net)
    notes: list[Note] = []
    for position, (which, why) in layers.items():
        if position not in wiring.layers or position in untouchable(ties):
            continue
        layer = wiring.layers[position]
        value = wiring.sources[position][which]
        # An output of the network is a blob that nobody reads: it cannot take the place of one that others read.
        output = (position, 0) in wiring.fixed and len(wiring.readers(value)) > 1
        if not output and wiring.can_redirect((position, 0), value):
            sources = wiring.sources[position]
            wiring.redirect((position, 0), value)
            wiring.remove(position)
            notes.append(done(step, layer.name, why, shapes_before=shapes(layer), shapes_after=None))
            notes += dead_ends(wiring, [one[0] for one in sources if one != value], step)
    if not notes:
        return net
    try:
        return wiring.net(*notes)
    except NetError:
        return net


def untouchable(ties: Ties) -> frozenset[int]:
    """Layers of one phase alone: the wiring is that of the test phase."""
    phases = max(len(places) for places in ties.by_position.values())
    return frozenset(position for position, places in ties.by_position.items() if len(places) < phases)


def shapes(layer: Layer) -> list[list[int]]:
    """Of the weights."""
    return [list(tensor.shape) for tensor in layer.tensors]


def dead_ends(wiring: Wiring, starts: list[int], step: str) -> list[Note]:
    """Removes layers that nobody reads any more, from some on backwards."""
    notes: list[Note] = []
    while starts:
        key = starts.pop()
        layer = wiring.layers.get(key)
        if layer is None or layer.type == "Input" or not layer.inputs:
            continue
        values = [(key, number) for number in range(len(layer.outputs))]
        if any(value in wiring.fixed or wiring.readers(value) for value in values):
            continue
        starts += [source for source, _ in wiring.sources[key]]
        wiring.remove(key)
        why = "nobody reads it any more"
        notes.append(done(step, layer.name, why, shapes_before=shapes(layer), shapes_after=None))
    return notes


def passing(ties: Ties, found: Flow, position: int) -> tuple[int, str] | None:
    """Which input a layer hands on unchanged and why, if it does so in every phase."""
    answers = {answer(tied, found.of(tied)) for tied in ties.by_position[position]}
    return answers.pop() if len(answers) == 1 else None


def answer(tied: Tied, constants: list[Constants | None]) -> tuple[int, str] | None:
    """The same for one phase."""
    layer = tied.layer
    if len(layer.outputs) != 1 or tied.opaque or layer.message.numbers("loss_weight"):
        return None
    if layer.type in ("Concat", "Slice") and len(layer.inputs) == 1:
        return 0, "has one part left"
    if layer.type == "Eltwise":
        return sum_of_one(tied, constants)
    if layer.type in ("Scale", "Bias") and len(layer.inputs) == 1:
        return neutral(layer)
    if layer.type == "Power":
        param = layer.message.message("power_param")
        plain = all(param.number(name, value) == value for name, value in (("power", 1), ("scale", 1), ("shift", 0)))
        return (0, "changes nothing") if plain else None
    return None


def sum_of_one(tied: Tied, constants: list[Constants | None]) -> tuple[int, str] | None:
    """The one branch of a sum that is not zero, if it is taken once."""
    param = tied.placed.param
    if param.string("operation", "SUM") not in ("SUM", "1"):
        return None
    coefficients = param.numbers("coeff") or (1.0,) * len(constants)
    live = [
        which
        for which, (values, factor) in enumerate(zip(constants, coefficients, strict=True))
        if factor != 0 and (values is None or not (values == 0).all())
    ]
    if len(live) == 1 and coefficients[live[0]] == 1:
        return live[0], "all other branches of the sum are zero"
    return None


def neutral(layer: Layer) -> tuple[int, str] | None:
    """A factor of one, a bias of zero."""
    if not layer.tensors:
        return None
    arrays = [tensor.array() for tensor in layer.tensors]
    factor = np.ones(1) if layer.type == "Bias" else arrays[0]
    bias = arrays[0] if layer.type == "Bias" else arrays[1] if len(arrays) > 1 else np.zeros(1)
    return (0, "changes nothing") if bool((factor == 1).all() and (bias == 0).all()) else None
