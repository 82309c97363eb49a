"""Quantise the weights of a network, each tensor no finer than the outputs need.

Matrices and kernels go through the trellis with feedback. Vectors (biases, statistics, factors) are few, and get fine
steps. What cannot be told from its neighbours by rounding (few distinct values, a single number, anything that is not
finite) is kept as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.codec import levels as level_codec
from demitasse.codec import lossless
from demitasse.codec.quantizer import largest_of, quantize
from demitasse.errors import OptionError
from demitasse.net import Clustered, Layer, Levels, Net, Note, Tensor
from demitasse.transforms.allocation import Allocation, Steps, Weighed, allocated
from demitasse.transforms.sensitivity import Sensitivity
from demitasse.transforms.sensitivity.grid import exact, snapped

__all__ = ["Progress", "Quantize"]

Progress = Callable[[int, int], None]
"""Told how many weights are done, and of how many."""

LARGE: Final = 1 << 22
"""Weights of a tensor beyond which it is quantised by several threads, in one round, and without feedback."""

SAMPLE: Final = 1 << 16
VECTOR_FINER: Final = 0.5
"""By how much a vector's step is finer than a matrix's would be; plain rounding has a third of the error."""

FINEST: Final = 1 << 15
"""Levels of a vector: 16 bits."""

COARSEST: Final = 8.0
"""A vector's steps are at most its root mean square over this."""

FINEST_INDEX: Final = 1 << 20
"""Steps that a number may be large."""

FOR_EXACTNESS: Final = 1.1
"""Room that exact values may take, in parts of what quantised ones take."""

TINIEST: Final = 1e-30
HUGEST: Final = 1e30
"""Largest magnitudes between which a tensor is quantised: a step beyond would not be a normal number."""

STATISTICS: Final = frozenset({"BatchNorm", "BN"})


@dataclass(frozen=True, slots=True)
class Job:
    """One tensor: where it is, and what it is to become."""

    layer: Layer
    index: int

    @property
    def key(self) -> str:
        """Name in the allocation."""
        return f"{self.layer.name}\0{self.index}"

    @property
    def tensor(self) -> Tensor:
        """What it was."""
        return self.layer.tensors[self.index]

    @property
    def vector(self) -> bool:
        """Whether it has one number a channel, or one for all."""
        shape = self.tensor.shape
        return len(shape) < 2 or self.tensor.size == max(shape)


