"""Whether weights have the shapes that the text asks for: checked after every change of both."""

from __future__ import annotations

from demitasse.errors import WeightsError
from demitasse.layers import build, differ, infer
from demitasse.layers.layertype import text
from demitasse.net import Net

__all__ = ["consistent"]


def consistent(net: Net, phase: str = "TEST") -> Net:
    """The network itself. WeightsError if a layer has weights of another number or shape than it needs, as far as
    that is known; NetError if its layers do not fit each other."""
    graph = build(net, phase)
    shapes = infer(graph)
    for i, (layer, needed) in enumerate(zip(graph.layers, shapes.parameters, strict=True)):
        if needed is None or not layer.tensors:
            continue
        have = [tensor.shape for tensor in layer.tensors]
        if len(have) != len(needed):
            raise WeightsError(f"{layer} needs {len(needed)} blobs, and has {len(have)}")
        for index, (shape, need) in enumerate(zip(have, needed, strict=True)):
            if differ(shape, need) and (i, index) not in shapes.shared:
                raise WeightsError(f"{layer}, blob {index} is {text(shape)}, and the network needs {text(need)}")
    return net
