"""Which layers of a file make up the network of one phase, and how they hang together, as Caffe's ``Net`` decides.

Rules (``include``, ``exclude``) against phase, level and stages; Split layers where a blob has several readers;
loss weights; the network's inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from demitasse.errors import NetError
from demitasse.layers.layertype import blaming, refuse
from demitasse.layers.split import insert_splits
from demitasse.layers.table import LAYERS, layer_type
from demitasse.message import Message
from demitasse.net import Layer, Net, Note

__all__ = ["AUTOMATIC", "Graph", "State", "build", "phase_of"]

AUTOMATIC = "(automatic)"
"""Name of the output of a loss layer that the file gives none."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """The network of one phase.

    ``net`` holds its layers in order. ``inputs`` are the outputs of Input layers, in order; ``outputs`` the blobs that
    nobody reads, sorted by name; ``loss_weights`` the weights that are not zero, by blob.
    """

    net: Net
    phase: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    loss_weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of this phase, in order."""
        return self.net.layers


def build(net: Net, phase: str = "TEST", level: int = 0, stages: Iterable[str] = (), splits: bool = False) -> Graph:
    """The network for a phase, a level and stages (added to those that the file's own ``state`` names).

    With ``splits``, as Caffe runs it: Split layers are inserted where a blob is read more than once, unnamed outputs
    are called ``(automatic)``, and what Caffe cannot run is refused. Without, layers are those of the file.
    Layers of unknown type are kept, and reported in ``graph.net.report``.
    NetError if a layer reads a blob that none before it gives, if two give the same blob, if a layer has too many or
    too few inputs or outputs, or if its rules contradict each other.
    """
    if phase not in ("TRAIN", "TEST"):
        raise NetError(f"phase is {phase!r}; it must be TRAIN or TEST")
    state = State(phase, level, frozenset((*net.message.message("state").strings("stage"), *stages)))
    layers = [layer for layer in net.layers if state.includes(layer)]
    blobs, unread = connect(layers, phase)
    if splits:
        layers = [as_caffe(layer) for layer in insert_splits(layers)]
        blobs, unread = connect(layers, phase)
    weights = {name: weight for layer in layers for name, weight in loss_weights(layer).items()}
    lossy = {name for name in weights if name in blobs}
    sources = tuple(name for layer in layers if layer.type == "Input" for name in layer.outputs)
    notes = [
        Note("build", layer.name, f"type {layer.type} is not known: it passes through untouched")
        for layer in layers
        if layer.type not in LAYERS
    ]
    built = net.with_layers(layers, *notes)
    return Graph(built, phase, sources, tuple(sorted(unread | (set() if splits else lossy))), weights)


@dataclass(frozen=True, slots=True)
class State:
    """What rules are held against."""

    phase: str
    level: int
    stages: frozenset[str]

    def includes(self, layer: Layer) -> bool:
        """Whether the layer's rules let it in: any ``include`` has to hold, or no ``exclude`` may."""
        include, exclude = layer.message.messages("include"), layer.message.messages("exclude")
        if include and exclude:
            refuse(layer, "has both include and exclude rules; it may have only one kind")
        if include:
            return any(self.meets(rule) for rule in include)
        return not any(self.meets(rule) for rule in exclude)

    def meets(self, rule: Message) -> bool:
        """Whether every condition of the rule holds."""
        if "phase" in rule and phase_of(rule, self.phase) != self.phase:
            return False
        if self.level < rule.integer("min_level", self.level) or self.level > rule.integer("max_level", self.level):
            return False
        return self.stages.issuperset(rule.strings("stage")) and self.stages.isdisjoint(rule.strings("not_stage"))


def phase_of(message: Message, default: str) -> str:
    """``"TRAIN"`` or ``"TEST"`` from a field that holds the name or the number of the phase."""
    value = message.string("phase", default)
    phase = {"0": "TRAIN", "1": "TEST"}.get(value, value)
    if phase not in ("TRAIN", "TEST"):
        raise NetError(f"phase is {value!r}; it must be TRAIN or TEST")
    return phase


def as_caffe(layer: Layer) -> Layer:
    """A loss layer without an output gets one. NetError for what Caffe alone refuses."""
    kind = layer_type(layer.type)
    with blaming(layer):
        kind.check_as_caffe(layer)
    missing = kind.output_limits(layer)[0] - len(layer.outputs) if kind.is_loss else 0
    return replace(layer, outputs=layer.outputs + (AUTOMATIC,) * missing) if missing > 0 else layer


def connect(layers: Iterable[Layer], phase: str) -> tuple[set[str], set[str]]:
    """All blobs, and those that nobody reads. NetError for what does not hang together."""
    blobs: set[str] = set()
    unread: set[str] = set()
    layers = list(layers)
    for layer in layers:
        for name in layer.inputs:
            if name not in blobs:
                later = next(
                    (f"; {one} gives it, after it" for one in layers if one is not layer and name in one.outputs), ""
                )
                refuse(layer, f'reads "{name}", which no layer before it gives in phase {phase}{later}')
            unread.discard(name)
        for i, name in enumerate(layer.outputs):
            in_place = i < len(layer.inputs) and layer.inputs[i] == name
            if name in blobs and not in_place and name != AUTOMATIC:
                refuse(layer, f'gives "{name}", which a layer before it gives already')
            if name != AUTOMATIC:
                blobs.add(name)
                unread.add(name)
        with blaming(layer):
            layer_type(layer.type).check_counts(layer)
        gates = layer.message.scalars("propagate_down")
        if gates and len(gates) != len(layer.inputs):
            refuse(layer, f"has {len(gates)} propagate_down for {len(layer.inputs)} inputs; it needs one for each")
    return blobs, unread


def loss_weights(layer: Layer) -> dict[str, float]:
    """Weight, as float32, of each output that counts as a loss. NetError unless each output has one, or none has."""
    is_loss = layer_type(layer.type).is_loss
    weights = layer.message.numbers("loss_weight") or ((1.0,) if is_loss else ())
    outputs = layer.outputs or ((AUTOMATIC,) if is_loss else ())
    if weights and len(weights) != len(outputs):
        refuse(layer, f"has {len(weights)} loss_weight for {len(outputs)} outputs; it needs one for each")
    return {name: float(np.float32(weight)) for name, weight in zip(outputs, weights, strict=False) if weight}