@dataclass(frozen=True, slots=True)
class Quantize:
    """The transform. ``quality``: signal to noise at the outputs in dB, as far as ``sensitivity`` can tell.

    ``allocation``: "uniform" takes one absolute step for all matrices, for comparison. ``feedback``: whether errors
    may make good for each other. The result does not depend on ``threads``.
    """

    quality: float
    sensitivity: Sensitivity = field(default_factory=Sensitivity)
    allocation: Allocation = "sensitivity"
    feedback: bool = True
    threads: int = 1
    progress: Progress | None = None

    def __call__(self, net: Net) -> Net:
        """The same network with `Levels` where that is smaller, and notes on what was done. OptionError for a
        quality that is not a number."""
        if not np.isfinite(self.quality):
            raise OptionError(f"quality is a number of decibels, and is {self.quality}")
        jobs = [Job(layer, i) for layer in net.layers for i, t in enumerate(layer.tensors) if t.size]
        kept = {job.key: reason for job in jobs if (reason := reason_to_keep(job)) is not None}
        jobs = [job for job in jobs if job.key not in kept]
        weighed = {job.key: self.weighed(job) for job in jobs}
        matrices = {job.key: weighed[job.key] for job in jobs if not job.vector}
        steps = allocated(matrices or weighed, self.quality, self.allocation)
        done = dict(self.run(jobs, steps, weighed))
        layers = [
            layer.with_tensors(done.get(Job(layer, i).key, tensor) for i, tensor in enumerate(layer.tensors))
            for layer in net.layers
        ]
        return net.with_layers(layers, *self.notes(net, kept, done))

    def weighed(self, job: Job) -> Weighed:
        """Size, mean square and cost of a tensor."""
        values = job.tensor.array().reshape(-1)
        stride = max(1, values.size // SAMPLE)
        sample = snapped(values[::stride].astype(np.float32))
        square = float(exact(snapped(exact(sample) ** 2)).sum()) / sample.size
        job.tensor.release()
        share = np.count_nonzero(sample) / sample.size
        cost = self.sensitivity.costs.get((job.layer.name, job.index))
        size = job.tensor.size
        known = None if cost is None else float(exact(snapped(cost.rows)).sum()) / size
        return Weighed(size, square, known, share)

    def run(self, jobs: list[Job], steps: Steps, weighed: Mapping[str, Weighed]) -> Iterator[tuple[str, Tensor]]:
        """Every tensor in its new form. Small ones side by side, large ones each by all threads."""
        total, done = sum(job.tensor.size for job in jobs), 0
        turn = Lock()

        def one(job: Job) -> Tensor:
            def tell(weights: int) -> None:
                nonlocal done
                job.tensor.release()
                with turn:
                    done += weights
                    if self.progress is not None:
                        self.progress(done, total)

            return vector(job, weighed[job.key], steps, tell) if job.vector else self.matrix(job, steps[job.key], tell)

        large = [job for job in jobs if job.tensor.size > LARGE]
        small = [job for job in jobs if job.tensor.size <= LARGE]
        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            for job, tensor in chain(zip(small, pool.map(one, small), strict=True), ((job, one(job)) for job in large)):
                yield job.key, tensor

    def matrix(self, job: Job, step: float, done: Callable[[int], None]) -> Tensor:
        """Levels; or the tensor itself, where its few values take no more room."""
        values = job.tensor.array()
        step = max(step, largest_of(values) / FINEST_INDEX)
        band = self.sensitivity.bands.get(job.layer.name) if job.index == 0 and values.size <= LARGE else None
        coded = quantize(
            values.astype(np.float32, copy=False),
            step,
            feedback=band.feedback() if band is not None and self.feedback else None,
            rounds=1 if values.size > LARGE else 2,
            threads=self.threads if values.size > LARGE else 1,
            done=done,
        )
        exactly = bits_as_clusters(values)
        if exactly is None:
            return coded
        rounded = level_codec.bits(coded.levels.astype(np.int32), level_codec.Layout.of(values.shape, coded.trellis))
        return job.tensor if exactly <= FOR_EXACTNESS * rounded else coded

    def notes(self, net: Net, kept: Mapping[str, str], done: Mapping[str, Tensor]) -> Iterator[Note]:
        """One for the whole, and one for each tensor or layer with something that its owner should know."""
        levels = [tensor for tensor in done.values() if isinstance(tensor, Levels)]
        weights = sum(tensor.size for tensor in levels)
        text = f"{weights} weights in {len(levels)} tensors, for {self.quality:g} dB at the outputs"
        yield Note("quantize", "", text, {"quality": self.quality, "weights": weights, "allocation": self.allocation})
        for key, reason in kept.items():
            name, index = key.split("\0")
            if reason:
                yield Note("quantize", name, f"tensor {index} is kept as it is: {reason}")
        for layer in net.layers:
            if layer.name in self.sensitivity.unknown and layer.tensors:
                yield Note(
                    "quantize", layer.name, "cannot be run for the estimate: its weights count as those elsewhere"
                )


def reason_to_keep(job: Job) -> str | None:
    """Why a tensor is not quantised: "" for what nobody asks about, None if it is."""
    tensor = job.tensor
    if isinstance(tensor, Levels | Clustered):
        return ""
    values = tensor.array()
    if values.dtype.kind != "f":
        return "its elements are not floating-point numbers"
    largest = largest_of(values)
    if not np.isfinite(largest):
        return "it holds numbers that are not finite"
    if tensor.size == 1 or (job.layer.type in STATISTICS and job.index > 1):
        return ""
    if largest == 0:
        return ""
    if not TINIEST < largest < HUGEST:
        return "its numbers are at the limits of float32"
    return None


def vector(job: Job, weighed: Weighed, steps: Steps, done: Callable[[int], None]) -> Tensor:
    """Rounded finely; or the tensor itself, where that would not do."""
    values = job.tensor.array().astype(np.float32, copy=False)
    largest = largest_of(values)
    step = largest / FINEST
    if weighed.cost:
        wanted = steps.at(weighed.cost) / VECTOR_FINER
        step = max(step, min(wanted, weighed.power**0.5 / COARSEST))
    if job.layer.type in STATISTICS and job.index == 1:
        smallest = float(np.min(values))
        step = min(step, smallest / COARSEST)
        if step * FINEST_INDEX < largest:
            return job.tensor
    return quantize(values, step, trellis=False, lam=0.0, rounds=1, done=done)


def bits_as_clusters(values: npt.NDArray[Any]) -> float | None:
    """About what the positions in a codebook, and the codebook, would take; None if there are too many values."""
    if values.dtype != np.float32 or (keys := lossless.distinct(values)) is None:
        return None
    counts = np.bincount(lossless.positions(values, keys).reshape(-1), minlength=len(keys))
    shares = counts[counts > 0] / values.size
    return float(-values.size * np.sum(shares * np.log2(shares))) + 32.0 * len(keys)
