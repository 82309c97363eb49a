"""Convolution, deconvolution and inner product: forward, adjoint, and the squared gradient of every weight.

A convolution is a sum over kernel positions of a matrix product with a shifted input. That needs no unrolled copy of
the input, and the three directions are three products of the same slices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from demitasse.transforms.sensitivity.feedback import Moments, extents
from demitasse.transforms.sensitivity.grid import Array, Wide, exact, snapped
from demitasse.transforms.sensitivity.result import Marginals

__all__ = ["Geometry", "back_projected", "convolved", "squared_gradient"]

GRADIENT_BITS = 15
BLOCK = 1 << 20
"""Weights whose gradient is held at once."""

POSITIONS = 512
"""Places of a map that are looked at, at most."""

GROUPS = 16
"""Of as many groups of channels."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a kernel walks over a map, vertical before horizontal."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    group: int = 1

    def shrunk(self, height: int, width: int) -> tuple[int, int]:
        """Size of what a convolution makes of a map."""
        sizes = []
        for axis, size in enumerate((height, width)):
            reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            sizes.append((size + 2 * self.pad[axis] - reach) // self.stride[axis] + 1)
        return sizes[0], sizes[1]

    def grown(self, height: int, width: int) -> tuple[int, int]:
        """Size of what a deconvolution makes of a map."""
        sizes = []
        for axis, size in enumerate((height, width)):
            reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            sizes.append(self.stride[axis] * (size - 1) + reach - 2 * self.pad[axis])
        return sizes[0], sizes[1]

    def windows(self, out: tuple[int, int]) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
        """Every kernel position, and what it sees of the padded large map to make a small map of size ``out``."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                top, left = i * self.dilation[0], j * self.dilation[1]
                rows = slice(top, top + self.stride[0] * (out[0] - 1) + 1, self.stride[0])
                yield i, j, (rows, slice(left, left + self.stride[1] * (out[1] - 1) + 1, self.stride[1]))

    def padded(self, image: Wide) -> Wide:
        """The map with its border of zeros."""
        (vertical, horizontal) = self.pad
        if not vertical and not horizontal:
            return image
        return np.pad(image, ((0, 0), (vertical, vertical), (horizontal, horizontal)))


def grouped(image: Wide, group: int) -> Wide:
    """Channels × positions of every group, from channels × height × width."""
    return image.reshape(group, image.shape[0] // group, -1)


def convolved(large: Array, weights: Array, geometry: Geometry) -> Wide:
    """Channels × height × width to channels × height × width; ``weights``: (out, in / group, height, width)."""
    image = geometry.padded(exact(large))
    size = geometry.shrunk(*large.shape[1:])
    kernel = grouped_kernel(weights, geometry.group)
    out = np.zeros((geometry.group, weights.shape[0] // geometry.group, size[0] * size[1]))
    for i, j, (rows, columns) in geometry.windows(size):
        seen = grouped(image[:, rows, columns], geometry.group)
        if kernel.shape[2] == 1:
            out += kernel[..., i, j] * seen
        else:
            out += kernel[..., i, j] @ seen
    return out.reshape(weights.shape[0], *size)


def back_projected(small: Array, weights: Array, geometry: Geometry, size: tuple[int, int]) -> Wide:
    """The adjoint of `convolved`: from the size of its output to the size of its input, ``size``."""
    kernel = grouped_kernel(weights, geometry.group).transpose(0, 2, 1, 3, 4)
    channels = weights.shape[1] * geometry.group
    (vertical, horizontal) = geometry.pad
    image = np.zeros((channels, size[0] + 2 * vertical, size[1] + 2 * horizontal))
    values = grouped(exact(small), geometry.group)
    out_size = (small.shape[1], small.shape[2])
    for i, j, (rows, columns) in geometry.windows(out_size):
        part = kernel[..., i, j] * values if kernel.shape[2] == 1 else kernel[..., i, j] @ values
        image[:, rows, columns] += part.reshape(channels, *out_size)
    return image[:, vertical : vertical + size[0], horizontal : horizontal + size[1]]


def grouped_kernel(weights: Array, group: int) -> Wide:
    """Group × out × in × height × width."""
    return exact(weights).reshape(group, weights.shape[0] // group, *weights.shape[1:])


def squared_gradient(large: Array, small: Array, geometry: Geometry, together: int = 0) -> Marginals:
    """Squared derivatives of ⟨small, convolved(large, weights)⟩ by every weight, summed over rows and columns.

    ``together``: columns whose derivatives are looked at together, at most."""
    image = geometry.padded(exact(large))
    values = grouped(exact(small), geometry.group)
    size = (small.shape[1], small.shape[2])
    per_group, channels = values.shape[1], large.shape[0] // geometry.group
    count = channels * geometry.kernel[0] * geometry.kernel[1]
    rows = np.zeros((geometry.group, per_group))
    columns = np.zeros(count)
    blocks = tuple(extents(count, count // channels, together)) if together else ()
    moments = [np.zeros((block.stop - block.start,) * 2) for block in blocks]
    height = max(1, BLOCK // (count * geometry.group))
    for part in (slice(start, start + height) for start in range(0, per_group, height)):
        here = derivatives(image, values[:, part], geometry, size)
        square = here**2
        rows[:, part] += square.sum(axis=2)
        columns += square.sum(axis=(0, 1))
        flat = here.reshape(-1, count)
        for block, moment in zip(blocks, moments, strict=True):
            some = np.ascontiguousarray(flat[:, block])
            moment += some.T @ some
    if not blocks:
        return Marginals(rows.reshape(-1), columns)
    seen = unrolled(image, geometry, size)
    samples = min(len(values.reshape(-1, values.shape[2])), geometry.group * values.shape[2]) + seen.shape[1]
    whole = Moments.of(seen, blocks).scaled(math.fsum(rows.reshape(-1)))
    return Marginals(rows.reshape(-1), columns, Moments(tuple(moments), samples) + whole)


def unrolled(image: Wide, geometry: Geometry, size: tuple[int, int]) -> Wide:
    """Columns of the kernel × samples: some of the places, and of the groups of channels, that the kernel sees."""
    groups = range(0, geometry.group, -(-geometry.group // GROUPS))
    stride = -(-size[0] * size[1] * len(groups) // POSITIONS)
    seen = []
    for _, _, (rows, columns) in geometry.windows(size):
        flat = grouped(image[:, rows, columns], geometry.group)[:, :, ::stride]
        seen.append(np.concatenate([flat[group] for group in groups], axis=1))
    return np.stack(seen, axis=1).reshape(seen[0].shape[0] * len(seen), -1)


def derivatives(image: Wide, values: Wide, geometry: Geometry, size: tuple[int, int]) -> Wide:
    """Groups × rows × columns of the weights, on a grid."""
    channels = len(image) // geometry.group
    out = np.empty((*values.shape[:2], channels, *geometry.kernel))
    for i, j, window in geometry.windows(size):
        seen = grouped(image[:, window[0], window[1]], geometry.group).transpose(0, 2, 1)
        out[..., i, j] = values @ seen
    return exact(snapped(out.reshape(*values.shape[:2], -1), GRADIENT_BITS))
