"""Layers that change how large a picture is, by copying or interpolating."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.runtime.operation import Call
from demitasse.runtime.windows import padded

__all__ = ["bilinear", "interp", "pad", "padding", "resize", "resize_bilinear", "unpool", "upsample"]

PADDINGS = {"0": "constant", "1": "replicate", "2": "reflect"}


def interp(call: Call) -> torch.Tensor:
    """Bilinear, corners aligned. Negative padding crops first."""
    edge = (call.param.integer("pad_beg"), call.param.integer("pad_end"))
    return interpolated(padded(call.x, (edge, edge)), call.shape[2:], corners=True)


def bilinear(call: Call) -> torch.Tensor:
    """Bilinear, corners aligned unless the file says otherwise."""
    return interpolated(call.x, call.shape[2:], corners=call.param.flag("align_corners", True))


def resize(call: Call) -> torch.Tensor:
    """Bilinear from the upper left corner; what lies behind the last row and column counts as zero."""
    rows = from_corner(call.x, 2, call.shape[2], behind=0.0)
    return from_corner(rows, 3, call.shape[3], behind=0.0)


def resize_bilinear(call: Call) -> torch.Tensor:
    """Bilinear as TensorFlow has it, of planes or (``data_format: NHWC``, the default) of pixels."""
    param = call.param
    last = param.string("data_format", "NHWC") != "NCHW"
    x = call.x.permute(0, 3, 1, 2) if last else call.x
    size = call.shape[1:3] if last else call.shape[2:]
    if param.flag("align_corners") or param.flag("half_pixel_centers") or param.flag("pytorch_half_pixel"):
        y = interpolated(x, size, corners=param.flag("align_corners"))
    else:
        y = from_corner(from_corner(x, 2, size[0]), 3, size[1])
    return y.permute(0, 2, 3, 1) if last else y


def interpolated(x: torch.Tensor, size: tuple[int, ...], *, corners: bool) -> torch.Tensor:
    """Bilinear interpolation. ``corners``: the outermost pixels' centres stay in place, else the picture's edges."""
    return F.interpolate(x, size, mode="bilinear", align_corners=corners)


def from_corner(x: torch.Tensor, axis: int, size: int, behind: float = 1.0) -> torch.Tensor:
    """Linear interpolation along an axis, where new pixel i is at i times the factor. Behind the last pixel there are
    copies of it, times ``behind``."""
    length = x.shape[axis]
    at = torch.arange(size, dtype=x.dtype, device=x.device) * (length / size)
    low = at.long().clamp(max=length - 1)
    high = (low + 1).clamp(max=length - 1)
    spread = (-1, *(1,) * (x.dim() - 1 - axis))
    share = (at - low).reshape(spread)
    kept = torch.where(low + 1 < length, 1.0, behind).to(x).reshape(spread)
    return torch.lerp(x.index_select(axis, low), x.index_select(axis, high) * kept, share)


def upsample(call: Call) -> torch.Tensor:
    """With a mask, values back to where pooling found them; without, every pixel repeated."""
    if len(call.inputs) > 1:
        return unpool(call)
    x = call.x
    for axis in range(2, x.dim()):
        size = call.shape[axis]
        if size % x.shape[axis] == 0:
            x = x.repeat_interleave(size // x.shape[axis], axis)
        else:
            x = x.index_select(axis, torch.arange(size, device=x.device) * x.shape[axis] // size)
    return x


def unpool(call: Call) -> torch.Tensor:
    """Zeros, and each value where the second input says that it was in its plane."""
    x, places = call.x, call.inputs[1].detach().long()
    plane = call.shape[2] * call.shape[3]
    if places.shape != x.shape:
        call.placed.refuse("its two inputs should have one shape")
    if places.numel() and not 0 <= int(places.min()) <= int(places.max()) < plane:
        call.placed.refuse(f"a position in its mask is outside of the {call.shape[2]}×{call.shape[3]} output")
    empty = x.new_zeros((*x.shape[:2], plane))
    return empty.scatter(2, places.flatten(2), x.flatten(2)).reshape(call.shape)


def padding(call: Call) -> torch.Tensor:
    """Rows and columns of zeros around, or fewer where negative."""
    edge = (call.param.integer("pad_beg"), call.param.integer("pad_end"))
    return padded(call.x, (edge, edge))


def pad(call: Call) -> torch.Tensor:
    """Rows and columns around: of one value, of the nearest pixel, or mirrored."""
    placed = call.placed
    sides = [placed.size(f"pad_{side}") for side in ("l", "r", "u", "d")]
    said = placed.param.string("pad_type", "CONSTANT")
    kind = PADDINGS.get(said, said.lower())
    if kind == "constant":
        return F.pad(call.x, sides, value=placed.param.number("pad_value"))
    if kind not in PADDINGS.values():
        placed.refuse(f"pad_type is {said}; CONSTANT, REPLICATE and REFLECT can be run")
    return F.pad(call.x, sides, mode=kind)
