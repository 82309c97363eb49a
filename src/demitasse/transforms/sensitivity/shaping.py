"""Layers that move numbers and change none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from demitasse.net import Layer
from demitasse.transforms.sensitivity.grid import Array, exact
from demitasse.transforms.sensitivity.result import Result, Values

__all__ = ["SHAPING"]


def reshaped(inputs: Sequence[Array], shape: tuple[int, ...]) -> Result:
    """The same numbers in another shape."""
    (x,) = inputs
    return Result((x.reshape(shape),), lambda gradients: (gradients[0].reshape(x.shape),))


def reshape(layer: Layer, inputs: Sequence[Array]) -> Result:
    """0 copies a dimension, -1 is what is left; ``axis`` and ``num_axes`` say which dimensions are replaced."""
    options = layer.message.message("reshape_param")
    old = inputs[0].shape
    start = options.integer("axis", 0)
    start = start + len(old) + 1 if start < 0 else start
    count = options.integer("num_axes", -1)
    stop = len(old) if count == -1 else start + count
    wanted = options.message("shape").integers("dim")
    middle = [old[start + i] if size == 0 else size for i, size in enumerate(wanted)]
    if start == 0 and middle and -1 in middle[1:] and middle[0] > 0:
        middle[0] = old[0]  # a batch size written into the shape: only one picture is run
    return reshaped(inputs, (*old[:start], *middle, *old[stop:]))


def flatten(layer: Layer, inputs: Sequence[Array]) -> Result:
    options = layer.message.message("flatten_param")
    old = inputs[0].shape
    start, stop = options.integer("axis", 1) % len(old), options.integer("end_axis", -1) % len(old)
    return reshaped(inputs, (*old[:start], int(np.prod(old[start : stop + 1])), *old[stop + 1 :]))


def permute(layer: Layer, inputs: Sequence[Array]) -> Result:
    (x,) = inputs
    order = list(layer.message.message("permute_param").integers("order"))
    order += [axis for axis in range(x.ndim) if axis not in order]
    return Result((x.transpose(order),), lambda gradients: (gradients[0].transpose(np.argsort(order)),))


def concat(layer: Layer, inputs: Sequence[Array]) -> Result:
    options = layer.message.message("concat_param")
    axis = options.integer("axis", options.integer("concat_dim", 1))
    ends = np.cumsum([x.shape[axis] for x in inputs])[:-1]
    return Result((np.concatenate(inputs, axis),), lambda gradients: np.split(gradients[0], ends, axis))


def slices(layer: Layer, inputs: Sequence[Array]) -> Result:
    (x,) = inputs
    options = layer.message.message("slice_param")
    axis = options.integer("axis", options.integer("slice_dim", 1))
    count, size = len(layer.outputs), x.shape[axis]
    points = options.integers("slice_point") or tuple(size // count * i for i in range(1, count))
    parts = np.split(x, points, axis)
    return Result(parts, lambda gradients: (np.concatenate(gradients, axis),))


def split(layer: Layer, inputs: Sequence[Array]) -> Result:
    (x,) = inputs
    return Result([x] * len(layer.outputs), lambda gradients: (np.sum([exact(g) for g in gradients], axis=0),))


def crop(layer: Layer, inputs: Sequence[Array]) -> Result:
    """The first input, at the size of the second from ``axis`` on."""
    x, like = inputs
    options = layer.message.message("crop_param")
    axis = options.integer("axis", 2) % x.ndim
    offsets = options.integers("offset") or (0,)
    window = [slice(None)] * x.ndim
    for i in range(axis, x.ndim):
        offset = offsets[i - axis] if len(offsets) > 1 else offsets[0]
        window[i] = slice(offset, offset + like.shape[i])
    return windowed(x, tuple(window), None)


def crop_center(layer: Layer, inputs: Sequence[Array]) -> Result:
    """A border of the same width off every side (waifu2x's own layer)."""
    (x,) = inputs
    sizes = layer.message.message("crop_center_param").integers("crop_size") or (0,)
    window = [slice(None)] * x.ndim
    for i in (2, 3):
        size = sizes[min(i - 2, len(sizes) - 1)]
        window[i] = slice(size, x.shape[i] - size)
    return windowed(x, tuple(window))


def windowed(x: Array, window: tuple[slice, ...], *others: None) -> Result:
    """A part of an array; ``others``: the gradients of inputs that only gave the size."""

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values | None]:
        whole = np.zeros(x.shape)
        whole[window] = gradients[0]
        return whole, *others

    return Result((x[window],), adjoint)


def shuffle_channel(layer: Layer, inputs: Sequence[Array]) -> Result:
    (x,) = inputs
    group = layer.message.message("shuffle_channel_param").integer("group", 1)

    def shuffled(values: Array, rows: int) -> Array:
        return values.reshape(x.shape[0], rows, -1, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)

    return Result((shuffled(x, group),), lambda gradients: (shuffled(gradients[0], x.shape[1] // group),))


SHAPING: Mapping[str, Callable[[Layer, Sequence[Array]], Result]] = {
    "Concat": concat,
    "Crop": crop,
    "CropCenter": crop_center,
    "Flatten": flatten,
    "Permute": permute,
    "Reshape": reshape,
    "ShuffleChannel": shuffle_channel,
    "Slice": slices,
    "Split": split,
}
