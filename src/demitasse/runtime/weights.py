"""The weights of a built network as torch parameters: one for each blob that is not another layer's, made on first use.

Until then a weight stays where it is: mapped from its file, or in coded form.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from demitasse.errors import NetError, WeightsError
from demitasse.layers.build import Graph
from demitasse.layers.sizes import Shape, count
from demitasse.net import Dense, Layer, Net, Tensor

__all__ = ["Place", "Weights", "as_tensor", "serves"]

Place = tuple[int, int]
"""Position of a layer, and of one of its weights."""


CHANGING = ("BN", "BatchNorm", "MarginInnerProduct")
"""Types that change their weights in a forward pass, if only with some options."""


def owned(layers: Sequence[Layer]) -> tuple[Mapping[Place, Place], Mapping[Place, Tensor]]:
    """For each weight that is shared by name, whose it is; and the values of those that are nobody else's.

    Where several sharers bring values, the last one's count, as when Caffe copies weights into a network.
    """
    named: dict[str, Place] = {}
    owners: dict[Place, Place] = {}
    values: dict[Place, Tensor] = {}
    for i, layer in enumerate(layers):
        for k, spec in enumerate(layer.message.messages("param")):
            if name := spec.string("name"):
                owners[i, k] = named.setdefault(name, (i, k))
        for k, tensor in enumerate(layer.tensors):
            values[owners.get((i, k), (i, k))] = tensor
    return {place: owner for place, owner in owners.items() if owner != place}, values


def frozen(layers: Sequence[Layer], owners: Mapping[Place, Place]) -> frozenset[Place]:
    """Weights that are not learned and so get no gradient: those with ``lr_mult: 0``, and BatchNorm's statistics."""
    result: set[Place] = set()
    for i, layer in enumerate(layers):
        result.update((i, k) for k in range(3) if layer.type == "BatchNorm")
        for k, spec in enumerate(layer.message.messages("param")):
            if spec.number("lr_mult", 1.0) == 0:
                result.add(owners.get((i, k), (i, k)))
    return frozenset(result)


def as_tensor(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> torch.Tensor:
    """A float32 tensor over an array's own memory, copied only where the array is of another type or order.

    If the array is read-only (mapped from a file), so is the tensor, though torch does not know it.
    """
    values = np.ascontiguousarray(values, np.float32).reshape(values.shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(values)


def parameter(tensor: Tensor, device: torch.device, *, writable: bool) -> torch.nn.Parameter:
    """A weight, ready to be computed with. With ``writable``, memory of its own, for what changes it."""
    with torch.inference_mode(False):
        values = as_tensor(tensor.array())
        moved = values.to(device)
        if writable and moved is values:
            moved = values.clone()
        return torch.nn.Parameter(moved)


def serves(stored: Shape, wanted: Shape, *, sizes_only: bool) -> bool:
    """Whether a weight of shape ``stored`` can be used as one of shape ``wanted``.

    Leading ones do not count: old files have four axes for everything. ``sizes_only``: shared PERMISSIVE.
    """
    same = sizes_only or essential(stored) == essential(wanted)
    return stored == wanted or (same and count(stored) == count(wanted))


def essential(shape: Shape) -> Shape:
    """The shape without the ones that it begins with."""
    first = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]


class Weights(torch.nn.Module):
    """The weights of a built network as a module's parameters.

    ``writable``: all have memory of their own; else only those of layers that may change them.
    """

    def __init__(self, graph: Graph, device: torch.device, writable: bool) -> None:
        super().__init__()
        self.graph = graph
        self._device = device
        self._writable = writable
        self._owners, self._values = owned(graph.layers)
        self._frozen = frozen(graph.layers, self._owners)
        self._positions = {layer.name: i for i, layer in reversed(list(enumerate(graph.layers)))}

    def weight(self, layer: str, index: int) -> torch.nn.Parameter:
        """A layer's blob of weights; the owner's, if it is shared. NetError if there is none."""
        if layer not in self._positions:
            raise NetError(f'no layer "{layer}" in network "{self.graph.net.name}"')
        return self._weight((self._positions[layer], index))

    def check_finite(self) -> None:
        """WeightsError if a weight is infinite or no number."""
        for where in self._values:
            bad = int((~torch.isfinite(self._weight(where))).sum())
            if bad:
                layer = self.graph.layers[where[0]]
                raise WeightsError(f"{layer}: blob {where[1]} of its weights has {bad} values that are not finite")

    def tensors(self, *, copy: bool = True) -> Net:
        """The network with its weights as they are now; without ``copy``, on a CPU, they change when these change."""
        layers = []
        for i, layer in enumerate(self.graph.layers):
            tensors = [self._current((i, k), tensor, copy) for k, tensor in enumerate(layer.tensors)]
            same = all(new is old for new, old in zip(tensors, layer.tensors, strict=True))
            layers.append(layer if same else layer.with_tensors(tensors))
        return self.graph.net.with_layers(layers)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Every blob of weights, once, as ``LAYER/INDEX`` with dots in names replaced."""
        self._load()
        return super().named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As in any module."""
        self._load()
        return super().state_dict(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._load()
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _load(self) -> None:
        """Make parameters of all weights."""
        for place_ in self._values:
            self._weight(place_)

    def _weight(self, where: Place) -> torch.nn.Parameter:
        """The parameter of a place, made on first use."""
        owner = self._owners.get(where, where)
        layer = self.graph.layers[owner[0]]
        key = f"{owner[0]}:{layer.name}/{owner[1]}".replace(".", "·")
        found = self._parameters.get(key)
        if found is not None:
            return found
        if owner not in self._values:
            has, asked = len(layer.tensors), self.graph.layers[where[0]]
            raise WeightsError(f"{asked}: needs blob {where[1]} of its weights, and has {has}: give weights for it")
        made = parameter(self._values[owner], self._device, writable=self._writes(layer))
        made.requires_grad_(owner not in self._frozen)
        self.register_parameter(key, made)
        return made

    def _writes(self, layer: Layer) -> bool:
        """Whether a layer's weights have memory of their own."""
        return self._writable or layer.type in CHANGING

    def _current(self, where: Place, tensor: Tensor, copy: bool) -> Tensor:
        """A weight as it is now: the very tensor, if nothing can have changed it."""
        if not self._writes(self.graph.layers[self._owners.get(where, where)[0]]):
            return tensor
        values = self._weight(where).detach().cpu().numpy().reshape(tensor.shape)
        return Dense(values.copy() if copy else values)
