"""Layers that look at a neighbourhood: pooling, regions, local normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from demitasse.message import Message
from demitasse.net import Layer
from demitasse.transforms.sensitivity.grid import Array, Wide, exact, snapped
from demitasse.transforms.sensitivity.result import Result, Values

__all__ = ["POOLING"]


def axis_option(options: Message, name: str, default: int) -> tuple[int, int]:
    """Vertical and horizontal value."""
    stem = name.removesuffix("_size")
    both = options.integer(name, default)
    return options.integer(f"{stem}_h", both), options.integer(f"{stem}_w", both)


def pooled_size(size: int, kernel: int, stride: int, pad: int, up: bool) -> int:
    """Caffe's rule: rounded up, unless the last window would start beyond the map and its border."""
    span = size + 2 * pad - kernel
    out = (-(-span // stride) if up else span // stride) + 1
    if pad and (out - 1) * stride >= size + pad:
        out -= 1
    return max(out, 1)


class Windows:
    """Kernel positions over a map: for each, a slice of the bordered map, one value a window."""

    def __init__(self, options: Message, shape: tuple[int, ...]) -> None:
        self.map = (shape[2], shape[3])
        if options.flag("global_pooling"):
            self.kernel, self.stride, self.pad = self.map, (1, 1), (0, 0)
        else:
            self.kernel = axis_option(options, "kernel_size", 1)
            self.stride = axis_option(options, "stride", 1)
            self.pad = axis_option(options, "pad", 0)
        up = options.flag("ceil_mode", True) and options.string("round_mode", "CEIL") in ("CEIL", "0")
        sizes = zip(self.map, self.kernel, self.stride, self.pad, strict=True)
        height, width = (pooled_size(*parts, up) for parts in sizes)
        self.out = (height, width)

    def bordered(self, x: Wide, fill: float) -> Wide:
        """The map with room for every window."""
        edges = []
        for i in (0, 1):
            reach = (self.out[i] - 1) * self.stride[i] + self.kernel[i]
            edges.append((self.pad[i], max(0, reach - self.map[i] - self.pad[i])))
        return np.pad(x, ((0, 0), (0, 0), *edges), constant_values=fill)

    def inner(self, wide: Wide) -> Wide:
        """The map without its border."""
        rows, columns = (slice(self.pad[i], self.pad[i] + self.map[i]) for i in (0, 1))
        return wide[:, :, rows, columns]

    def __iter__(self) -> Iterator[tuple[slice, ...]]:
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield (
                    slice(None),
                    slice(None),
                    slice(i, i + (self.out[0] - 1) * self.stride[0] + 1, self.stride[0]),
                    slice(j, j + (self.out[1] - 1) * self.stride[1] + 1, self.stride[1]),
                )


def pooling(layer: Layer, inputs: Sequence[Array]) -> Result:
    """Maximum or mean. Other kinds (stochastic) as the mean."""
    options = layer.message.message("pooling_param")
    (x,) = inputs
    windows = Windows(options, x.shape)
    if options.string("pool", "MAX") in ("MAX", "0"):
        return maximum(x, windows)
    return mean(x, windows)


def maximum(x: Array, windows: Windows) -> Result:
    """The largest of each window; the gradient goes to the first that is."""
    wide = windows.bordered(exact(x), -np.inf)
    out = np.full((*x.shape[:2], *windows.out), -np.inf)
    winner = np.zeros(out.shape, np.int32)
    for i, window in enumerate(windows):
        seen = wide[window]
        larger = seen > out
        out[larger] = seen[larger]
        winner[larger] = i

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values]:
        back = np.zeros(wide.shape)
        for i, window in enumerate(windows):
            back[window] += exact(gradients[0]) * (winner == i)
        return (windows.inner(back),)

    return Result((np.where(np.isfinite(out), out, 0.0),), adjoint)


def mean(x: Array, windows: Windows) -> Result:
    """The mean of each window, its border within the padding counted, as Caffe does."""
    wide = windows.bordered(exact(x), 0.0)
    inside = np.zeros((1, 1, *(windows.map[i] + 2 * windows.pad[i] for i in (0, 1))))
    inside[...] = 1.0
    inside = np.pad(inside, ((0, 0), (0, 0), *((0, max(0, wide.shape[i] - inside.shape[i])) for i in (2, 3))))
    count = sum(inside[window] for window in windows)
    out = sum((wide[window] for window in windows), start=np.zeros((*x.shape[:2], *windows.out))) / count

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values]:
        back = np.zeros(wide.shape)
        share = exact(gradients[0]) / count
        for window in windows:
            back[window] += share
        return (windows.inner(back),)

    return Result((out,), adjoint)


