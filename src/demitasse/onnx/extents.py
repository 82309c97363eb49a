"""Which sizes of a network vary from run to run: with the batch, or with what the layers before it find.

Shapes are worked out twice, for different batches and different numbers of regions; a size that differs is `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from demitasse.errors import NetError, OptionError
from demitasse.layers import UNKNOWN, Graph, MaybeShape, Shape, Shapes, infer, known, layer_type
from demitasse.onnx.call import FixedBatch

__all__ = ["Extents", "Given", "extents", "fed"]

HELD: Final = frozenset({"DummyData", "Parameter"})
"""Sources that hold what they give."""

REGIONS: Final = frozenset({"PSROIPooling", "ROIAlign", "ROIPooling"})
"""Types whose second input has a row for each region, whatever the batch."""

FOUND: Final = (17, 19)
"""Rows that a layer is taken to find whose result depends on values: any two numbers."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller says about inputs: a batch, and whole shapes by name."""

    batch: int | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Extents:
    """Shapes by blob, and of each layer's outputs. ``inputs``: of what is fed; ``shapes``: one instance of it all."""

    blobs: Mapping[str, Shape]
    outputs: tuple[tuple[Shape, ...], ...]
    inputs: Mapping[str, Shape]
    shapes: Shapes


def fed(graph: Graph) -> tuple[str, ...]:
    """Names of blobs that have to be given: of Input layers, and of those that would read data from somewhere."""
    sources = (layer for layer in graph.layers if not layer.inputs and layer.type not in HELD)
    return tuple(name for layer in sources for name in layer.outputs)


def extents(graph: Graph, given: Given, dynamic: bool) -> Extents:
    """Shapes for any batch (``dynamic``), for the one that is given, or for that of the file.

    FixedBatch if the batch cannot vary, NetError for inputs of unknown shape and for whatever makes no sense.
    """
    declared = declared_shapes(graph, given.shapes)
    if given.batch is not None:
        declared = resized(graph, declared, given.batch)
    first = inferred(graph, declared, FOUND[0])
    try:
        other = {name: (3 * shape[0], *shape[1:]) if shape else shape for name, shape in declared.items()}
        second = inferred(graph, other if dynamic else declared, FOUND[1])
    except NetError as error:
        raise FixedBatch(str(error)) if dynamic else error from None
    outputs = tuple(
        tuple(merged(a, b) for a, b in zip(x, y, strict=True))
        for x, y in zip(first.outputs, second.outputs, strict=True)
    )
    if dynamic:
        check(graph, outputs)
    blobs = {name: merged(shape, second.blobs[name]) for name, shape in first.blobs.items()}
    return Extents(blobs, outputs, {name: blobs[name] for name in declared}, first)


def declared_shapes(graph: Graph, given: Mapping[str, Sequence[int]]) -> dict[str, Shape]:
    """Of what has to be fed. NetError if neither the file nor the caller says, OptionError for what is no input."""
    for name in given:
        if name not in fed(graph):
            raise OptionError(f'a shape is given for "{name}"; the inputs are {", ".join(fed(graph)) or "none"}')
    shapes = infer(graph, given, strict=False).blobs
    found: dict[str, Shape] = {}
    for layer in graph.layers:
        for name in layer.outputs if not layer.inputs and layer.type not in HELD else ():
            shape = shapes.get(name)
            if not known(shape):
                raise NetError(
                    f'{layer}: the shape of "{name}" is not known; give a deploy prototxt, or --shape {name}=1x3x…'
                )
            if 0 in shape:
                raise NetError(f'{layer}: the shape of "{name}" is {"×".join(map(str, shape))}: nothing is in it')
            found[name] = shape
    return found


def resized(graph: Graph, declared: Mapping[str, Shape], batch: int) -> dict[str, Shape]:
    """Another batch: for every input that has as many rows as the first, and that is no list of regions."""
    regions = {layer.inputs[1] for layer in graph.layers if layer.type in REGIONS}
    rows = next((shape[0] for shape in declared.values() if shape), 0)
    return {
        name: (batch, *shape[1:]) if shape and shape[0] == rows and name not in regions else shape
        for name, shape in declared.items()
    }


def inferred(graph: Graph, inputs: Mapping[str, Shape], rows: int) -> Shapes:
    """All shapes, with that many rows wherever only running tells how many."""
    given: dict[str, Shape] = dict(inputs)
    before = infer(graph, given)
    for layer, shapes in zip(graph.layers, before.outputs, strict=True):
        if not layer_type(layer.type).depends_on_values:
            continue
        for name, shape in zip(layer.outputs, shapes, strict=True):
            if shape is not None:
                axis = 2 if shape[-1:] == (7,) or layer.type == "DetectionEvaluate" else 0
                given[name] = (*shape[:axis], rows, *shape[axis + 1 :])
    return infer(graph, given)


def merged(a: MaybeShape, b: MaybeShape) -> Shape:
    """A shape in which sizes that differ are unknown."""
    if a is None or b is None or len(a) != len(b):
        raise NetError("the shape of a blob is not known")
    return tuple(x if x == y else UNKNOWN for x, y in zip(a, b, strict=True))


def check(graph: Graph, outputs: tuple[tuple[Shape, ...], ...]) -> None:
    """FixedBatch unless the batch is the first axis everywhere."""
    for layer, shapes in zip(graph.layers, outputs, strict=True):
        if layer_type(layer.type).depends_on_values:
            continue
        for shape in shapes:
            if any(size is UNKNOWN for size in shape[1:]):
                raise FixedBatch(f"{layer}: the batch does not stay the first axis of its output")
