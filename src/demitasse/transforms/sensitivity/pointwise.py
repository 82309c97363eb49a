"""Layers that treat every number, or every channel, by itself: activations, normalisation by statistics, sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from demitasse.errors import NetError
from demitasse.net import Layer
from demitasse.transforms.sensitivity.grid import Array, Wide, exact, snapped
from demitasse.transforms.sensitivity.result import Marginals, Result, Values

__all__ = ["POINTWISE", "shift"]

Slope = tuple[Wide, Wide]
"""Values of a function and its derivative."""


def elementwise(function: Callable[[Layer, Wide], Slope]) -> Callable[[Layer, Sequence[Array]], Result]:
    """An operator from a function that gives values and derivatives."""

    def operator(layer: Layer, inputs: Sequence[Array]) -> Result:
        values, slope = function(layer, exact(inputs[0]))
        return Result((values,), lambda gradients: (gradients[0] * slope,))

    return operator


def relu(layer: Layer, x: Wide) -> Slope:
    slope = np.where(x > 0, 1.0, layer.message.message("relu_param").number("negative_slope"))
    return x * slope, slope


def relu6(layer: Layer, x: Wide) -> Slope:
    return np.clip(x, 0, 6), ((x > 0) & (x < 6)).astype(float)


def prelu(layer: Layer, inputs: Sequence[Array]) -> Result:
    """A slope a channel, or one for all, where negative."""
    x = exact(inputs[0])
    stored = layer.tensors[0].array()
    slope = np.where(x > 0, 1.0, along(stored, x, 1))

    def weigh(gradients: Sequence[Array], together: int) -> Sequence[Marginals]:
        per_channel = gain(gradients[0], np.minimum(x, 0))
        return (per_channel if stored.size == x.shape[1] else Marginals.of_vector(per_channel.rows.sum(keepdims=True)),)

    return Result((x * slope,), lambda gradients: (gradients[0] * slope,), weigh)


def elu(layer: Layer, x: Wide) -> Slope:
    alpha = layer.message.message("elu_param").number("alpha", 1.0)
    low = alpha * np.exp(np.minimum(x, 0))
    return np.where(x > 0, x, low - alpha), np.where(x > 0, 1.0, low)


def sigmoid(layer: Layer, x: Wide) -> Slope:
    y = 1 / (1 + np.exp(-np.clip(x, -60, 60)))
    return y, y * (1 - y)


def tanh(layer: Layer, x: Wide) -> Slope:
    y = np.tanh(x)
    return y, 1 - y * y


def swish(layer: Layer, x: Wide) -> Slope:
    y = 1 / (1 + np.exp(-np.clip(x, -60, 60)))
    return x * y, y + x * y * (1 - y)


def absolute(layer: Layer, x: Wide) -> Slope:
    return np.abs(x), np.sign(x)


def identity(layer: Layer, x: Wide) -> Slope:
    return x, np.ones(())


def bnll(layer: Layer, x: Wide) -> Slope:
    return np.logaddexp(0, x), 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def power(layer: Layer, x: Wide) -> Slope:
    options = layer.message.message("power_param")
    exponent, scale = options.number("power", 1.0), options.number("scale", 1.0)
    inner = options.number("shift") + scale * x
    if exponent == 1:
        return inner, np.full((), scale)
    with np.errstate(all="ignore"):
        return np.nan_to_num(inner**exponent), np.nan_to_num(scale * exponent * inner ** (exponent - 1))


def along(values: Wide, x: Wide, axis: int) -> Wide:
    """A vector or small array laid along the axes of ``x`` from ``axis``; a single number as it is."""
    flat = np.asarray(values, np.float64)
    if flat.size == 1:
        return flat.reshape(())
    shape = [1] * x.ndim
    left = flat.size
    for i in range(axis % x.ndim, x.ndim):
        shape[i] = x.shape[i]
        left //= x.shape[i]
        if left <= 1:
            break
    return flat.reshape(shape)


def shift(gradient: Array) -> Marginals:
    """Squared gradients of a number that is added to a channel, ``gradient`` being the sum's."""
    each = exact(gradient).sum(axis=tuple(range(2, gradient.ndim)))
    return Marginals.of_vector((each * each).sum(axis=0))


def batch_norm(layer: Layer, inputs: Sequence[Array]) -> Result:
    """By the stored statistics: mean, variance, and a factor that both are to be divided by."""
    x = exact(inputs[0])
    factor = float(layer.tensors[2].array().reshape(-1)[0]) if len(layer.tensors) > 2 else 1.0
    factor = 1 / factor if factor else 0.0
    mean, variance = (layer.tensors[i].array().astype(np.float64).reshape(-1) * factor for i in (0, 1))
    variance = np.maximum(variance, 0) + layer.message.message("batch_norm_param").number("eps", 1e-5)
    shape = (1, -1, *[1] * (x.ndim - 2))
    slope = (1 / np.sqrt(variance)).reshape(shape)
    y = (x - mean.reshape(shape)) * slope

    def weigh(gradients: Sequence[Array], together: int) -> Sequence[Marginals]:
        by_shift, by_gain = shift(gradients[0]).rows, gain(gradients[0], y).rows
        return (
            Marginals.of_vector(by_shift * (factor * factor / variance)),
            Marginals.of_vector(by_gain * (factor / (2 * variance)) ** 2),
        )

    return Result((y,), lambda gradients: (gradients[0] * slope,), weigh)


