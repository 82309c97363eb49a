"""Layers that move, join, cut, pick or repeat elements and change none."""

from __future__ import annotations

from typing import cast

from demitasse.layers.rearrange import Concat
from demitasse.onnx.call import Call, Result

__all__ = [
    "batch_reindex",
    "concat",
    "crop",
    "crop_center",
    "filter_rows",
    "flatten",
    "permute",
    "pixel_shuffle",
    "reorg",
    "reshape",
    "shuffle_channel",
    "slices",
    "tile",
    "unsqueeze",
]


def reshape(call: Call) -> Result:
    """The same elements in another shape; or, in some forks, pixels shuffled."""
    factor = call.param.integer("pixelshuffler")
    if factor:
        return call.op("DepthToSpace", call.x, blocksize=factor, mode="CRD")
    return call.reshape(call.x, call.outputs[0], call.shape)


def flatten(call: Call) -> Result:
    """The axes from ``axis`` to ``end_axis`` become one."""
    first = call.placed.axis(call.param.integer("axis", 1), call.shape)
    last = call.placed.axis(call.param.integer("end_axis", -1), call.shape)
    if first == 1 and last == len(call.shape) - 1:
        return call.op("Flatten", call.x, axis=1)
    return call.reshape(call.x, call.outputs[0], call.shape)


def unsqueeze(call: Call) -> Result:
    """One more axis of size 1."""
    return call.op("Unsqueeze", call.x, call.integers(call.param.integer("dim")))


def permute(call: Call) -> Result:
    """Axes in another order; those that ``order`` leaves out follow as they were."""
    order = call.placed.sizes("order")
    rest = (axis for axis in range(len(call.shape)) if axis not in order)
    return call.op("Transpose", call.x, perm=(*order, *rest))


def concat(call: Call) -> Result:
    """Inputs one behind the other along an axis."""
    return call.op("Concat", *call.inputs, axis=cast(Concat, call.placed).along("concat_dim"))


def slices(call: Call) -> Result:
    """The input cut along an axis."""
    axis = cast(Concat, call.placed).along("slice_dim")
    sizes = [call.known(shape[axis], "it cuts the batch into parts") for shape in call.outputs]
    return call.ops("Split", len(sizes), call.x, call.integers(*sizes), axis=axis)


def crop(call: Call) -> Result:
    """The first input cut to the size of the second, from ``axis`` on."""
    first = call.placed.axis(call.param.integer("axis", 2), call.shape)
    offsets = call.placed.sizes("offset") or (0,)
    axes = range(first, len(call.shape))
    starts = [offsets[i] if len(offsets) > 1 else offsets[0] for i in range(len(axes))]
    sizes = [call.known(call.outputs[0][axis], "it cuts the batch") for axis in axes]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    return call.op("Slice", call.x, *(call.integers(*bounds) for bounds in (starts, ends, axes)))


def crop_center(call: Call) -> Result:
    """As much as ``crop_size`` says from both ends of each axis."""
    cuts = {axis: cut for axis, cut in enumerate(call.placed.sizes("crop_size")) if cut}
    if not cuts:
        return call.x
    bounds = (cuts.values(), (-cut for cut in cuts.values()), cuts)
    return call.op("Slice", call.x, *(call.integers(*values) for values in bounds))


def tile(call: Call) -> Result:
    """The input repeated along an axis."""
    repeats = [1] * len(call.shape)
    repeats[call.placed.axis(call.param.integer("axis", 1), call.shape)] = call.placed.positive("tiles")
    return call.op("Tile", call.x, call.integers(*repeats))


def shuffle_channel(call: Call) -> Result:
    """Channels of the groups interleaved."""
    group = call.placed.positive("group", 1)
    images, channels, *rest = call.shape
    groups = call.reshape(call.x, (images, group, channels // group, *rest))
    swapped = call.op("Transpose", groups, perm=(0, 2, 1, *range(3, 3 + len(rest))))
    return call.reshape(swapped, call.outputs[0])


def pixel_shuffle(call: Call) -> Result:
    """Channels become squares of pixels."""
    return call.op("DepthToSpace", call.x, blocksize=call.placed.positive("upscale_factor"), mode="CRD")


def reorg(call: Call) -> Result:
    """Squares of pixels become channels, or back, as Darknet counts: the memory of the larger side is read as if it had
    fewer channels and larger pictures (``src/blas.c``, ``reorg_cpu``)."""
    step = call.placed.positive("stride")
    images, channels, height, width = call.shape
    if channels % (step * step):
        call.refuse(f"{channels} channels are not a multiple of its squared stride, {step * step}")
    fewer = channels // (step * step)
    if call.param.flag("reverse"):
        squares = call.reshape(call.x, (images, step, step, fewer, height, width))
        return call.reshape(call.op("Transpose", squares, perm=(0, 3, 4, 1, 5, 2)), call.outputs[0])
    pictures = call.reshape(call.x, (images, fewer, height, step, width, step))
    return call.reshape(call.op("Transpose", pictures, perm=(0, 3, 5, 1, 2, 4)), call.outputs[0])


def filter_rows(call: Call) -> Result:
    """The rows of each input for which the last input is not zero."""
    *blobs, selector = call.inputs
    chosen = call.op("Cast", call.op("Reshape", selector, call.integers(-1)), to=call.nodes.onnx.TensorProto.BOOL)
    return tuple(call.op("Compress", blob, chosen, axis=0) for blob in blobs)


def batch_reindex(call: Call) -> Result:
    """Rows by index."""
    return call.op("Gather", call.x, call.to_integers(call.inputs[1]), axis=0)
