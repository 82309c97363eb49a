"""What a network's outputs suffer from an error of each weight, on pictures: generated ones where none are given.

Generated pictures have the statistics of photographs; they go through the network forward and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from demitasse import layers
from demitasse.errors import NetError
from demitasse.evaluate.inputs import feeds, picture_shape
from demitasse.evaluate.pictures import generated
from demitasse.evaluate.preprocessing import preprocessing
from demitasse.net import Net
from demitasse.transforms.sensitivity import Sensitivity, estimate

__all__ = ["sensitivity"]

OPERATIONS: Final = 3e9
"""Multiply-accumulates of one pass forward over all pictures, about: some seconds."""

PICTURES: Final = (2, 32)
"""At least and at most so many."""

SMALLEST_SIDE: Final = 96
"""Pixels below which a picture is not shrunk to save time."""

Shapes = Mapping[str, tuple[int, ...]]


def sensitivity(net: Net) -> Sensitivity:
    """How much the outputs suffer from an error of each weight. NetError if the network cannot be run."""
    graph = layers.build(net)
    found = layers.infer(graph, strict=False)
    inputs = {name: shape for name in graph.inputs if (shape := known_shape(found.blobs.get(name))) is not None}
    if not inputs:
        raise NetError("the network has no inputs of known shape")
    operations = sum(count or 0 for count in found.macs) / max(1, next(iter(inputs.values()))[0])
    for shapes, share in smaller(inputs, operations):
        try:
            return estimate(graph.net, pictures_for(graph.net, shapes, operations * share))
        except NetError:
            if shapes is inputs:
                raise
    return estimate(graph.net, pictures_for(graph.net, inputs, operations))


def known_shape(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A batch of one; None if a size is not known."""
    if shape is None or not shape or any(size <= 0 for size in shape[1:]):
        return None
    return (1, *shape[1:])


def smaller(inputs: Shapes, operations: float) -> list[tuple[Shapes, float]]:
    """Input shapes to try, the one that costs least first, and the share of operations that each would take.

    A network that is convolutional throughout also runs on smaller pictures; others say so by an error."""
    out: list[tuple[Shapes, float]] = [(inputs, 1.0)]
    factor = 1
    while operations * out[-1][1] * PICTURES[0] > OPERATIONS:
        factor *= 2
        shapes = {name: shrunk(shape, factor) for name, shape in inputs.items()}
        if min(size for shape in shapes.values() for size in shape[2:]) < SMALLEST_SIDE:
            break
        out.append((shapes, 1 / factor**2))
    return out[::-1]


def shrunk(shape: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """A map with so much shorter sides; anything else as it is."""
    if len(shape) != 4:
        return shape
    return (*shape[:2], shape[2] // factor, shape[3] // factor)


def pictures_for(net: Net, shapes: Shapes, operations: float) -> list[dict[str, npt.NDArray[np.float32]]]:
    """Generated pictures, as many as time allows, as the network's inputs."""
    _, channels, height, width = picture_shape(shapes)
    least, most = PICTURES
    count = int(min(most, max(least, OPERATIONS // max(operations, 1))))
    return feeds(shapes, generated(count, height, width), preprocessing(net, channels))
