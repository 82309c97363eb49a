"""What each layer type computes on one picture, and the adjoint of that: a table.

Enough of Caffe for an estimate: dropout does nothing, BatchNorm uses its stored statistics. Every array has Caffe's
shape, batch axis included. A `Result` holds the outputs, the adjoint (from gradients of the outputs to gradients of
the inputs), and, for a layer with large weights, how the squared gradients of these divide over rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from demitasse.message import Message
from demitasse.net import Layer
from demitasse.transforms.sensitivity.convolution import Geometry, back_projected, convolved, squared_gradient
from demitasse.transforms.sensitivity.feedback import Moments, extents
from demitasse.transforms.sensitivity.grid import WEIGHT_BITS, Array, Wide, exact, snapped
from demitasse.transforms.sensitivity.pointwise import POINTWISE, shift
from demitasse.transforms.sensitivity.pooling import POOLING
from demitasse.transforms.sensitivity.result import Marginals, Result
from demitasse.transforms.sensitivity.shaping import SHAPING

__all__ = ["KERNELS", "MATRICES", "OPERATORS", "Operator", "geometry_of", "weights_shape"]

Operator = Callable[[Layer, Sequence[Array]], Result]

BLOCK = 1 << 22
"""Weights of an inner product that are in double precision at once."""


def pair(options: Message, name: str, default: int) -> tuple[int, int]:
    """Vertical and horizontal value of ``kernel_size``, ``stride``, ``pad``: ``NAME_h`` and ``NAME_w``, or repeated."""
    stem = name.removesuffix("_size")
    if f"{stem}_h" in options or f"{stem}_w" in options:
        return options.integer(f"{stem}_h", default), options.integer(f"{stem}_w", default)
    values = options.integers(name) or (default,)
    return values[0], values[-1]


def geometry_of(layer: Layer, shape: tuple[int, ...], channels: int) -> Geometry:
    """How the layer's kernel walks; a depthwise type has as many groups as its input has channels."""
    options = layer.message.message("convolution_param")
    group = options.integer("group", 1)
    if "epthwise" in layer.type and "group" not in options:
        group = channels
    height, width = shape[-2:]
    return Geometry(
        (height, width), pair(options, "stride", 1), pair(options, "pad", 0), pair(options, "dilation", 1), group
    )


def weights_shape(layer: Layer) -> tuple[int, ...]:
    """Of the first tensor."""
    return layer.tensors[0].shape


def weights_of(layer: Layer, index: int = 0) -> Array:
    """A tensor on its grid."""
    weights = snapped(layer.tensors[index].array(), WEIGHT_BITS)
    layer.tensors[index].release()
    return weights


def bias_of(layer: Layer) -> Wide | float:
    """The bias, or zero."""
    return exact(snapped(layer.tensors[1].array().reshape(-1))) if len(layer.tensors) > 1 else 0.0


def convolution(layer: Layer, inputs: Sequence[Array]) -> Result:
    """Over every item of the batch."""
    (batch,) = inputs
    weights = weights_of(layer)
    geometry = geometry_of(layer, weights.shape, batch.shape[1])
    bias = np.reshape(bias_of(layer), (-1, 1, 1))
    out = np.stack([convolved(image, weights, geometry) + bias for image in batch])
    del weights  # on its grid again where it is needed again: kept, all of them would be a second copy of the network

    def adjoint(gradients: Sequence[Array]) -> Sequence[Wide]:
        weights = weights_of(layer)
        size = (batch.shape[2], batch.shape[3])
        return (np.stack([back_projected(item, weights, geometry, size) for item in gradients[0]]),)

    def weigh(gradients: Sequence[Array], together: int) -> Sequence[Marginals]:
        pairs = zip(batch, gradients[0], strict=True)
        return Marginals.sum(squared_gradient(image, item, geometry, together) for image, item in pairs), shift(
            gradients[0]
        )

    return Result((out,), adjoint, weigh)


