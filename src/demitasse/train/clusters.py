"""Trained quantisation of Deep Compression (Han et al., arXiv 1510.00149): the weights of a blob share a few values.

K-means finds them, from values spread evenly between the smallest and the largest weight, since large weights are few
and matter most. From then on each weight stays in its cluster, and a shared value moves by the sum of its gradients.
What is zero is no part of it and stays zero, also what a mask cuts later. A .demi stores which value each weight has,
and the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch

from demitasse.errors import OptionError
from demitasse.net import Clustered, Net, Tensor
from demitasse.train.shaping import Attached, State, by_layer, check_each

if TYPE_CHECKING:
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["Clusters", "shared_values"]

ROUNDS: Final = 300
"""Of k-means, at most."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Shared values.

    ``values``: how many each blob of weights has, zero not counted; a number, or one for each layer by name or pattern
    (of several that match, the last counts). ``layers``: names or patterns; none: every layer with weights. ``begin``:
    the iteration in which they are found; until then weights are free.
    """

    values: int | Mapping[str, int] = 32
    layers: tuple[str, ...] = ()
    begin: int = 0

    def __post_init__(self) -> None:
        check_each("clusters", "values", self.values, lambda number: 1 <= number <= 65535, "between 1 and 65535")
        if self.begin < 0:
            raise OptionError(f"clusters begin in iteration {self.begin}; it cannot be negative")

    def attach(self, solver: Solver) -> Attached:
        """At work on a solver's weights."""
        return AttachedClusters(self, solver, by_layer(solver, self.values, self.layers))


def shared_values(weights: npt.NDArray[np.floating], count: int) -> Values:
    """So many values, sorted, to which weights are nearest, by k-means from evenly spread ones; those that no weight is
    nearest to are left out. ``weights``: flat, one or more."""
    ordered = np.sort(weights.astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    found = np.linspace(ordered[0], ordered[-1], count)
    sizes = np.zeros(count)
    for _ in range(ROUNDS):
        # Each cluster is a run of the sorted weights.
        ends = np.searchsorted(ordered, (found[1:] + found[:-1]) / 2)
        bounds = np.concatenate([[0], ends, [len(ordered)]])
        sizes = np.diff(bounds)
        moved = np.where(sizes > 0, np.diff(sums[bounds]) / np.maximum(sizes, 1), found)
        if np.array_equal(moved, found):
            break
        found = moved
    return np.unique(found[sizes > 0])


@dataclass(slots=True, eq=False)
class Codebook:
    """One blob. ``labels``: for each weight, flat, the place of its value among ``values``; 0 is for zero, and its
    value is 0. ``firsts``: one member of each cluster."""

    parameter: Parameter
    labels: torch.Tensor
    values: torch.Tensor
    firsts: torch.Tensor

    @classmethod
    def of(cls, parameter: Parameter, labels: torch.Tensor, values: torch.Tensor) -> Codebook:
        """From labels and values, at work in the network from now on."""
        made = cls(parameter, labels, values, firsts_of(labels, len(values)))
        made.show()
        return made

    @classmethod
    def found(cls, parameter: Parameter, count: int) -> Codebook:
        """By k-means on the weights as they are."""
        weights = parameter.values.detach().reshape(-1).cpu().numpy()
        used = weights != 0
        shared = np.zeros(0) if not used.any() else shared_values(weights[used], count)
        nearest = np.searchsorted((shared[1:] + shared[:-1]) / 2, weights.astype(np.float64)) + 1
        device = parameter.values.device
        labels = torch.from_numpy(np.where(used, nearest, 0)).to(device)
        values = torch.from_numpy(np.concatenate([[0.0], shared]).astype(np.float32)).to(device)
        return cls.of(parameter, labels, values)

    def show(self) -> None:
        """Give the network the shared values."""
        flat = self.parameter.values.detach().view(-1)
        torch.index_select(self.values, 0, self.labels, out=flat)

    def share_gradient(self) -> None:
        """Every weight gets the sum of its cluster's gradients; zero gets none."""
        gradient = self.parameter.values.grad
        if gradient is None:
            return
        sums = torch.bincount(self.labels, weights=gradient.reshape(-1), minlength=len(self.values))
        sums[0] = 0
        gradient.copy_(sums.to(gradient.dtype)[self.labels].reshape(gradient.shape))

    def follow(self) -> None:
        """Values go where the update has moved their weights: all of a cluster alike, but for rounding. What a mask
        has cut meanwhile belongs to no cluster any more."""
        flat = self.parameter.values.detach().view(-1)
        cut = (flat == 0) & (self.labels != 0)
        if cut.any():
            self.labels = self.labels.masked_fill(cut, 0)
            self.firsts = firsts_of(self.labels, len(self.values))
        self.values = flat[self.firsts]
        self.values[0] = 0
        self.show()

    def coded(self, tensor: Tensor) -> Tensor:
        """The blob for a network: places in a sorted codebook of values that occur."""
        flat = self.values.cpu().numpy()[self.labels.cpu().numpy()]
        codebook, places = np.unique(flat, return_inverse=True)
        small = np.min_scalar_type(max(len(codebook) - 1, 0))
        return Clustered(places.reshape(tensor.shape).astype(small), codebook)


def firsts_of(labels: torch.Tensor, count: int) -> torch.Tensor:
    """The first place of each label; 0 for those that do not occur."""
    firsts = torch.full((count,), len(labels), dtype=torch.long, device=labels.device)
    firsts.scatter_reduce_(0, labels, torch.arange(len(labels), device=labels.device), "amin")
    return firsts.remainder(len(labels))


class AttachedClusters(Attached):
    """Codebooks at work, once they are found."""

    def __init__(self, options: Clusters, solver: Solver, chosen: Sequence[tuple[Parameter, int]]) -> None:
        self.options = options
        self.solver = solver
        self.chosen = list(chosen)
        self.codebooks: list[Codebook] = []

    @property
    def coded(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter, _ in self.chosen)

    @torch.no_grad()
    def before_pass(self) -> None:
        if not self.codebooks and self.solver.iteration >= self.options.begin:
            self.codebooks = [Codebook.found(parameter, count) for parameter, count in self.chosen]
        for codebook in self.codebooks:
            codebook.show()  # a mask with splicing has shown its own weights

    @torch.no_grad()
    def before_update(self) -> None:
        for codebook in self.codebooks:
            codebook.share_gradient()

    @torch.no_grad()
    def after_update(self, rate: float) -> None:
        for codebook in self.codebooks:
            codebook.follow()

    def net(self, net: Net) -> Net:
        found = {codebook.parameter.name: codebook for codebook in self.codebooks}
        return net.with_layers(
            layer.with_tensors(
                found[name].coded(tensor) if (name := f"{layer.name}/{k}") in found else tensor
                for k, tensor in enumerate(layer.tensors)
            )
            for layer in net.layers
        )

    def state(self) -> State:
        return {
            f"{what}/{codebook.parameter.name}": values.cpu().numpy()
            for codebook in self.codebooks
            for what, values in (("labels", codebook.labels.to(torch.int32)), ("values", codebook.values))
        }

    @torch.no_grad()
    def restore(self, state: State) -> None:
        self.codebooks = []
        for parameter, _ in self.chosen if state else ():
            values = torch.from_numpy(np.array(state[f"values/{parameter.name}"])).to(parameter.values.device)
            labels = torch.from_numpy(state[f"labels/{parameter.name}"].astype(np.int64)).to(parameter.values.device)
            if labels.numel() != parameter.values.numel():
                raise ValueError(parameter.name)
            self.codebooks.append(Codebook.of(parameter, labels, values))