def gain(gradient: Array, values: Wide) -> Marginals:
    """Squared gradients of a factor of a channel, ``values`` being what it multiplies."""
    each = exact(snapped(gradient * values)).sum(axis=tuple(range(2, gradient.ndim)))
    return Marginals.of_vector((each * each).sum(axis=0))


def scale(layer: Layer, inputs: Sequence[Array]) -> Result:
    """By stored factors, or by a second input."""
    if len(inputs) > 1:
        return scaled_by_input(layer, inputs)
    options = layer.message.message("scale_param")
    x, axis = exact(inputs[0]), options.integer("axis", 1)
    factor = along(layer.tensors[0].array(), x, axis)
    added = along(layer.tensors[1].array(), x, axis) if len(layer.tensors) > 1 else 0.0

    def weigh(gradients: Sequence[Array], together: int) -> Sequence[Marginals]:
        if layer.tensors[0].size != x.shape[1]:
            return ()
        return gain(gradients[0], x), shift(gradients[0])

    return Result((x * factor + added,), lambda gradients: (gradients[0] * factor,), weigh)


def scaled_by_input(layer: Layer, inputs: Sequence[Array]) -> Result:
    """Times a second, smaller input, which lies along the first from ``axis``."""
    x, other = exact(inputs[0]), exact(inputs[1])
    axis = layer.message.message("scale_param").integer("axis", 1) % x.ndim
    wide = other.reshape((*[1] * axis, *other.shape, *[1] * (x.ndim - axis - other.ndim)))
    added = along(layer.tensors[0].array(), x, axis) if layer.tensors else 0.0

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values]:
        axes = tuple(i for i in range(x.ndim) if wide.shape[i] == 1)
        return gradients[0] * wide, exact(snapped(gradients[0] * x)).sum(axis=axes).reshape(other.shape)

    return Result((x * wide + added,), adjoint)


def axpy(layer: Layer, inputs: Sequence[Array]) -> Result:
    """A factor a channel, times x, plus y (squeeze and excitation)."""
    factor, x, y = (exact(values) for values in inputs)
    wide = factor.reshape(*x.shape[:2], 1, 1)

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values]:
        g = exact(gradients[0])
        return exact(snapped(g * x)).sum(axis=(2, 3)).reshape(factor.shape), g * wide, g

    return Result((wide * x + y,), adjoint)


def bias(layer: Layer, inputs: Sequence[Array]) -> Result:
    """Plus stored numbers."""
    if len(inputs) > 1:
        raise NetError(f"{layer}: a Bias with two inputs is not run")
    x = exact(inputs[0])
    added = along(layer.tensors[0].array(), x, layer.message.message("bias_param").integer("axis", 1))
    known = added.size == x.shape[1]
    return Result((x + added,), list, lambda gradients, together: (shift(gradients[0]),) if known else ())


def eltwise(layer: Layer, inputs: Sequence[Array]) -> Result:
    """Sum with coefficients, product, or maximum."""
    options = layer.message.message("eltwise_param")
    wide = [exact(values) for values in inputs]
    operation = options.string("operation", "SUM")
    if operation in ("PROD", "0"):
        out = np.prod(wide, axis=0)
        others = [np.prod([w for j, w in enumerate(wide) if j != i], axis=0) for i in range(len(wide))]
        return Result((out,), lambda gradients: [gradients[0] * other for other in others])
    if operation in ("MAX", "2"):
        winner = np.argmax(wide, axis=0)
        return Result(
            (np.max(wide, axis=0),), lambda gradients: [gradients[0] * (winner == i) for i in range(len(wide))]
        )
    coefficients = options.numbers("coeff") or (1.0,) * len(wide)
    out = sum((c * w for c, w in zip(coefficients, wide, strict=True)), start=np.zeros(wide[0].shape))
    return Result((out,), lambda gradients: [gradients[0] * c for c in coefficients])


def softmax(layer: Layer, inputs: Sequence[Array]) -> Result:
    """Over one axis."""
    x = exact(inputs[0])
    axis = layer.message.message("softmax_param").integer("axis", 1)
    e = exact(snapped(np.exp(x - x.max(axis=axis, keepdims=True))))
    y = e / e.sum(axis=axis, keepdims=True)

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values]:
        product = exact(snapped(gradients[0] * y))
        return (product - y * product.sum(axis=axis, keepdims=True),)

    return Result((y,), adjoint)


POINTWISE: Mapping[str, Callable[[Layer, Sequence[Array]], Result]] = {
    "AbsVal": elementwise(absolute),
    "Axpy": axpy,
    "BatchNorm": batch_norm,
    "Bias": bias,
    "BNLL": elementwise(bnll),
    "Dropout": elementwise(identity),
    "Eltwise": eltwise,
    "ELU": elementwise(elu),
    "PReLU": prelu,
    "Power": elementwise(power),
    "ReLU": elementwise(relu),
    "ReLU6": elementwise(relu6),
    "Scale": scale,
    "Sigmoid": elementwise(sigmoid),
    "Softmax": softmax,
    "Swish": elementwise(swish),
    "TanH": elementwise(tanh),
}
