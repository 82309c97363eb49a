"""Blobs of weights that learn in the form that they are stored in, so that what is small stays small.

Plain weights learn, and zeros among them stay. Levels on a uniform grid move on it, as far as those that there were; of
a trellis the levels stay and the steps learn. Of shared values, each learns from all of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from demitasse.codec.reader import Stored
from demitasse.net import Clustered, Dense, Levels, Tensor
from demitasse.runtime.network import Network

__all__ = ["Taught", "taught"]

STATISTICS = frozenset({"BatchNorm"})
"""Types whose blobs are no weights."""

FINEST = 32767
"""The largest level of a bias: they take two bytes each in any case."""


@dataclass(slots=True, eq=False)
class Taught:
    """Plain weights. ``values``: what the network computes with. ``learned``: what an optimiser changes, and
    ``scale``, how large its numbers are."""

    values: torch.nn.Parameter
    learned: torch.Tensor
    scale: float
    kept: torch.Tensor

    def gather(self) -> None:
        """The gradient of ``learned`` from that of the weights."""

    def follow(self) -> None:
        """The weights that ``learned`` stands for."""
        self.values.detach().mul_(self.kept)

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        """The weights for a network's blob of that shape."""
        return Dense(self.values.detach().cpu().numpy().reshape(shape).copy())


@dataclass(slots=True, eq=False)
class TaughtLevels(Taught):
    """Whole numbers times steps: latent weights are rounded, and gradients go straight through."""

    coded: Levels
    steps: torch.Tensor
    limit: int

    def gather(self) -> None:
        if self.values.grad is not None:
            self.learned.grad = self.values.grad * self.kept

    def levels(self) -> torch.Tensor:
        """Whole numbers, in floats."""
        return torch.round(self.learned.detach() / self.steps).clamp_(-self.limit, self.limit)

    def follow(self) -> None:
        torch.mul(self.levels(), self.steps, out=self.values.detach())

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        levels = self.levels().to(torch.int32).cpu().numpy().reshape(shape)
        return replace(self.coded, levels=levels.astype(np.min_scalar_type(-self.limit - 1)))


@dataclass(slots=True, eq=False)
class TaughtSteps(Taught):
    """Levels that stay, of a trellis or with centroids: what is learned is a factor of each step."""

    coded: Levels
    base: torch.Tensor

    def gather(self) -> None:
        if self.values.grad is not None:
            self.learned.grad = (self.values.grad * self.base).reshape(len(self.learned), -1).sum(1)

    def follow(self) -> None:
        rows = self.base.reshape(len(self.learned), -1) * self.learned.detach()[:, None]
        self.values.detach().copy_(rows.reshape(self.values.shape))

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        return replace(self.coded, steps=self.coded.steps * self.learned.detach().cpu().numpy())


@dataclass(slots=True, eq=False)
class TaughtValues(Taught):
    """Shared values, but for zero."""

    places: torch.Tensor

    def gather(self) -> None:
        if self.values.grad is not None:
            sums = torch.bincount(self.places, self.values.grad.reshape(-1), len(self.learned))
            self.learned.grad = sums * self.kept

    def follow(self) -> None:
        self.values.detach().copy_(self.learned.detach()[self.places].reshape(self.values.shape))

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        codebook, order = np.unique(self.learned.detach().cpu().numpy(), return_inverse=True)
        places = order.reshape(-1)[self.places.cpu().numpy()].reshape(shape)
        return Clustered(places.astype(np.min_scalar_type(len(codebook) - 1)), codebook)


def taught(network: Network) -> Mapping[int, Taught]:
    """All blobs that learn, by the ``id`` of the network's parameter; the others ask for no gradient."""
    found: dict[int, Taught] = {}
    for layer in network.graph.layers:
        for k, tensor in enumerate(layer.tensors):
            values = network.weight(layer.name, k)
            learns = layer.type not in STATISTICS and tensor.size > 0
            values.requires_grad_(learns)
            if learns and id(values) not in found:
                found[id(values)] = taught_as(tensor.coded() if isinstance(tensor, Stored) else tensor, values)
    return found


def taught_as(tensor: Tensor, values: torch.nn.Parameter) -> Taught:
    """One blob, by the form that it is stored in."""
    now, scale = values.detach(), scale_of(values)
    # A bias of zero is a value like any other; zeros among weights have been put there.
    kept = (now != 0) if now.dim() > 1 else torch.ones_like(now, dtype=torch.bool)
    match tensor:
        case Clustered():
            codebook = torch.from_numpy(np.array(tensor.codebook, np.float32)).to(now.device)
            places = torch.from_numpy(tensor.indices.astype(np.int64).reshape(-1)).to(now.device)
            return TaughtValues(values, codebook, scale_of(codebook), codebook != 0, places)
        case Levels(trellis=False) if not tensor.shifts.any():
            steps = torch.from_numpy(tensor.steps).to(now.device).reshape(-1, *[1] * (now.dim() - 1))
            limit = FINEST if now.dim() < 2 else max(1, int(np.abs(tensor.levels.astype(np.int32)).max(initial=0)))
            return TaughtLevels(values, now.clone(), scale, kept, tensor, steps, limit)
        case Levels():
            factors = torch.ones(len(tensor.steps), device=now.device)
            return TaughtSteps(values, factors, 1.0, kept, tensor, now.clone())
    return Taught(values, values, scale, kept)


def scale_of(values: torch.Tensor) -> float:
    """The size of a blob's weights: the root mean square of those that are not zero."""
    used = values.detach()[values.detach() != 0]
    return float(used.square().mean().sqrt()) if used.numel() else 1e-2
