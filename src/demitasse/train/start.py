"""The network that training starts from: weights drawn by the fillers, or taken over from another network by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from demitasse.errors import NetError
from demitasse.layers import Graph, infer, known, layer_type
from demitasse.layers.sharing import Place
from demitasse.net import Dense, Layer, Net, Tensor
from demitasse.runtime.fillers import initial

__all__ = ["started", "taken_over"]


def started(graph: Graph, inputs: Mapping[str, Sequence[int]], seed: int) -> Graph:
    """The graph with weights for every layer: what a layer brings is kept, the rest comes from its fillers.

    ``inputs``: shapes of blobs that are fed. A shared weight has its owner's values. NetError if a shape is not known,
    or a filler is none.
    """
    import torch

    shapes = infer(graph, inputs)
    generator = torch.Generator().manual_seed(seed)
    made: dict[Place, Tensor] = {}
    layers: list[Layer] = []
    for i, layer in enumerate(graph.layers):
        wanted = shapes.parameters[i]
        if wanted is None or not all(known(shape) for shape in wanted):
            raise NetError(f"{layer}: the shapes of its weights are not known, so that it cannot be trained")
        tensors = layer.tensors
        if not tensors:
            drawn = initial(layer, layer_type(layer.type).field, wanted, generator)
            tensors = tuple(made.get(shapes.shared.get((i, k), (-1, k)), Dense(v.numpy())) for k, v in enumerate(drawn))
        made |= {(i, k): tensor for k, tensor in enumerate(tensors)}
        layers.append(layer.with_tensors(tensors))
    return replace(graph, net=graph.net.with_layers(layers))


def taken_over(net: Net, weights: Net) -> Net:
    """The network with the weights of layers of the same name, as Caffe copies them: layers that only one of the two
    has are left alone. Whether the shapes fit is for the executor to say."""
    given = {layer.name: layer.tensors for layer in weights.layers if layer.tensors}
    return net.with_layers(
        layer.with_tensors(given[layer.name]) if layer.name in given else layer for layer in net.layers
    )
