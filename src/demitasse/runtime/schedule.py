"""In which order the layers of a network run, for the blobs that are wanted, and when each blob can be forgotten."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from demitasse.layers import layer_type
from demitasse.layers.build import AUTOMATIC, Graph
from demitasse.net import Layer
from demitasse.runtime.fused import reusing, scaled_behind

__all__ = ["Step", "aliases", "brings_data", "schedule"]


@dataclass(frozen=True, slots=True)
class Step:
    """One layer's turn. ``index``: the layer's. ``outputs``: names under which what it gives is kept.
    ``done``: blobs that nobody reads afterwards. Without gradients, ``scale`` is the position of the Scale that can do
    this BatchNorm's work with its own, and ``over`` says that this ReLU can write over its input."""

    index: int
    layer: Layer
    outputs: tuple[str, ...]
    done: tuple[str, ...]
    scale: int | None = None
    over: bool = False


def schedule(graph: Graph, wanted: Collection[str] | None, fed: Collection[str]) -> tuple[Step, ...]:
    """The layers that the wanted blobs depend on (all of them, for ``None``), in order.

    Sources of which every output is ``fed`` by the caller do not run.
    """
    layers = graph.layers
    outputs = [given_names(layer) for layer in layers]
    needed = backwards(layers, outputs, wanted)
    steps: list[tuple[int, tuple[str, ...]]] = []
    last: dict[str, int] = {}
    for i in needed:
        layer = layers[i]
        if brings_data(layer) and layer.outputs and all(name in fed for name in layer.outputs):
            last.update(dict.fromkeys(layer.outputs, len(steps)))
            continue
        last.update(dict.fromkeys((*layer.inputs, *outputs[i]), len(steps)))
        steps.append((i, outputs[i]))
    done: dict[int, list[str]] = {}
    for name, step in last.items():
        if wanted is not None and name not in wanted:
            done.setdefault(step, []).append(name)
    everything = {name for names in outputs for name in names}
    scaled = scaled_behind(layers, graph.phase, everything if wanted is None else wanted)
    over = reusing(layers)
    return tuple(
        Step(i, layers[i], names, tuple(done.get(n, ())), scaled.get(i), i in over)
        for n, (i, names) in enumerate(steps)
    )


def brings_data(layer: Layer) -> bool:
    """Whether a caller may give what the layer gives: a source, or a layer of whatever kind that reads nothing."""
    return layer_type(layer.type).is_source or (not layer.inputs and layer.type != "Parameter")


def given_names(layer: Layer) -> tuple[str, ...]:
    """Names of a layer's outputs; a loss may be left unnamed."""
    kind = layer_type(layer.type)
    return (AUTOMATIC,) if kind.is_loss and not layer.outputs else layer.outputs


def backwards(
    layers: Sequence[Layer], outputs: Sequence[tuple[str, ...]], wanted: Collection[str] | None
) -> Sequence[int]:
    """Positions of the layers that the wanted blobs depend on. Whoever works in place on one counts too, and so does
    whoever changes memory that it shares."""
    if wanted is None:
        return range(len(layers))
    shared = aliases(layers)
    needed: list[int] = []
    live = set(wanted)
    for i in reversed(range(len(layers))):
        if live.isdisjoint(outputs[i]) and live.isdisjoint(shared.get(i, ())):
            continue
        live.difference_update(name for name in outputs[i] if name not in layers[i].inputs and name != AUTOMATIC)
        live.update(layers[i].inputs)
        needed.append(i)
    return needed[::-1]


def aliases(layers: Sequence[Layer]) -> Mapping[int, tuple[str, ...]]:
    """For layers that work in place: other blobs that are views of the same memory, and so change too.

    Caffe's Split, Reshape and Flatten share the memory of their input, and so do Concat and Slice with one of each.
    """
    memory: dict[str, int] = {}
    result: dict[int, tuple[str, ...]] = {}
    for i, layer in enumerate(layers):
        alone = layer.type in ("Concat", "Slice") and len(layer.inputs) == len(layer.outputs) == 1
        view = layer_type(layer.type).shares_memory or alone
        for j, name in enumerate(layer.outputs):
            if j < len(layer.inputs) and layer.inputs[j] == name:
                others = tuple(other for other, at in memory.items() if at == memory[name] and other != name)
                if others:
                    result[i] = others
            else:
                memory[name] = memory[layer.inputs[0]] if view and layer.inputs else i * 1000 + j
    return result
