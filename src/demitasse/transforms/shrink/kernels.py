"""Rows and columns of zeros around every filter: a 5×5 kernel with an empty ring is a 3×3 kernel with less padding.

What is cut off before and behind has to be taken from the padding before and behind, one dilation for each row. Caffe
pads both sides alike, so as much has to go from one side as from the other; without padding nothing can go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from demitasse.layers.convolution import Convolution
from demitasse.layers.tying import Tied
from demitasse.message import Message
from demitasse.net import Layer
from demitasse.transforms.shrink.patterns import blocks
from demitasse.transforms.sliced import sliced

__all__ = ["empty_border", "trimmed"]

SIDES = ("pad_t", "pad_b", "pad_l", "pad_r")


def trimmed(tied: Tied) -> tuple[Layer | None, str]:
    """The layer with a smaller kernel, or ``None``; and why an empty border stays ("" if there is none)."""
    placed, layer = tied.placed, tied.layer
    if not isinstance(placed, Convolution) or not layer.tensors or len(tied.products[0].blobs) > 1:
        return None, ""
    empty = empty_border(layer)
    if not any(map(sum, empty)):
        return None, ""
    sided = len(placed.kernel) == 2 and any(side in placed.param for side in SIDES)
    cuts: list[tuple[int, int]] = []
    for (before, behind), pads, step in zip(empty, placed.padding, placed.dilation, strict=True):
        room = (min(before, pads[0] // step), min(behind, pads[1] // step))
        cuts.append(room if sided else (min(room), min(room)))
    if not any(map(sum, cuts)):
        return None, "an empty border of its kernel stays: the padding does not allow to cut as much from both sides"
    window = tuple(slice(a, size - b) for (a, b), size in zip(cuts, placed.kernel, strict=True))
    kernel = tuple(len(range(size)[part]) for part, size in zip(window, placed.kernel, strict=True))
    padding = tuple(
        (p - a * d, q - b * d) for (p, q), (a, b), d in zip(placed.padding, cuts, placed.dilation, strict=True)
    )
    param = with_kernel(placed, kernel, padding, sided=sided)
    message = layer.message.set(placed.field, param)
    tensors = (sliced(layer.tensors[0], window=window), *layer.tensors[1:])
    return replace(layer, message=message, tensors=tensors), ""


def empty_border(layer: Layer) -> list[tuple[int, int]]:
    """For each axis of the kernel how many slices at its beginning and end are zero in all filters; one slice stays."""
    size = layer.tensors[0].shape[2:]
    used: npt.NDArray[np.bool_] = np.zeros(size, np.bool_)
    for _, values in blocks(layer.tensors[0]):
        used |= (values != 0).any(axis=(0, 1))
        if not any(map(sum, ends(used))):
            break
    return ends(used)


def ends(used: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """How many slices at the beginning and the end of each axis have nothing in them; none if nothing has."""
    if not used.any():
        return [(0, 0)] * used.ndim
    found: list[tuple[int, int]] = []
    for axis in range(used.ndim):
        axes = tuple(one for one in range(used.ndim) if one != axis)
        places = np.flatnonzero(used.any(axis=axes))
        found.append((int(places[0]), int(used.shape[axis] - 1 - places[-1])))
    return found


def with_kernel(placed: Convolution, kernel: Sequence[int], pads: Sequence[tuple[int, int]], *, sided: bool) -> Message:
    """The parameters with another kernel and padding, in the words that they use as far as these reach."""
    param = per_axis(placed.param, "kernel_size", ("kernel_h", "kernel_w"), kernel)
    if sided:
        for side, value in zip(SIDES, (*pads[0], *pads[1]), strict=True):
            param = param.set(side, value)
        return param
    return per_axis(param, "pad", ("pad_h", "pad_w"), [before for before, _ in pads])


def per_axis(param: Message, name: str, two: tuple[str, str], values: Sequence[int]) -> Message:
    """A size per axis: by its two names if these are used, once if all are alike, by its two names if there are two."""
    if any(one in param for one in two) or (len(values) == 2 and len(set(values)) > 1 and len(param.scalars(name)) < 2):
        param = param.remove(name)
        for one, value in zip(two, values, strict=True):
            param = param.set(one, value)
        return param
    if len(set(values)) == 1 and len(param.scalars(name)) < 2:
        return param.set(name, values[0])
    return param.set_all(name, values)
