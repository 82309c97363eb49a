"""What weights each layer of a file should have, whatever phase the layer belongs to."""

from __future__ import annotations

from demitasse.errors import NetError
from demitasse.layers.build import build
from demitasse.layers.shapes import infer
from demitasse.layers.sizes import Shape
from demitasse.net import Net

__all__ = ["weight_shapes"]


def weight_shapes(net: Net) -> tuple[tuple[Shape, ...] | None, ...]:
    """Shapes of the weights of each layer of ``net.layers``, as Caffe would make them.

    ``None`` for a layer of unknown type, one whose input nobody knows, or one that no phase includes; a size may be
    `UNKNOWN`. A phase in which the network makes no sense counts for nothing: this never fails.
    """
    found: dict[int, tuple[Shape, ...]] = {}
    for phase in ("TEST", "TRAIN"):
        try:
            graph = build(net, phase)
            shapes = infer(graph)
        except NetError:
            continue
        for layer, weights in zip(graph.layers, shapes.parameters, strict=True):
            if weights is not None:
                found.setdefault(id(layer), weights)
    return tuple(found.get(id(layer)) for layer in net.layers)
