"""Layers that change how large a picture is, by copying or interpolating."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from demitasse.onnx.call import Call, Result

__all__ = ["bilinear", "interp", "pad", "padding", "resize", "resize_bilinear", "unpool", "upsample"]

PADDINGS = {"0": "constant", "1": "edge", "2": "reflect", "REPLICATE": "edge", "REFLECT": "reflect"}


def interpolated(call: Call, x: str, size: Sequence[int], coordinates: str) -> str:
    """Bilinear interpolation of planes.

    All four sizes are given: ONNX Runtime mistakes a list of two with ``axes`` where it moves a Transpose past it.
    """
    height, width = (call.known(length, "the size of its output depends on the batch") for length in size)
    planes = call.slice(call.op("Shape", x), 0, 0, 2)
    sizes = call.op("Concat", planes, call.integers(height, width), axis=0)
    return call.op("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode=coordinates)


def framed(call: Call, sides: Sequence[int], mode: str = "constant", value: float = 0.0) -> str:
    """Rows above and below, columns left and right; fewer where negative."""
    above, below, left, right = sides
    if not any(sides):
        return call.x
    pads = call.integers(0, 0, above, left, 0, 0, below, right)
    constant = (call.floats(value),) if mode == "constant" else ()
    return call.op("Pad", call.x, pads, *constant, mode=mode)


def interp(call: Call) -> Result:
    """Bilinear, corners aligned. Negative padding crops first."""
    edge = (call.param.integer("pad_beg"), call.param.integer("pad_end"))
    return interpolated(call, framed(call, edge * 2), call.outputs[0][2:], "align_corners")


def bilinear(call: Call) -> Result:
    """Bilinear, corners aligned unless the file says otherwise."""
    mode = "align_corners" if call.param.flag("align_corners", True) else "half_pixel"
    return interpolated(call, call.x, call.outputs[0][2:], mode)


def resize(call: Call) -> Result:
    """Bilinear from the upper left corner; what lies behind the last row and column counts as zero.

    ONNX's Resize cannot count so: two products with the shares that pixels have in one another can.
    """
    pairs = zip(call.shape[2:], call.outputs[0][2:], strict=True)
    down, across = (shares(call.known(old, "the size of its input varies"), new) for old, new in pairs)
    return call.op("MatMul", call.op("MatMul", call.floats(down), call.x), call.floats(across.T))


def shares(old: int, new: int) -> npt.NDArray[np.float32]:
    """What each of the old pixels on a line counts in each of the new ones: new × old."""
    at = np.arange(new, dtype=np.float32) * np.float32(old / new)
    low = np.minimum(at.astype(np.int64), old - 1)
    share = at - low
    matrix = np.zeros((new, old + 1), np.float32)
    matrix[np.arange(new), low] = 1 - share
    matrix[np.arange(new), low + 1] += share
    return matrix[:, :old]


def resize_bilinear(call: Call) -> Result:
    """Bilinear as TensorFlow has it, of planes or (``data_format: NHWC``, the default) of pixels."""
    param, shape = call.param, call.outputs[0]
    half = param.flag("half_pixel_centers") or param.flag("pytorch_half_pixel")
    mode = "align_corners" if param.flag("align_corners") else "half_pixel" if half else "asymmetric"
    if param.string("data_format", "NHWC") == "NCHW":
        return interpolated(call, call.x, shape[2:], mode)
    planes = call.op("Transpose", call.x, perm=(0, 3, 1, 2))
    return call.op("Transpose", interpolated(call, planes, shape[1:3], mode), perm=(0, 2, 3, 1))


def upsample(call: Call) -> Result:
    """With a mask, values back to where pooling found them; without, every pixel repeated."""
    if len(call.inputs) > 1:
        return unpool(call)
    y = call.x
    for axis in range(2, len(call.shape)):
        old, new = (call.known(s[axis], "the size of its input varies") for s in (call.shape, call.outputs[0]))
        if old != new:
            y = call.op("Gather", y, call.integers(*(place * old // new for place in range(new))), axis=axis)
    return y


def unpool(call: Call) -> Result:
    """Zeros, and each value where the second input says that it was in its plane."""
    height, width = call.outputs[0][2:]
    plane = call.known(height * width, "the size of its output varies")
    values, places = (call.op("Reshape", x, call.integers(-1, call.shape[2] * call.shape[3])) for x in call.inputs)
    planes = call.slice(call.op("Shape", values), 0, 0, 1)
    zero = call.nodes.onnx.helper.make_tensor("zero", call.nodes.onnx.TensorProto.FLOAT, (1,), (0.0,))
    sizes = call.op("Concat", planes, call.integers(plane), axis=0)
    empty = call.op("ConstantOfShape", sizes, value=zero)
    filled = call.op("ScatterElements", empty, call.to_integers(places), values, axis=1)
    return call.reshape(filled, call.outputs[0])


def padding(call: Call) -> Result:
    """Rows and columns of zeros around, or fewer where negative."""
    return framed(call, (call.param.integer("pad_beg"), call.param.integer("pad_end")) * 2)


def pad(call: Call) -> Result:
    """Rows and columns around: of one value, of the nearest pixel, or mirrored."""
    sides = [call.placed.size(f"pad_{side}") for side in ("u", "d", "l", "r")]
    said = call.param.string("pad_type", "CONSTANT")
    mode = PADDINGS.get(said, said.lower())
    if mode not in PADDINGS.values():
        call.refuse(f"pad_type {said}")
    return framed(call, sides, mode, call.param.number("pad_value"))
