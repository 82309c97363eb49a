"""Which layers are exported: what the wanted blobs are computed from, without what only a trainer needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from demitasse.errors import OptionError
from demitasse.layers import Graph, build, layer_type
from demitasse.layers.loss import Sink
from demitasse.layers.rows import Silence
from demitasse.net import Layer, Net, Note

__all__ = ["selected"]

MEASURES = frozenset({"Accuracy", "DetectionEvaluate", "SegAccuracy"})
"""Types that judge an output, and give no loss."""


def selected(net: Net, until: Sequence[str]) -> Graph:
    """The network of phase TEST with the layers that ``until`` depends on, its ``outputs`` in that order.

    Without ``until``: losses, measures and sinks at the ends leave, and what they judged is an output. OptionError
    for a blob that there is not.
    """
    graph = build(net)
    blobs = [name for layer in graph.layers for name in layer.outputs]
    for name in until:
        if name not in blobs:
            raise OptionError(f'--until {name}: the network has no blob "{name}" in phase TEST')
    if until:
        return trimmed(graph, graph.layers, tuple(dict.fromkeys(until)))
    kept, left = without_judges(graph.layers)
    notes = [Note("export", layer.name, f"{layer.type} is for training, and is left out") for layer in left]
    return trimmed(graph, kept, ends(kept, left), *notes)


def is_judge(layer: Layer) -> bool:
    """Whether a layer only tells somebody about its inputs."""
    kind = layer_type(layer.type)
    return kind.is_loss or layer.type in MEASURES or issubclass(kind, Sink | Silence)


def without_judges(layers: Sequence[Layer]) -> tuple[list[Layer], list[Layer]]:
    """Layers that stay, and those that leave: judges whose results no layer that stays reads."""
    kept: list[Layer] = []
    left: list[Layer] = []
    read: set[str] = set()
    for layer in reversed(layers):
        if is_judge(layer) and not read.intersection(layer.outputs):
            left.append(layer)
            continue
        read -= set(layer.outputs)
        read |= set(layer.inputs)
        kept.append(layer)
    return kept[::-1], left[::-1]


def ends(kept: Sequence[Layer], left: Sequence[Layer]) -> tuple[str, ...]:
    """Blobs that no layer reads, in the order in which they are computed, but for what is silenced, and for what
    others were judged by. What a source brings is an output only if nothing else is there."""
    unread: dict[str, bool] = {}
    for layer in kept:
        for name in layer.inputs:
            unread.pop(name, None)
        unread.update(dict.fromkeys(layer.outputs, bool(layer.inputs) or layer.type in ("Parameter", "DummyData")))
    aside = {name for layer in left for name in not_predicted(layer)}
    computed = tuple(name for name, made in unread.items() if made and name not in aside)
    return computed or tuple(name for name, made in unread.items() if made) or tuple(unread)


def not_predicted(layer: Layer) -> tuple[str, ...]:
    """Inputs of a judge that are no results: labels, targets, weights; whatever is silenced."""
    if layer.type == "Silence":
        return layer.inputs
    if issubclass(layer_type(layer.type), Sink):
        return ()
    return layer.inputs[2 if layer.type == "ContrastiveLoss" else 1 :]


def trimmed(graph: Graph, layers: Sequence[Layer], wanted: tuple[str, ...], *notes: Note) -> Graph:
    """The layers that the wanted blobs depend on."""
    needed = set(wanted)
    kept = []
    for layer in reversed(layers):
        if needed.intersection(layer.outputs):
            needed |= set(layer.inputs)
            kept.append(layer)
    kept.reverse()
    inputs = tuple(name for layer in kept if layer.type == "Input" for name in layer.outputs)
    return replace(graph, net=graph.net.with_layers(kept, *notes), inputs=inputs, outputs=wanted, loss_weights={})
