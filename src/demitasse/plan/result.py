"""A plan: the transforms, what they make of the network, and how they were chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from demitasse.codec import levels as level_codec
from demitasse.net import Levels, Net, Note, Tensor
from demitasse.plan.loss import Loss
from demitasse.plan.quantization import Attempt, Quantization
from demitasse.transforms.division import tensor_name
from demitasse.transforms.recipe import as_steps
from demitasse.transforms.transform import Transform

__all__ = ["Plan", "TensorPlan", "tensor_plans"]

TOGETHER: Final = 1 << 22
"""Weights whose bits are counted at once."""


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """What becomes of one tensor. ``action``: "quantised" or "kept"; ``step``: of its levels; ``bits``: what the coder
    asks for, all weights together; ``zeros``: weights that are zero; ``noise``: share of the expected error of
    the outputs that it is to blame for (None: it is not counted)."""

    name: str
    layer: str
    shape: tuple[int, ...]
    action: str
    step: float | None
    bits: float
    zeros: int | None
    noise: float | None

    @property
    def size(self) -> int:
        """Weights."""
        return math.prod(self.shape)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self) | {"bytes": self.bits / 8, "bits_per_weight": self.bits / max(1, self.size)}


@dataclass(frozen=True, slots=True)
class Plan:
    """``recipe``: the transforms in order. ``net``: the result; ``before``: what was quantised. ``tensors``: what
    becomes of each. ``attempts``: points on the curve of size and error, the last of which was chosen; ``around``:
    others, that were predicted.
    ``loss``: on pictures that were held out, where that was the target; ``error``: relative
    error of the outputs of ``before`` (None: not measured)."""

    recipe: tuple[Transform, ...]
    net: Net
    before: Net
    tensors: tuple[TensorPlan, ...]
    attempts: tuple[Attempt, ...]
    loss: Loss | None = None
    error: float | None = 0.0
    around: tuple[Attempt, ...] = ()

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was done and what was not, and why."""
        return self.net.report

    def forgetting(self) -> Plan:
        """The same without weights: for when they have been written."""
        return replace(self, net=replace(self.net, layers=()), before=replace(self.before, layers=()))

    @property
    def expected(self) -> float | None:
        """Decibels of signal to noise to be expected at the outputs; None if that cannot be told."""
        if self.error is None:
            return None
        noise = self.error**2 + 10 ** (-self.chosen.snr / 10)
        return -10 * math.log10(noise) if noise > 0 else math.inf

    @property
    def chosen(self) -> Attempt:
        """The point on the curve."""
        return self.attempts[-1]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "recipe": as_steps(self.recipe),
            "structure_error": self.error,
            "expected_db": self.expected,
            "tensors": [tensor.as_dict() for tensor in self.tensors],
            "held_out": None if self.loss is None else self.loss.as_dict(),
            "curve": [self.point(one) for one in sorted((*self.attempts, *self.around), key=lambda one: one.snr)],
        }

    def point(self, one: Attempt) -> dict[str, Any]:
        """A point of the curve for JSON."""
        predicted = any(one is other for other in self.around)
        chosen = one is self.chosen
        return {"bytes": one.nbytes, "snr_db": one.snr, "lost": one.lost, "chosen": chosen, "predicted": predicted}


def tensor_plans(work: Quantization, net: Net, slope: float) -> tuple[TensorPlan, ...]:
    """For every tensor of a network that was quantised at that slope."""
    noise = work.division.noise(slope)
    whole = sum(noise.values()) or 1.0
    return tuple(
        tensor_plan(layer.name, index, tensor, noise, whole)
        for layer in net.layers
        for index, tensor in enumerate(layer.tensors)
    )


def tensor_plan(layer: str, index: int, tensor: Tensor, noise: Mapping[str, float], whole: float) -> TensorPlan:
    """One of them."""
    name = tensor_name(layer, index)
    blame = noise[name] / whole if name in noise else None
    if not isinstance(tensor, Levels):
        return TensorPlan(name, layer, tensor.shape, "kept", None, 8.0 * tensor.nbytes, None, blame)
    bits, zeros = 0.0, 0
    together = max(8, TOGETHER * tensor.shape[0] // max(1, tensor.size)) if len(tensor.shape) > 1 else tensor.size
    for start in range(0, tensor.shape[0] if tensor.shape else 1, together):
        part = tensor.levels[start : start + together] if tensor.shape else tensor.levels
        layout = level_codec.Layout.of(part.shape, tensor.trellis, tensor.wide)
        bits += level_codec.bits(part.astype(np.int32, copy=False), layout)
        zeros += part.size - int(np.count_nonzero(part))
    tensor.release()
    return TensorPlan(name, layer, tensor.shape, "quantised", float(tensor.steps.max()), bits, zeros, blame)
