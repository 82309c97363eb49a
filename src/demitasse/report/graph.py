"""What the graph says about a network's layers, or why it says nothing: a report must not fail for want of a shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from demitasse.errors import NetError
from demitasse.layers import MaybeShape, build, infer, known
from demitasse.net import Layer, Net

__all__ = ["Facts", "facts"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the layers of one phase, the test phase if there is one; keyed by ``id`` of the layer, since names may repeat.

    ``peak_activations`` in bytes as float32. ``None``, or a missing key: not known. ``unsized``: layers that need
    weights whose shapes depend on something unknown; ``needed`` counts only the rest of theirs.
    None, once the network has weights: then a layer without has none.
    """

    layers: tuple[Layer, ...]
    outputs: Mapping[int, MaybeShape] = field(default_factory=dict)
    macs: Mapping[int, int | None] = field(default_factory=dict)
    needed: Mapping[int, int] = field(default_factory=dict)
    unsized: frozenset[int] = frozenset()
    total_macs: int | None = None
    peak_activations: int | None = None
    notes: tuple[str, ...] = ()

    def parameters(self, layer: Layer) -> int:
        """Weights that the layer has, or would have if it had any."""
        if layer.tensors:
            return sum(tensor.size for tensor in layer.tensors)
        return self.needed.get(id(layer), 0)

    def complete(self, layer: Layer) -> bool:
        """Whether `parameters` counts all of the layer's weights."""
        return bool(layer.tensors) or id(layer) not in self.unsized


def facts(net: Net) -> Facts:
    """Everything the table of layers knows about a network. Reads no weights."""
    phase: tuple[str, ...] = ()
    try:
        graph = build(net)
    except NetError as error:
        try:
            graph = build(net, "TRAIN")
        except NetError:
            return Facts(
                net.layers, unsized=unsized_all(net.layers), notes=(f"all layers are shown, of every phase: {error}",)
            )
        phase = ("this network is one for training only: it is shown as it trains",)
    try:
        shapes = infer(graph)
    except NetError as error:
        return Facts(graph.layers, unsized=unsized_all(graph.layers), notes=(*phase, f"shapes are not known: {error}"))
    layers = graph.layers
    needed = {
        id(layer): sum(prod(shape) for shape in own if known(shape))
        for layer, own in zip(layers, shapes.parameters, strict=True)
        if own is not None
    }
    unsized = {
        id(layer)
        for layer, own in zip(layers, shapes.parameters, strict=True)
        if not net.parameters and (own is None or not all(known(shape) for shape in own))
    }
    unknown = [f"{note.layer}: {note.text}" for note in (*graph.net.report[len(net.report) :], *shapes.notes)]
    return Facts(
        layers,
        {id(layer): own[0] for layer, own in zip(layers, shapes.outputs, strict=True) if own},
        {id(layer): macs for layer, macs in zip(layers, shapes.macs, strict=True)},
        needed,
        frozenset(unsized),
        shapes.total_macs,
        shapes.peak_memory,
        (*phase, *vague_sources(layers, shapes.outputs), *unknown),
    )


def unsized_all(layers: Sequence[Layer]) -> frozenset[int]:
    """Of layers whose shapes are not known: all of them, unless there are weights."""
    return frozenset() if any(layer.tensors for layer in layers) else frozenset(map(id, layers))


def vague_sources(layers: Sequence[Layer], outputs: Sequence[Sequence[MaybeShape]]) -> list[str]:
    """Layers that bring data of a size which only the data tell: why much of the rest is not known."""
    return [
        f"{layer.name} ({layer.type}) does not say how large its data are: what depends on that is not known"
        for layer, own in zip(layers, outputs, strict=True)
        if not layer.inputs and own and not known(own[0])
    ]
