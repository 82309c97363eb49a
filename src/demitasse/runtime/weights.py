"""The weights of a built network as torch parameters: one for each blob that is not another layer's, made on first use.

Until then a weight stays where it is: mapped from its file, or in coded form.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from demitasse.errors import WeightsError
from demitasse.layers.layertype import text
from demitasse.layers.sizes import Shape, count
from demitasse.net import Layer, Tensor

__all__ = ["Place", "as_tensor", "frozen", "owned", "parameter", "same_weights"]

Place = tuple[int, int]
"""Position of a layer, and of one of its weights."""


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


def same_weights(layer: Layer, k: int, shape: Shape, wanted: Shape, *, sizes_only: bool) -> None:
    """WeightsError unless a weight of ``shape`` serves as one of shape ``wanted``.

    Leading ones do not count: old files have four axes for everything. ``sizes_only``: shared PERMISSIVE.
    """
    if shape == wanted or (count(shape) == count(wanted) and (sizes_only or essential(shape) == essential(wanted))):
        return
    raise WeightsError(f"{layer}: blob {k} of its weights has shape {text(shape)}; it needs {text(wanted)}")


def essential(shape: Shape) -> Shape:
    """The shape without the ones that it begins with."""
    first = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]
