"""Deep Compression's published ``.net`` files as networks: the prototxt says what the file does not.

net = import_net("deploy.prototxt", "compressed.net")
"""

from __future__ import annotations

import os

from demitasse import files
from demitasse.codec.deep_compression import CodedLayer, read_net_file
from demitasse.errors import NetError
from demitasse.layers import build, infer, known
from demitasse.net import Net, Note

__all__ = ["import_net"]

StrPath = str | os.PathLike[str]


def import_net(prototxt: StrPath, path: StrPath) -> Net:
    """The network with the file's weights: clustered tensors, with the codebook and the positions of the file.

    FileError for files that cannot be read, WeightsError for a file of other layers, NetError for a network whose
    weights have unknown shapes, or that has weights which such a file cannot hold.
    """
    net = files.load(prototxt)
    graph = build(net)
    shapes = infer(graph).parameters
    coded: list[CodedLayer] = []
    for layer, needed in zip(graph.layers, shapes, strict=True):
        if needed is None or not all(known(shape) for shape in needed):
            raise NetError(f"{layer}: the shapes of its weights are not known, and {path} does not say them")
        if needed and (len(needed) != 2 or len(needed[0]) < 2):
            raise NetError(
                f"{layer}: a .net file holds weights and biases only, and this layer has {len(needed)} blobs"
            )
        if needed:
            coded.append(CodedLayer(layer.name, needed[0], needed[1][0]))
    tensors = dict(zip((layer.name for layer in coded), read_net_file(path, coded), strict=True))
    layers = [layer.with_tensors(tensors.get(layer.name, ())) for layer in net.layers]
    return net.with_layers(layers, Note("import", "", f"{len(coded)} layers from {os.fspath(path)}"))
