"""What each type of layer computes about itself, and what follows for a network.

    graph = build(net, phase="TEST")            # the layers of one phase, connected
    shapes = infer(graph, {"data": (1, 3, 300, 300)})
    shapes.blobs["conv1"], shapes.parameters, shapes.macs, shapes.peak_memory

`LAYERS` has a row for each type that is known; any other is opaque: it is kept and reported, its shapes are unknown.
Sizes that only the data tells are `UNKNOWN`.
"""

from demitasse.layers.build import Graph, build
from demitasse.layers.layertype import LayerType
from demitasse.layers.shapes import Shapes, infer, parameter_shapes
from demitasse.layers.sizes import UNKNOWN, MaybeShape, Shape, count, differ, known
from demitasse.layers.table import LAYERS, layer_type

__all__ = [
    "LAYERS",
    "UNKNOWN",
    "Graph",
    "LayerType",
    "MaybeShape",
    "Shape",
    "Shapes",
    "build",
    "count",
    "differ",
    "infer",
    "known",
    "layer_type",
    "parameter_shapes",
]
