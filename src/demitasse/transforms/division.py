"""Which tensors of a network are quantised, and how all their steps follow from one price.

One number, the slope, divides the bits of the whole network: at each slope every tensor has its step, such that a bit
spent anywhere lowers the error of the outputs by as much (`allocation`). Vectors (biases, statistics, factors) are few,
and get finer steps. What cannot be told from its neighbours by rounding (few distinct values, a single number, anything
that is not finite) is kept as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from demitasse.codec.quantizer import largest_of
from demitasse.net import Clustered, Layer, Levels, Net, Tensor
from demitasse.transforms.allocation import MARGIN, Allocation, Steps, Weighed, allocated, expected
from demitasse.transforms.noise_shaping import row_factors
from demitasse.transforms.sensitivity import Sensitivity
from demitasse.transforms.sensitivity.grid import exact, snapped

__all__ = ["Division", "Job", "tensor_name"]

SAMPLE: Final = 1 << 16

VECTOR_FINER: Final = 0.5
"""By how much a vector's step is finer than a matrix's would be; plain rounding has a third of the error."""

FINEST: Final = 1 << 15
"""Levels of a vector: 16 bits."""

COARSEST: Final = 8.0
"""A vector's steps are at most its root mean square over this."""

FINEST_INDEX: Final = 1 << 20
"""Steps that a number may be large."""

TINIEST: Final = 1e-30
HUGEST: Final = 1e30
"""Largest magnitudes between which a tensor is quantised: a step beyond would not be a normal number."""

STATISTICS: Final = frozenset({"BatchNorm", "BN"})


def tensor_name(layer: str, index: int) -> str:
    """``conv1[0]``: what reports and recipes call a tensor."""
    return f"{layer}[{index}]"


@dataclass(frozen=True, slots=True)
class Job:
    """One tensor: where it is. ``largest``: of its magnitudes."""

    layer: Layer
    index: int
    largest: float = 0.0

    @classmethod
    def of(cls, layer: Layer, index: int) -> Job:
        """Looks at every weight, unless it is coded already."""
        tensor = layer.tensors[index]
        if isinstance(tensor, Levels | Clustered) or tensor.dtype.kind != "f":
            return cls(layer, index)
        return cls(layer, index, largest_of(tensor.array()))

    @property
    def key(self) -> str:
        """Its name."""
        return tensor_name(self.layer.name, self.index)

    @property
    def tensor(self) -> Tensor:
        """What it was."""
        return self.layer.tensors[self.index]

    @property
    def vector(self) -> bool:
        """Whether it has one number a channel, or one for all."""
        shape = self.tensor.shape
        return len(shape) < 2 or self.tensor.size == max(shape)

    @property
    def finest(self) -> float:
        """The smallest step that the quantiser takes."""
        return self.largest / FINEST_INDEX


