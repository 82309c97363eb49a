"""Layers that move, join, cut or repeat elements and change none."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.layers.rearrange import Concat, Slice
from demitasse.runtime.operation import Call

__all__ = [
    "concat",
    "crop",
    "crop_center",
    "permute",
    "pixel_shuffle",
    "reorg",
    "reshape",
    "shuffle_channel",
    "slices",
    "tile",
]


def reshape(call: Call) -> torch.Tensor:
    """Flatten, Reshape, Unsqueeze: the same elements in another shape; or, in some forks, pixels shuffled."""
    factor = call.param.integer("pixelshuffler")
    return F.pixel_shuffle(call.x, factor) if factor else call.x.reshape(call.shape)


def concat(call: Call) -> torch.Tensor:
    """Inputs one behind the other along an axis."""
    return torch.cat(call.inputs, call.of(Concat).along("concat_dim"))


def slices(call: Call) -> tuple[torch.Tensor, ...]:
    """The input cut along an axis."""
    axis = call.of(Slice).along("slice_dim")
    return torch.split(call.x, [shape[axis] for shape in call.shapes if shape is not None], axis)


def crop(call: Call) -> torch.Tensor:
    """The first input cut to the size of the second, from ``axis`` on."""
    x = call.x
    first = call.placed.axis(call.param.integer("axis", 2), call.placed.inputs[0])
    offsets = call.placed.sizes("offset") or (0,)
    for i in range(x.dim() - first):
        x = x.narrow(first + i, offsets[i] if len(offsets) > 1 else offsets[0], call.shape[first + i])
    return x


def crop_center(call: Call) -> torch.Tensor:
    """As much as ``crop_size`` says from both ends of each axis."""
    x = call.x
    for axis, cut in enumerate(call.placed.sizes("crop_size")):
        x = x.narrow(axis, cut, call.shape[axis])
    return x


def tile(call: Call) -> torch.Tensor:
    """The input repeated along an axis."""
    axis = call.placed.axis(call.param.integer("axis", 1), call.placed.inputs[0])
    return torch.cat([call.x] * call.placed.positive("tiles"), axis)


def permute(call: Call) -> torch.Tensor:
    """Axes in another order; those that ``order`` leaves out follow as they were."""
    order = call.placed.sizes("order")
    return call.x.permute(*order, *(axis for axis in range(call.x.dim()) if axis not in order))


def shuffle_channel(call: Call) -> torch.Tensor:
    """Channels of the groups interleaved."""
    group = call.placed.positive("group", 1)
    images, channels = call.x.shape[:2]
    return call.x.reshape(images, group, channels // group, -1).transpose(1, 2).reshape(call.x.shape)


def pixel_shuffle(call: Call) -> torch.Tensor:
    """Channels become squares of pixels."""
    return F.pixel_shuffle(call.x, call.placed.positive("upscale_factor"))


def reorg(call: Call) -> torch.Tensor:
    """Squares of pixels become channels, or back, as Darknet counts: the memory of the larger side is read as if it had
    fewer channels and larger pictures (``src/blas.c``, ``reorg_cpu``).

    No gradient passes, since none does in the Caffe layer (MobileNet-YOLO), whose backward pass copies zeros.
    """
    step = call.placed.positive("stride")
    images, channels, height, width = call.x.shape
    if channels % (step * step):
        call.placed.refuse(f"reads {channels} channels; a stride of {step} needs a multiple of {step * step}")
    fewer = channels // (step * step)
    if call.param.flag("reverse"):
        squares = call.x.detach().reshape(images, step, step, fewer, height, width)
        return squares.permute(0, 3, 4, 1, 5, 2).reshape(call.shape)
    pictures = call.x.detach().reshape(images, fewer, height, step, width, step)
    return pictures.permute(0, 3, 5, 1, 2, 4).reshape(call.shape)
