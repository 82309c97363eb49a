"""What a network's outputs suffer from an error of each weight, on pictures: generated ones where none are given.

Generated pictures have the statistics of photographs. What they cannot know is what a network was made for: on images
of that kind it is known better which errors do no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from demitasse import layers
from demitasse.errors import NetError
from demitasse.evaluate.inputs import feeds, picture_shape
from demitasse.evaluate.pictures import generated
from demitasse.evaluate.preprocessing import preprocessing
from demitasse.evaluate.shown import Shown, fed
from demitasse.net import Net
from demitasse.transforms.sensitivity import Sensitivity, estimate

__all__ = ["on_generated", "sensitivity"]

OPERATIONS: Final = 3e9
"""Multiply-accumulates of one pass forward over all pictures, about: some seconds."""

PICTURES: Final = (2, 128)
"""At least and at most so many are generated."""

OPERATIONS_ON_IMAGES: Final = 2e11
"""The same for images that are given: a minute or two. Of more than that some are looked at."""

SMALLEST_SIDE: Final = 96
"""Pixels below which a picture is not shrunk to save time."""

Shapes = Mapping[str, tuple[int, ...]]
Feed = dict[str, npt.NDArray[np.float32]]
T = TypeVar("T")


def sensitivity(net: Net, images: Shown | None = None, *, held_out: bool = False) -> Sensitivity:
    """How much the outputs suffer from an error of each weight, on these images or on generated pictures.

    ``images`` without a folder are generated, too. ``held_out``: every other image is left for a judge to look at.
    Images need no labels: 32 to 512 of what the network is going to see. The result is the same on every machine,
    whatever the threads. NetError if the network cannot be run, FileError for images that cannot be read.
    """
    if images is None or images.folder is None:
        return on_generated(net, estimate)
    return on_images(net, images, 2 if held_out else 1)


def on_images(net: Net, images: Shown, every: int) -> Sensitivity:
    """The same on images alone: on the first of ``every`` so many, on fewer if time is short."""
    graph = layers.build(net)
    found = layers.infer(graph, strict=False)
    inputs = inputs_of(graph, found.blobs)
    given = fed(images, net, inputs).feeds[::every]
    operations = sum(count or 0 for count in found.macs) / max(1, next(iter(inputs.values()))[0])
    most = max(1, int(OPERATIONS_ON_IMAGES // max(operations, 1)))
    return estimate(graph.net, given[:: -(-len(given) // most)])


def inputs_of(graph: layers.Graph, blobs: Mapping[str, tuple[int, ...] | None]) -> Shapes:
    """Of known shape, as a batch of one. NetError if there are none."""
    inputs = {name: shape for name in graph.inputs if (shape := known_shape(blobs.get(name))) is not None}
    if not inputs:
        raise NetError("the network has no inputs of known shape")
    return inputs


def on_generated(net: Net, run: Callable[[Net, list[Feed]], T], *, effort: float = 1.0, seed: int = 0) -> T:
    """What ``run`` makes of the layers of the test phase and generated pictures, smaller ones where the network takes
    them and time is short. ``effort``: how much time, over what sensitivities take. NetError if it cannot be run."""
    graph = layers.build(net)
    found = layers.infer(graph, strict=False)
    inputs = inputs_of(graph, found.blobs)
    operations = sum(count or 0 for count in found.macs) / max(1, next(iter(inputs.values()))[0]) / effort
    for shapes, share in smaller(inputs, operations):
        try:
            return run(graph.net, pictures_for(graph.net, shapes, operations * share, seed))
        except NetError:
            if shapes is inputs:
                raise
    raise NetError("the network cannot be run on generated pictures")


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


def pictures_for(net: Net, shapes: Shapes, operations: float, seed: int) -> list[Feed]:
    """Generated pictures, as many as time allows, as the network's inputs."""
    _, channels, height, width = picture_shape(shapes)
    least, most = PICTURES
    count = int(min(most, max(least, OPERATIONS // max(operations, 1))))
    return feeds(shapes, generated(count, height, width, seed), preprocessing(net, channels))
