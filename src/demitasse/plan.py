"""What to do to a network so that it becomes small: today, which step each tensor is quantised with.

    smaller = compress(load("deploy.prototxt", "face.caffemodel"))

No data is needed: generated pictures with the statistics of photographs go through the network, and tell how much its
outputs suffer from an error of each weight.
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
from demitasse.net import Net, Note
from demitasse.transforms.allocation import Allocation
from demitasse.transforms.quantize import Progress, Quantize
from demitasse.transforms.sensitivity import Sensitivity, estimate

__all__ = ["QUALITY", "compress", "sensitivity"]

QUALITY: Final = 41.0
"""Decibels of signal to noise at the outputs, by default. On photographs it comes out 3 to 8 dB better than asked for.

At 40 dB the res10 face detector finds the same faces on all photos that were tried, at 38 dB one of 160 moves.
"""

OPERATIONS: Final = 3e9
"""Multiply-accumulates of one pass forward over all pictures, about: some seconds."""

PICTURES: Final = (2, 32)
"""At least and at most so many."""

SMALLEST_SIDE: Final = 96
"""Pixels below which a picture is not shrunk to save time."""

Shapes = Mapping[str, tuple[int, ...]]


def compress(
    net: Net,
    quality: float = QUALITY,
    *,
    allocation: Allocation = "sensitivity",
    threads: int = 1,
    progress: Progress | None = None,
) -> Net:
    """The network with quantised weights, ready to be stored small. Notes in its report say what was done.

    ``quality``: signal to noise at the outputs in dB, on photographs about what comes out. ``allocation``: "uniform"
    for one absolute step for the whole network. ``progress`` is told how many weights are done, and of how many.
    The same network and options give the same result on every machine, whatever ``threads``.
    """
    known, notes = Sensitivity(), list[Note]()
    try:
        known = sensitivity(net)
    except NetError as error:
        notes.append(Note("quantize", "", f"sensitivities are not known, all weights count alike: {error}"))
    quantized = Quantize(quality, known, allocation, threads=threads, progress=progress)(net)
    return quantized.noting(*notes)


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
