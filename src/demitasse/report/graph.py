"""What the graph says about a network's layers, or why it says nothing: a report must not fail for want of a shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from demitasse.errors import NetError
from demitasse.layers import MaybeShape, build, infer, known
from demitasse.net import Layer, Net

__all__ = ["Facts", "facts"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the layers of one phase, the test phase if there is one; keyed by ``id`` of the layer, since names may repeat.

    ``peak_activations`` in bytes as float32. ``None``, or a missing key: not known.
    """

    layers: tuple[Layer, ...]
    outputs: Mapping[int, MaybeShape] = field(default_factory=dict)
    macs: Mapping[int, int | None] = field(default_factory=dict)
    needed: Mapping[int, int] = field(default_factory=dict)
    total_macs: int | None = None
    peak_activations: int | None = None
    notes: tuple[str, ...] = ()

    def parameters(self, layer: Layer) -> int:
        """Weights that the layer has, or would have if it had any."""
        if layer.tensors:
            return sum(tensor.size for tensor in layer.tensors)
        return self.needed.get(id(layer), 0)


def facts(net: Net) -> Facts:
    """Everything the table of layers knows about a network. Reads no weights."""
    phase: tuple[str, ...] = ()
    try:
        graph = build(net)
    except NetError as error:
        try:
            graph = build(net, "TRAIN")
        except NetError:
            return Facts(net.layers, notes=(f"all layers are shown, of every phase: {error}",))
        phase = ("this network is one for training only: it is shown as it trains",)
    try:
        shapes = infer(graph)
    except NetError as error:
        return Facts(graph.layers, notes=(*phase, f"shapes are not known: {error}"))
    layers = graph.layers
    needed = {
        id(layer): sum(prod(shape) for shape in own if known(shape))
        for layer, own in zip(layers, shapes.parameters, strict=True)
        if own is not None
    }
    unknown = [f"{note.layer}: {note.text}" for note in (*graph.net.report[len(net.report) :], *shapes.notes)]
    return Facts(
        layers,
        {id(layer): own[0] for layer, own in zip(layers, shapes.outputs, strict=True) if own},
        {id(layer): macs for layer, macs in zip(layers, shapes.macs, strict=True)},
        needed,
        shapes.total_macs,
        shapes.peak_memory,
        (*phase, *unknown),
    )
