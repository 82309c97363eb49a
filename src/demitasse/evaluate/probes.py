"""Where to measure: which layers' outputs say whether two networks compute the same thing.

The outputs that nothing reads, and what the last decision is made from: probabilities hide how far the logits are
apart, and a list of boxes hides everything below its threshold. So a Softmax or Sigmoid is measured at its input, and a
DetectionOutput at the locations and scores that it reads; winners and boxes are counted beside that. What comes after
Faster R-CNN's choice of regions is judged by its boxes only: one region more or less, and every row is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demitasse.evaluate.detectors import DETECTING, Regions, detector, proposes
from demitasse.evaluate.outputs import Kind
from demitasse.net import Layer

__all__ = ["Probe", "probes"]

TRAINING = ("Loss", "Accuracy")
"""Ends of the names of types that judge an output in training, and that no runtime needs."""

SQUASHING = frozenset({"Sigmoid", "Softmax"})

MOVING = frozenset({"Flatten", "Permute", "Reshape"})
"""Types that change nothing but the order and the shape."""

SOURCES = frozenset(
    {"Input", "Data", "ImageData", "HDF5Data", "MemoryData", "WindowData", "DummyData", "AnnotatedData"}
)


Sources = dict[int, list[Layer]]
"""Which layers give the inputs of a layer, by its ``id``."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One layer whose output is compared, and how. ``axis``: that of the classes. ``known``: the layer's type says
    what its output is (of an ``.onnx`` nobody says)."""

    layer: str
    kind: Kind
    axis: int = 1
    known: bool = True


def probes(layers: Sequence[Layer]) -> tuple[Probe, ...]:
    """For the layers of one phase in order. Empty for a network that computes nothing."""
    writer: dict[str, Layer] = {}
    sources: Sources = {}
    read: set[int] = set()
    for layer in layers:
        sources[id(layer)] = [writer[name] for name in layer.inputs if name in writer]
        if not judges(layer):
            read.update(id(before) for before in sources[id(layer)])
        writer.update(dict.fromkeys(layer.outputs, layer))
    found: dict[str, Probe] = {}
    chosen = after_choice(layers)
    if chosen:
        regions = detector(layers)
        for name in regions.layers if isinstance(regions, Regions) else ():
            found[name] = Probe(name, "regions")
        for layer in layers:
            if proposes(layer):
                for before in sources[id(layer)][:2]:
                    at = unsquashed(before, sources)
                    found.setdefault(at.name, Probe(at.name, "values"))
    for layer in layers:
        if id(layer) in chosen:
            continue
        if id(layer) in read or layer.type in SOURCES or judges(layer) or not layer.outputs:
            continue
        for probe in measured_at(layer, sources):
            found.setdefault(probe.layer, probe)
    return tuple(found.values())


def after_choice(layers: Sequence[Layer]) -> set[int]:
    """The ``id`` of every layer that chooses regions, or reads what depends on such a choice."""
    chosen: set[int] = set()
    blobs: set[str] = set()
    for layer in layers:
        if proposes(layer) or blobs.intersection(layer.inputs):
            chosen.add(id(layer))
            blobs.update(layer.outputs)
        else:
            blobs.difference_update(layer.outputs)
    return chosen


def judges(layer: Layer) -> bool:
    """Whether the layer only tells a trainer how good its inputs are."""
    return layer.type.endswith(TRAINING)


def measured_at(layer: Layer, sources: Sources) -> list[Probe]:
    """The probes for one output."""
    if layer.type in DETECTING:
        # SSD's reads locations, scores and anchors; YOLO's a map for each scale.
        before = sources[id(layer)][: 2 if layer.type == "DetectionOutput" else None]
        read = [unsquashed(each, sources) for each in before]
        return [Probe(layer.name, "detections"), *(Probe(each.name, "values") for each in read)]
    measured = Probe(unsquashed(layer, sources).name, "values")
    if layer.type == "Softmax":
        axis = layer.message.message("softmax_param").integer("axis", 1)
        return [Probe(layer.name, "classes", axis), *([measured] if measured.layer != layer.name else [])]
    return [measured]


def unsquashed(layer: Layer, sources: Sources) -> Layer:
    """What a Softmax or Sigmoid reads, if there is nothing but moving about after it; else the layer itself."""
    at = layer
    while at.type in MOVING and sources[id(at)]:
        at = sources[id(at)][0]
    if at.type in SQUASHING and sources[id(at)]:
        return sources[id(at)][0]
    return layer