@dataclass(frozen=True)
class Division:
    """The tensors to be quantised, in order, and those that are ``untouched``; for these the reason (``kept``: "" for
    what nobody asks about), for the others what they are like (``weighed``)."""

    jobs: tuple[Job, ...]
    untouched: tuple[Tensor, ...]
    kept: Mapping[str, str]
    weighed: Mapping[str, Weighed]
    allocation: Allocation = "sensitivity"
    trust: float = 1.0

    @classmethod
    def of(cls, net: Net, sensitivity: Sensitivity, allocation: Allocation = "sensitivity") -> Division:
        """Of a network. Looks at every weight once."""
        jobs = [Job.of(layer, i) for layer in net.layers for i, t in enumerate(layer.tensors) if t.size]
        kept = {job.key: reason for job in jobs if (reason := reason_to_keep(job)) is not None}
        untouched = tuple(job.tensor for job in jobs if job.key in kept)
        jobs = [job for job in jobs if job.key not in kept]
        known = {job.key: weighed(job, sensitivity) for job in jobs}
        return cls(tuple(jobs), untouched, kept, known, allocation, sensitivity.trust)

    @cached_property
    def matrices(self) -> Mapping[str, Weighed]:
        """What the division is about; vectors only where there is nothing else."""
        found = {job.key: self.weighed[job.key] for job in self.jobs if not job.vector}
        return found or self.weighed

    @cached_property
    def costs(self) -> Mapping[str, float]:
        """What each step is taken from."""
        return allocated(self.matrices, 0.0, self.allocation, self.trust).costs

    def slope(self, quality: float) -> float:
        """For outputs with about so many decibels of signal to noise."""
        return allocated(self.matrices, quality, self.allocation, self.trust).slope

    def steps(self, slope: float) -> dict[str, float]:
        """By name. Tensors that no step fits are left out: they stay as they are."""
        steps = Steps(slope, self.costs)
        found = {}
        for job in self.jobs:
            known = self.weighed[job.key]
            step = vector_step(job, known, steps) if job.vector else max(steps[job.key], job.finest)
            if step is not None:
                found[job.key] = step
        return found

    def quality(self, slope: float) -> float:
        """The decibels of signal to noise to be expected."""
        noise = sum(self.noise(slope).values())
        return -10 * math.log10(noise) - MARGIN if noise > 0 else math.inf

    def noise(self, slope: float) -> dict[str, float]:
        """The expected error of the outputs that each of the `matrices` is to blame for, as a share of their power."""
        steps = Steps(slope, self.costs)
        return {key: expected(known, steps[key]) for key, known in self.matrices.items() if key in self.costs}


def weighed(job: Job, sensitivity: Sensitivity) -> Weighed:
    """Size, mean square and cost of a tensor."""
    values = job.tensor.array().reshape(-1)
    stride = max(1, values.size // SAMPLE)
    sample = snapped(values[::stride].astype(np.float32))
    square = float(exact(snapped(exact(sample) ** 2)).sum()) / sample.size
    job.tensor.release()
    share = np.count_nonzero(sample) / sample.size
    return Weighed(job.tensor.size, square, cost_of(job, sensitivity), share)


def cost_of(job: Job, sensitivity: Sensitivity) -> float | None:
    """Of a squared error of one weight; with feedback, of a squared distance from a target, in a row of factor 1."""
    cost = sensitivity.costs.get((job.layer.name, job.index))
    if cost is None:
        return None
    rows = exact(snapped(cost.rows))
    feedback = sensitivity.feedback.get(job.layer.name) if job.index == 0 else None
    if feedback is None:
        return float(rows.sum()) / job.tensor.size
    return row_factors(rows, sensitivity.trust)[1] * len(rows) * feedback.gain / job.tensor.size


def reason_to_keep(job: Job) -> str | None:
    """Why a tensor is not quantised: "" for what nobody asks about, None if it is."""
    tensor = job.tensor
    if isinstance(tensor, Levels | Clustered):
        return ""
    if tensor.dtype.kind != "f":
        return "its elements are not floating-point numbers"
    largest = job.largest
    if not np.isfinite(largest):
        return "it holds numbers that are not finite"
    if tensor.size == 1 or (job.layer.type in STATISTICS and job.index > 1):
        return ""
    if largest == 0:
        return ""
    if not TINIEST < largest < HUGEST:
        return "its numbers are at the limits of float32"
    return None


def vector_step(job: Job, weighed: Weighed, steps: Steps) -> float | None:
    """A fine step for a vector; None where none would do."""
    largest = job.largest
    step = largest / FINEST
    if weighed.cost:
        wanted = steps.at(weighed.cost) / VECTOR_FINER
        step = max(step, min(wanted, weighed.power**0.5 / COARSEST))
    if job.layer.type in STATISTICS and job.index == 1:
        smallest = float(np.min(job.tensor.array()))
        step = min(step, smallest / COARSEST)
        if step * FINEST_INDEX < largest:
            return None
    return step
