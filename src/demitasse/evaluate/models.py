"""What can be compared: a network, with its plain Caffe files where it has them, or an ``.onnx``; and where in each of
them the same value is to be had."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from demitasse.errors import NetError
from demitasse.layers import Graph, build, infer, known
from demitasse.net import Layer, Net
from demitasse.runtime.onnxruntime import Signature, signature

__all__ = ["Model", "OnnxFile", "Shapes", "Subject", "counterparts", "model"]

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Subject:
    """A network and, where it has them, its plain Caffe files, which are then what runs."""

    net: Net
    prototxt: Path | None = None
    caffemodel: Path | None = None

    @cached_property
    def graph(self) -> Graph:
        """Its layers in phase TEST. NetError for what is no network."""
        return build(self.net)

    @cached_property
    def inputs(self) -> Shapes:
        """What has to be fed, and in which shape. NetError for a network that reads its data itself, or says none."""
        graph = self.graph
        shapes = infer(graph).blobs
        sources = [layer for layer in graph.layers if not layer.inputs and layer.type in DATA]
        if sources:
            raise NetError(
                f"{sources[0]} brings its own data: the network cannot be run as it is; give its deploy prototxt, "
                "or make one with `demitasse strip`"
            )
        found = {name: shape for name in graph.inputs if known(shape := shapes.get(name))}
        if not found:
            raise NetError("the network cannot be run as it is: it declares no input of known shape")
        for name, shape in found.items():
            if 0 in shape:
                sizes = "×".join(map(str, shape))
                raise NetError(f'input "{name}" has the shape {sizes}: an empty batch cannot be run')
        return found

    @cached_property
    def places(self) -> Mapping[str, str]:
        """For each blob the layer that gives its final value as its first output."""
        writers = {name: layer for layer in self.graph.layers for name in layer.outputs}
        return {name: layer.name for name, layer in writers.items() if layer.outputs[0] == name}

    def key(self, layer: Layer, final: bool) -> str | None:
        """The name under which a runtime has what another network's layer gives; ``final``: as its blob stays."""
        if final and layer.outputs[0] in self.places:
            return self.places[layer.outputs[0]]
        return layer.name if any(own.name == layer.name and own.outputs for own in self.graph.layers) else None


DATA = frozenset(
    {"AnnotatedData", "Data", "DenseImageData", "HDF5Data", "ImageData", "MemoryData", "SegmentationData", "WindowData"}
)
"""Types of layers that open a database or files."""


@dataclass(frozen=True)
class OnnxFile:
    """An ``.onnx``, whoever wrote it."""

    path: Path

    @cached_property
    def signature(self) -> Signature:
        """What it takes and gives. FileError if it is no ONNX model, MissingExtraError without onnx."""
        return signature(self.path)

    @cached_property
    def inputs(self) -> Shapes:
        """What has to be fed; sizes that may be any are 1."""
        return {name: tuple(size or 1 for size in shape) for name, shape in self.signature.inputs.items()}

    def key(self, layer: Layer, final: bool) -> str | None:
        """The name of the value that is what a Caffe layer gives: of its blob, if no later layer works in place."""
        name = layer.outputs[0]
        return name if final and name in self.signature.values else None


Model = Subject | OnnxFile


def model(given: Net | Model | str | os.PathLike[str]) -> Model:
    """A network as it is, or an ``.onnx`` by its name."""
    if isinstance(given, Net):
        return Subject(given)
    if isinstance(given, Subject | OnnxFile):
        return given
    return OnnxFile(Path(given))


def counterparts(first: Model, second: Model) -> dict[str, str]:
    """Where both have the same value: names in the first, in order, and in the second.

    Layers of two networks are counterparts if they give the final value of the same blob, or else have the same name.
    """
    if isinstance(first, OnnxFile):
        if isinstance(second, OnnxFile):
            theirs = set(second.signature.values)
            return {name: name for name in first.signature.values if name in theirs}
        turned = counterparts(second, first)
        back = {ours: theirs for theirs, ours in turned.items()}
        return {name: back[name] for name in first.signature.values if name in back}
    found: dict[str, str] = {}
    for layer in first.graph.layers:
        if layer.outputs and layer.inputs:
            final = first.places.get(layer.outputs[0]) == layer.name
            key = second.key(layer, final)
            if key is not None:
                found[layer.name] = key
    return found
