"""Convolution and its relatives, InnerProduct, Embed."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from demitasse.layers import count
from demitasse.layers.convolution import Convolution, SlidingWindow
from demitasse.layers.inner_product import InnerProduct
from demitasse.onnx.call import Call, Result

__all__ = ["convolution", "deconvolution", "embed", "im2col", "inner_product"]


def padding(placed: SlidingWindow) -> list[int]:
    """Zeros before each axis, then behind each. Where the picture is smaller than the kernel, Caffe still has one
    position, and reads zeros behind the picture."""
    before = [pad[0] for pad in placed.padding]
    behind = []
    for size, pad, extent in zip(placed.spatial, placed.padding, placed.extent, strict=True):
        lacking = extent - size - sum(pad)
        behind.append(pad[1] + (lacking if lacking > 0 else 0))
    return before + behind


def convolution(call: Call) -> Result:
    """Every input with the same weights."""
    placed = cast(Convolution, call.placed)
    weight = masked(call, 0)
    bias = (masked(call, 1),) if placed.bias else ()
    window = {
        "kernel_shape": placed.kernel,
        "strides": placed.stride,
        "dilations": placed.dilation,
        "group": placed.group,
        "pads": padding(placed),
    }
    return tuple(
        around(call, placed, which, lambda x: call.op("Conv", x, weight, *bias, **window))
        for which in range(len(call.inputs))
    )


def deconvolution(call: Call) -> Result:
    """Caffe's weights have the layout of ConvTranspose."""
    placed = cast(Convolution, call.placed)
    weight = call.weight(0)
    bias = (call.weight(1),) if placed.bias else ()
    window = {
        "kernel_shape": placed.kernel,
        "strides": placed.stride,
        "dilations": placed.dilation,
        "group": placed.group,
        "pads": [pad[0] for pad in placed.padding] + [pad[1] for pad in placed.padding],
    }
    return tuple(
        around(call, placed, which, lambda x: call.op("ConvTranspose", x, weight, *bias, **window))
        for which in range(len(call.inputs))
    )


def around(call: Call, placed: SlidingWindow, which: int, work: Callable[[str], str]) -> str:
    """ONNX has one axis before the channels and at least one behind them: others are joined for as long as it takes."""
    x, shape, axis = call.inputs[which], placed.inputs[which], placed.channel_axis
    if not placed.spatial:
        call.refuse("it has no spatial axes")
    if axis == 1:
        return work(x)
    joined = call.reshape(x, (count(shape, 0, axis), *shape[axis:]), shape)
    return call.reshape(work(joined), call.outputs[which], shape[:axis])


def masked(call: Call, index: int) -> str:
    """A weight, times its mask if it has one behind the layer's blobs."""
    own = 2 if call.param.flag("bias_term", True) else 1
    if call.layer.type not in ("CConvolution", "CInnerProduct") or own + index >= len(call.tensors):
        return call.weight(index)
    weight, mask = call.array(index), call.array(own + index)
    return call.store(weight * mask.reshape(weight.shape), call.names[index])


def im2col(call: Call) -> Result:
    """A convolution of each channel with as many kernels as it has elements, each of which picks one."""
    placed = cast(SlidingWindow, call.placed)
    size = count(placed.kernel)
    channels = call.known(placed.channels, "the number of channels depends on the batch")
    picks = np.tile(np.eye(size), (channels, 1)).reshape(channels * size, 1, *placed.kernel)
    weight = call.floats(picks)
    return around(
        call,
        placed,
        0,
        lambda x: call.op(
            "Conv",
            x,
            weight,
            kernel_shape=placed.kernel,
            strides=placed.stride,
            dilations=placed.dilation,
            group=channels,
            pads=padding(placed),
        ),
    )


def inner_product(call: Call) -> Result:
    """All axes before ``axis`` are rows, the others are summed over."""
    placed = cast(InnerProduct, call.placed)
    shape, first = call.shape, placed.first
    x = call.x
    if first <= 1 and (first, len(shape)) != (1, 2):
        x = call.op("Flatten", x, axis=first)
    elif first > 1:
        x = call.reshape(x, (count(shape, 0, first), count(shape, first)), shape)
    transposed = 0 if call.param.flag("transpose") else 1
    bias = (masked(call, 1),) if call.param.flag("bias_term", True) else ()
    y = call.op("Gemm", x, masked(call, 0), *bias, transB=transposed)
    return y if first == 1 else call.reshape(y, call.outputs[0], shape[:first])


def embed(call: Call) -> Result:
    """A row of the weights for each index."""
    y = call.op("Gather", call.weight(0), call.to_integers(call.x), axis=0)
    return call.op("Add", y, call.weight(1)) if call.param.flag("bias_term", True) else y