def lrn(layer: Layer, inputs: Sequence[Array]) -> Result:
    """Across channels; within a channel it is treated as if it did nothing but scale."""
    options = layer.message.message("lrn_param")
    x = exact(inputs[0])
    size, alpha, beta = options.integer("local_size", 5), options.number("alpha", 1.0), options.number("beta", 0.75)
    square = exact(snapped(x * x))
    if options.string("norm_region", "ACROSS_CHANNELS") in ("ACROSS_CHANNELS", "0"):
        around = np.pad(square, ((0, 0), (size // 2, size // 2), (0, 0), (0, 0)))
        total = sum(around[:, i : i + x.shape[1]] for i in range(size))
    else:
        total = size * size * square
    factor = (options.number("k", 1.0) + alpha / size * total) ** -beta
    return Result((x * factor,), lambda gradients: (gradients[0] * factor,))


def normalize(layer: Layer, inputs: Sequence[Array]) -> Result:
    """SSD's: every position to unit length over its channels, then a factor a channel."""
    x = exact(inputs[0])
    factor = layer.tensors[0].array().astype(np.float64).reshape(1, -1, *[1] * (x.ndim - 2)) if layer.tensors else 1.0
    across = layer.message.message("norm_param").flag("across_spatial", True)
    axes = tuple(range(1, x.ndim)) if across else (1,)
    slope = factor / np.sqrt(exact(snapped(x * x)).sum(axis=axes, keepdims=True) + 1e-10)
    return Result((x * slope,), lambda gradients: (gradients[0] * slope,))


def roi_pooling(layer: Layer, inputs: Sequence[Array]) -> Result:
    """The maximum in each cell of each region. Regions come from proposals that are not run: fixed ones stand in."""
    x = exact(inputs[0])
    options = layer.message.message("roi_pooling_param")
    height, width = options.integer("pooled_h", 1), options.integer("pooled_w", 1)
    cells = []
    for top, left, bottom, right in ((0, 0, 1, 1), (0.1, 0.2, 0.6, 0.7), (0.3, 0.1, 0.9, 0.5), (0.4, 0.5, 0.7, 0.8)):
        rows = np.linspace(top * x.shape[2], bottom * x.shape[2], height, endpoint=False).astype(int)
        columns = np.linspace(left * x.shape[3], right * x.shape[3], width, endpoint=False).astype(int)
        cells.append(np.ix_(rows, columns))
    out = np.stack([x[0][:, rows, columns] for rows, columns in cells])

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values | None]:
        back = np.zeros(x.shape)
        for (rows, columns), gradient in zip(cells, gradients[0], strict=True):
            for i, j in np.ndindex(height, width):
                back[0][:, rows[i, 0], columns[0, j]] += exact(gradient)[:, i, j]
        return (back,)

    return Result((out,), adjoint)


def reduction(layer: Layer, inputs: Sequence[Array]) -> Result:
    """The sum or the mean of the axes from ``axis``; other kinds as the sum."""
    options = layer.message.message("reduction_param")
    x = exact(inputs[0])
    axis = options.integer("axis", 0) % x.ndim
    flat = x.reshape(*x.shape[:axis], -1)
    factor = options.number("coeff", 1.0)
    if options.string("operation", "SUM") in ("MEAN", "4"):
        factor /= flat.shape[-1]

    def adjoint(gradients: Sequence[Array]) -> Sequence[Values]:
        wide = exact(gradients[0]).reshape(*x.shape[:axis], *[1] * (x.ndim - axis))
        return (np.broadcast_to(wide * factor, x.shape),)

    return Result((flat.sum(axis=-1) * factor,), adjoint)


POOLING: Mapping[str, Callable[[Layer, Sequence[Array]], Result]] = {
    "LRN": lrn,
    "Normalize": normalize,
    "Pooling": pooling,
    "ROIPooling": roi_pooling,
    "Reduction": reduction,
}
