"""What a layer's inputs and outputs look like on pictures: their means and second moments, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.net import Net
from demitasse.transforms.transform import Activations
from demitasse.transforms.weighted import Weighted
from demitasse.transforms.wiring import Value, Wiring

__all__ = ["Moments", "Seen", "Smoothness", "observe"]

Array = npt.NDArray[Any]
Wide = npt.NDArray[np.float64]

POSITIONS: Final = 1024
"""Places of one picture that are looked at, evenly spread: more of them tell little more."""


@dataclass(slots=True)
class Moments:
    """Sums over samples of a vector with that many channels."""

    channels: int
    count: int = 0
    first: Wide = field(init=False)
    second: Wide = field(init=False)

    def __post_init__(self) -> None:
        self.first = np.zeros(self.channels)
        self.second = np.zeros((self.channels, self.channels))

    def add(self, values: Array, axis: int) -> None:
        """Every place of a blob, or some of them, as a sample."""
        samples = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
        samples = samples[:: max(1, len(samples) // POSITIONS)].astype(np.float32)
        self.count += len(samples)
        self.first += samples.sum(axis=0, dtype=np.float64)
        self.second += samples.T @ samples

    @property
    def mean(self) -> Wide:
        """One a channel."""
        return self.first / self.count

    @property
    def raw(self) -> Wide:
        """The second moments about zero."""
        return self.second / self.count

    @property
    def centred(self) -> Wide:
        """The second moments about the mean."""
        return self.raw - np.outer(self.mean, self.mean)

    def shrinkage(self) -> float:
        """How far the centred moments should be taken towards a multiple of the identity, from 0 to 1: the fewer
        samples, the further (oracle approximating shrinkage: Chen, Wiesel, Eldar and Hero, 2010)."""
        square = self.centred
        trace, squares = float(np.trace(square)), float(np.sum(square * square))
        p, n = self.channels, self.count
        top, bottom = (1 - 2 / p) * squares + trace**2, (n + 1 - 2 / p) * (squares - trace**2 / p)
        return 1.0 if bottom <= 0 else min(1.0, top / bottom)


@dataclass(slots=True)
class Smoothness:
    """How alike neighbours are along each axis of a map: sums of products of neighbours, and of squares."""

    products: Wide = field(default_factory=lambda: np.zeros(2))
    squares: Wide = field(default_factory=lambda: np.zeros(2))

    def add(self, values: Array) -> None:
        """A blob of number, channels, height and width."""
        centred = values - values.mean(axis=(2, 3), keepdims=True)
        for axis in range(2):
            before, behind = np.moveaxis(centred, 2 + axis, -1)[..., :-1], np.moveaxis(centred, 2 + axis, -1)[..., 1:]
            self.products[axis] += np.vdot(before, behind)
            self.squares[axis] += (np.vdot(before, before) + np.vdot(behind, behind)) / 2

    @property
    def correlations(self) -> tuple[float, float]:
        """Of vertical and of horizontal neighbours, from 0 to nearly 1."""
        shares = np.clip(self.products / np.maximum(self.squares, 1e-30), 0.0, 0.99)
        return float(shares[0]), float(shares[1])


@dataclass(frozen=True, slots=True)
class Seen:
    """``given``: of a layer's inputs, ``made``: of what its weights make of them, before the bias; ``smooth``: of its
    inputs."""

    given: Moments
    made: Moments
    smooth: Smoothness = field(default_factory=Smoothness)

    def metric(self, weights: Array) -> Wide:
        """Second moments about the mean of the outputs, for weights outputs × inputs; what the samples are too few to
        tell is as if the inputs were uncorrelated."""
        alpha = self.made.shrinkage()
        plain = weights.astype(np.float32) @ weights.astype(np.float32).T
        share = float(np.trace(self.made.centred)) / max(float(np.trace(plain)), 1e-30)
        return (1 - alpha) * self.made.centred + alpha * share * plain


def observe(net: Net, wanted: Mapping[int, Weighted], activations: Activations) -> dict[int, Seen]:
    """The moments for layers by their keys in a `Wiring` of the network. NetError if the network cannot be run."""
    wiring = Wiring.of(net)
    distinct, names = wiring.distinct()
    places: dict[int, tuple[Value, Value]] = {key: (wiring.sources[key][0], (key, 0)) for key in wanted}
    found: dict[int, Seen] = {}
    asked = sorted({names[value] for pair in places.values() for value in pair})
    for blobs in activations(distinct, asked):
        for key, (source, result) in places.items():
            layer, given, made = wanted[key], blobs[names[source]], blobs[names[result]]
            axis = min(layer.axis, given.ndim - 1)
            if key not in found:
                found[key] = Seen(Moments(given.shape[axis]), Moments(made.shape[layer.axis]))
            if layer.bias is not None:
                shape = [-1 if i == layer.axis else 1 for i in range(made.ndim)]
                made = made - layer.bias.reshape(shape)
            found[key].given.add(given, axis)
            found[key].made.add(made, layer.axis)
            if given.ndim == 4:
                found[key].smooth.add(given)
    if not found and wanted:
        raise NetError("there are no pictures to see activations on")
    return found
