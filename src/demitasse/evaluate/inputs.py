"""What to feed a network: pictures where it wants pictures, something sensible everywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import Picture
from demitasse.errors import NetError
from demitasse.evaluate.preprocessing import Preprocessing

__all__ = ["feeds", "is_picture", "noise", "picture_shape", "place_in"]

Shape = tuple[int, ...]
Feed = dict[str, npt.NDArray[np.float32]]


def picture_shape(inputs: Mapping[str, Shape]) -> Shape:
    """The shape of the first four-dimensional input, as a batch of one. NetError if there is none."""
    for shape in inputs.values():
        if is_picture(shape):
            return (1, *shape[1:])
    known = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in inputs.items())
    raise NetError(f"the network has no input for pictures ({known or 'it declares no inputs'})")


def feeds(
    inputs: Mapping[str, Shape], pictures: Sequence[tuple[str, Picture]], prepare: Preprocessing, batch: int = 1
) -> list[Feed]:
    """One set of inputs for each picture, the picture repeated to fill a batch.

    Further picture inputs get the pictures that follow. ``im_info`` (Faster R-CNN) is height, width and scale 1,
    ``rois`` the whole picture and its quarters, all else normal noise that depends on the picture's number only.
    """
    _, _, height, width = picture_shape(inputs)
    out = []
    for i in range(len(pictures)):
        feed: Feed = {}
        ordinal = i
        for name, shape in inputs.items():
            if is_picture(shape):
                one = prepare(pictures[ordinal % len(pictures)][1], (1, *shape[1:]))
                feed[name] = np.repeat(one, batch, axis=0)
                ordinal += 1
            else:
                feed[name] = place_in(name, shape, height, width, np.random.default_rng(i))
        out.append(feed)
    return out


def noise(inputs: Mapping[str, Shape], seed: int, ordinal: int, batch: int = 1) -> Feed:
    """One set of inputs: normal noise that depends on the seed and the set's number only, pictures as a batch of
    ``batch``; but ``im_info`` and ``rois`` as in `feeds`."""
    random = np.random.default_rng([seed, ordinal])
    height, width = next((shape[2:] for shape in inputs.values() if is_picture(shape)), (1, 1))
    feed: Feed = {}
    for name, shape in inputs.items():
        if is_picture(shape):
            feed[name] = random.standard_normal((batch, *shape[1:])).astype(np.float32)
        else:
            feed[name] = place_in(name, shape, height, width, random)
    return feed


def is_picture(shape: Shape) -> bool:
    """Whether an input of that shape may take a picture."""
    return len(shape) == 4 and all(size > 0 for size in shape[1:])


def place_in(name: str, shape: Shape, height: int, width: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """An input that is no picture."""
    if name == "im_info":
        return np.array([[height, width, 1][: shape[-1]]], np.float32)
    if name == "rois":
        return regions(height, width)
    return random.standard_normal(shape or (1,)).astype(np.float32)


def regions(height: int, width: int) -> npt.NDArray[np.float32]:
    """The whole picture and its quarters, as rows (0, left, top, right, bottom)."""
    halves = [(0, 0, 1, 1), (0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]
    corners = np.array(halves) * [width - 1, height - 1, width - 1, height - 1]
    return np.hstack([np.zeros((len(halves), 1)), corners]).astype(np.float32)
