"""Weights side by side: how far each tensor is from the original, in decibels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.net import Net, Tensor

__all__ = ["WeightError", "check_finite", "decibels", "identical", "weight_errors"]

BLOCK = 1 << 18
"""Elements at a time: what is compared stays in the cache, and no second copy of a large tensor is made."""


@dataclass(frozen=True, slots=True)
class WeightError:
    """One tensor of one layer: sums of squares of the original and of the difference, and the largest difference."""

    layer: str
    index: int
    shape: tuple[int, ...]
    signal: float
    noise: float
    largest: float

    @property
    def snr(self) -> float:
        """Signal to noise in dB; infinite for equal values."""
        return decibels(self.signal, self.noise)


def decibels(signal: float, noise: float) -> float:
    """10·log10(signal / noise): infinite without noise, minus infinity for noise without signal or not a number."""
    if noise == 0:
        return math.inf
    if not math.isfinite(noise) or signal <= 0:
        return -math.inf
    return 10 * math.log10(signal / noise)


def weight_errors(original: Net, candidate: Net) -> tuple[tuple[WeightError, ...], tuple[str, ...]]:
    """Every tensor that both have in the same shape, and the names of layers whose tensors differ in number or shape.

    Layers are matched by name, those of one name in order. Layers without tensors do not count.
    """
    errors: list[WeightError] = []
    unmatched: list[str] = []
    others: dict[str, list[tuple[Tensor, ...]]] = {}
    for layer in candidate.layers:
        if layer.tensors:
            others.setdefault(layer.name, []).append(layer.tensors)
    for layer in original.layers:
        if not layer.tensors:
            continue
        mine = layer.tensors
        theirs = others[layer.name].pop(0) if others.get(layer.name) else ()
        if [tensor.shape for tensor in mine] != [tensor.shape for tensor in theirs]:
            unmatched.append(layer.name)
            continue
        errors += [tensor_error(layer.name, i, a, b) for i, (a, b) in enumerate(zip(mine, theirs, strict=True))]
    return tuple(errors), (*unmatched, *(name for name, left in others.items() if left))


def identical(original: Net, candidate: Net) -> bool:
    """Whether both have the same tensors, value for value (a NaN equals a NaN)."""
    errors, unmatched = weight_errors(original, candidate)
    return not unmatched and all(error.noise == 0 for error in errors)


def check_finite(net: Net, where: object) -> None:
    """NetError, beginning with ``where`` the weights come from, for a tensor that holds what is no finite number:
    nothing can be said about what such a network computes."""
    for layer in net.layers:
        for index, tensor in enumerate(layer.tensors):
            bad = sum(part.size - int(np.isfinite(part).sum()) for part in tensor.parts())
            tensor.release()
            if bad:
                raise NetError(f"{where}: {layer}, blob {index}: {bad} of {tensor.size} weights are not finite numbers")


def tensor_error(layer: str, index: int, original: Tensor, candidate: Tensor) -> WeightError:
    """One tensor against another of the same shape. What is no number in one and not in the other is infinite noise."""
    signal = noise = largest = 0.0
    for a, b in blocks(original, candidate):
        with np.errstate(over="ignore", invalid="ignore"):
            wide: type[np.floating[Any]] = np.float64 if a.dtype == np.float64 else np.float32
            values: npt.NDArray[Any] = a.astype(wide, copy=False)
            difference: npt.NDArray[Any] = b.astype(wide, copy=False) - values
            squares = float(np.vdot(difference, difference))
            if not math.isfinite(squares):
                same = (a == b) | (np.isnan(a) & np.isnan(b))
                difference = np.where(same, 0, difference)
                squares = float(np.vdot(difference, difference))
                squares = squares if math.isfinite(squares) else math.inf
            signal += float(np.vdot(values, values))
        noise += squares
        if squares:
            largest = max(largest, float(np.abs(difference).max()))
    original.release()
    candidate.release()
    return WeightError(layer, index, original.shape, signal, noise, largest)


def blocks(one: Tensor, other: Tensor) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Both tensors, flat, a block at a time; what has to be decoded is decoded as it is needed."""
    ours, theirs = one.parts(), other.parts()
    a = b = np.empty(0)
    while True:
        while not a.size:
            if (found := next(ours, None)) is None:
                return
            a = found
        while not b.size:
            b = next(theirs)
        count = min(a.size, b.size, BLOCK)
        yield a[:count], b[:count]
        a, b = a[count:], b[count:]
