"""What each type of layer computes about itself, and what follows for a network.

`build` picks the layers of one phase and connects them; `infer` finds the shapes of all blobs and weights, the
multiplications and the memory. `LAYERS` has a row for each type that is known; any other is opaque: it is kept and
reported, and its shapes are unknown. Sizes that only the data tells are `UNKNOWN`.

>>> from demitasse.message import Message
>>> from demitasse.net import Layer, Net
>>> size = Message.of(("dim", (1, 3, 300, 300)))
>>> data = Layer("data", "Input", (), ("data",), Message.of(("input_param", Message.of(("shape", size)))))
>>> param = Message.of(("num_output", 8), ("kernel_size", 7), ("stride", 2))
>>> conv = Layer("conv", "Convolution", ("data",), ("conv",), Message.of(("convolution_param", param)))
>>> graph = build(Net("example", (data, conv)), phase="TEST")
>>> shapes = infer(graph)
>>> shapes.blobs["conv"], shapes.parameters[1]
((1, 8, 147, 147), ((8, 3, 7, 7), (8,)))
>>> infer(graph, {"data": (4, 3, UNKNOWN, 300)}).blobs["conv"]
(4, 8, ?, 147)
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
