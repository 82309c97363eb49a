"""Weights that layers share by the name that their ``param`` gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from demitasse.layers.layertype import blaming, refuse, text
from demitasse.layers.sizes import Shape, count, differ
from demitasse.message import Message
from demitasse.net import Layer

__all__ = ["Place", "owners"]

Place = tuple[int, int]
"""Position of a layer, and of one of its weights."""


def owners(layers: Sequence[Layer], parameters: Sequence[tuple[Shape, ...] | None]) -> Mapping[Place, Place]:
    """For each weight that belongs to a layer before, the place of the one that it is.

    NetError if the shapes do not agree (only the sizes, with ``share_mode: PERMISSIVE``), or the learning rates.
    """
    named: dict[str, Place] = {}
    rates: dict[tuple[str, str], float] = {}
    shared: dict[Place, Place] = {}
    for i, layer in enumerate(layers):
        for k, (shape, spec) in enumerate(zip(parameters[i] or (), layer.message.messages("param"), strict=False)):
            name = spec.string("name")
            if not name:
                continue
            with blaming(layer):
                agree(layer, name, spec, rates)
            owner = named.setdefault(name, (i, k))
            if owner == (i, k):
                continue
            expected = (parameters[owner[0]] or ())[owner[1]]
            sizes_only = spec.string("share_mode", "STRICT") in ("PERMISSIVE", "1")
            if differ(count(expected), count(shape)) if sizes_only else differ(expected, shape):
                refuse(
                    layer, f'needs "{name}" as {text(shape)}, and shares that of {layers[owner[0]]}: {text(expected)}'
                )
            shared[i, k] = owner
    return shared


def agree(layer: Layer, name: str, spec: Message, rates: dict[tuple[str, str], float]) -> None:
    """NetError if two sharers give different multipliers."""
    for field in ("lr_mult", "decay_mult"):
        if field in spec:
            value = spec.number(field)
            if rates.setdefault((name, field), value) != value:
                refuse(layer, f'gives the shared "{name}" {field} {value:g}, and a layer before it gives another')