def deconvolution(layer: Layer, inputs: Sequence[Array]) -> Result:
    """The adjoint of a convolution: its weights' first axis is the input's channels."""
    (batch,) = inputs
    weights = weights_of(layer)
    geometry = geometry_of(layer, weights.shape, batch.shape[1])
    size = geometry.grown(batch.shape[2], batch.shape[3])
    bias = np.reshape(bias_of(layer), (-1, 1, 1))
    out = np.stack([back_projected(image, weights, geometry, size) + bias for image in batch])

    def adjoint(gradients: Sequence[Array]) -> Sequence[Wide]:
        return (np.stack([convolved(item, weights, geometry) for item in gradients[0]]),)

    def weigh(gradients: Sequence[Array], together: int) -> Sequence[Marginals]:
        pairs = zip(batch, gradients[0], strict=True)
        return Marginals.sum(squared_gradient(item, image, geometry, together) for image, item in pairs), shift(
            gradients[0]
        )

    return Result((out,), adjoint, weigh)


def inner_product(layer: Layer, inputs: Sequence[Array]) -> Result:
    """A matrix from the axes after ``axis`` to the outputs, for every position of the axes before it."""
    (values,) = inputs
    options = layer.message.message("inner_product_param")
    axis = options.integer("axis", 1) % values.ndim
    transposed = options.flag("transpose")
    stored = layer.tensors[0].array().reshape(-1, layer.tensors[0].shape[-1])
    matrix = stored.T if transposed else stored
    flat = exact(values).reshape(-1, matrix.shape[1])
    blocks = [
        slice(i, i + max(1, BLOCK // matrix.shape[1])) for i in range(0, len(matrix), max(1, BLOCK // matrix.shape[1]))
    ]

    def block(part: slice) -> Wide:
        weights = exact(snapped(matrix[part], WEIGHT_BITS))
        layer.tensors[0].release()
        return weights

    product = np.concatenate([flat @ block(part).T for part in blocks], axis=1)
    out = (product + bias_of(layer)).reshape(*values.shape[:axis], len(matrix))

    def adjoint(gradients: Sequence[Array]) -> Sequence[Wide]:
        incoming = exact(gradients[0]).reshape(-1, len(matrix))
        back = np.zeros(flat.shape)
        for part in blocks:
            back += incoming[:, part] @ block(part)
        return (back.reshape(values.shape),)

    def moments(gradients: Sequence[Array], together: int) -> Moments | None:
        if not together:
            return None
        incoming = exact(gradients[0]).reshape(-1, len(matrix))
        alike = exact(snapped(incoming @ incoming.T))  # of positions
        blocks = extents(matrix.shape[1], 1, together)
        parts = ((block, exact(snapped(alike @ flat[:, block]))) for block in blocks)
        return Moments(tuple(flat[:, block].T @ part for block, part in parts), len(flat))

    def weigh(gradients: Sequence[Array], together: int) -> Sequence[Marginals]:
        square_in = exact(snapped(flat * flat))
        square_out = exact(snapped(exact(gradients[0]).reshape(-1, len(matrix)) ** 2))
        outputs = (square_out * square_in.sum(axis=1, keepdims=True)).sum(axis=0)
        inputs = (square_in * square_out.sum(axis=1, keepdims=True)).sum(axis=0)
        weights = Marginals(inputs, outputs) if transposed else Marginals(outputs, inputs, moments(gradients, together))
        return weights, Marginals.of_vector(square_out.sum(axis=0))

    return Result((out,), adjoint, weigh)


KERNELS = frozenset({"CConvolution", "Convolution", "ConvolutionDepthwise", "DepthwiseConvolution"})
MATRICES = frozenset({"CInnerProduct", "InnerProduct"})

OPERATORS: Mapping[str, Operator] = {
    **dict.fromkeys(KERNELS, convolution),
    **dict.fromkeys(MATRICES, inner_product),
    "Deconvolution": deconvolution,
    **POINTWISE,
    **SHAPING,
    **POOLING,
}
"""Layer types that can be run. Any other is opaque: what enters it counts as an output of the network."""
