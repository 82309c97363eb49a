"""Quantise the weights of a network, each tensor no finer than the outputs need.

Steps follow from a quality (`division`), or are stated one by one, as a plan has them. Matrices and kernels go through
the trellis with feedback, vectors are rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from threading import Lock
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from demitasse.codec import levels as level_codec
from demitasse.codec import lossless
from demitasse.codec.quantizer import quantize
from demitasse.errors import NetError, OptionError
from demitasse.net import Levels, Net, Note, Tensor
from demitasse.transforms.allocation import Allocation
from demitasse.transforms.division import Division, Job
from demitasse.transforms.noise_shaping import NO_SHAPING, shaping_of
from demitasse.transforms.sensitivity import Sensitivity
from demitasse.transforms.transform import SUPPLIED

__all__ = ["Progress", "Quantize", "bits_as_clusters"]

Progress = Callable[[int, int], None]
"""Told how many weights are done, and of how many."""

LARGE: Final = 1 << 22
"""Weights of a tensor beyond which it is quantised by several threads, in one round, and without feedback."""

FOR_EXACTNESS: Final = 1.0
"""Room that exact values may take, in parts of what quantised ones seem to take, which is some 8 % too much."""


@dataclass(frozen=True, slots=True)
class Quantize:
    """The transform: one of ``quality`` and ``steps``.

    ``quality``: signal to noise at the outputs in dB, as far as ``sensitivity`` can tell, which ``calibrate`` gives
    where it is not known. ``steps``: by tensor (``conv1[0]``); tensors without one stay as they are.
    ``allocation``: "uniform" takes one absolute step for all matrices, for comparison. ``feedback``: whether errors
    may make good for each other, as far as the sensitivity says how inputs go together. The result does not depend on
    ``threads``. OptionError for both or neither, for a quality or a step that is no number, and for tensors that the
    network does not have.
    """

    quality: float | None = None
    sensitivity: Sensitivity = field(default_factory=Sensitivity, repr=False, compare=False, metadata=SUPPLIED)
    allocation: Allocation = "sensitivity"
    feedback: bool = True
    threads: int = field(default=1, compare=False, metadata=SUPPLIED)
    progress: Progress | None = field(default=None, repr=False, compare=False, metadata=SUPPLIED)
    steps: Mapping[str, float] | None = None
    calibrate: Callable[[Net], Sensitivity] | None = field(default=None, repr=False, compare=False, metadata=SUPPLIED)

    tolerance: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        if (self.quality is None) == (self.steps is None):
            raise OptionError("give one of quality and steps" + (", not both" if self.steps is not None else ""))
        if self.quality is not None and not np.isfinite(self.quality):
            raise OptionError(f"quality is a number of decibels, and is {self.quality}")
        for name, step in (self.steps or {}).items():
            if not (np.isfinite(step) and step > 0):
                raise OptionError(f"the step of {name} is a number above 0, and is {step}")

    def __call__(self, net: Net) -> Net:
        """The same network with `Levels` where that is smaller, and notes on what was done."""
        known, notes = self.known(net)
        division = Division.of(net, known, self.allocation)
        steps = self.chosen(net, division)
        done = dict(self.run([job for job in division.jobs if job.key in steps], steps, known))
        layers = [
            layer.with_tensors(done.get(Job(layer, i).key, tensor) for i, tensor in enumerate(layer.tensors))
            for layer in net.layers
        ]
        return net.with_layers(layers, *self.notes(net, division.kept, done, known), *notes)

    def known(self, net: Net) -> tuple[Sensitivity, list[Note]]:
        """The sensitivity that was given, or what can be found out about it."""
        if self.calibrate is None or self.sensitivity.costs or self.sensitivity.feedback:
            return self.sensitivity, []
        try:
            return self.calibrate(net), []
        except NetError as error:
            text = f"sensitivities are not known, all weights count alike: {error}"
            return self.sensitivity, [Note("quantize", "", text)]

    def chosen(self, net: Net, division: Division) -> Mapping[str, float]:
        """The steps that were stated, or those for the quality. OptionError for what is no tensor of the network's."""
        if self.steps is None:
            return division.steps(division.slope(self.quality or 0.0))
        there = {Job(layer, i).key for layer in net.layers for i in range(len(layer.tensors))}
        for name in self.steps:
            if name not in there:
                raise OptionError(f'the network has no tensor "{name}" to be quantised')
            if reason := division.kept.get(name):
                raise OptionError(f"{name} cannot be quantised: {reason}")
        return self.steps

    def run(self, jobs: list[Job], steps: Mapping[str, float], known: Sensitivity) -> Iterator[tuple[str, Tensor]]:
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

            step = steps[job.key]
            return vector(job, step, tell) if job.vector else self.matrix(job, step, known, tell)

        large = [job for job in jobs if job.tensor.size > LARGE]
        small = [job for job in jobs if job.tensor.size <= LARGE]
        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            for job, tensor in chain(zip(small, pool.map(one, small), strict=True), ((job, one(job)) for job in large)):
                yield job.key, tensor

    def matrix(self, job: Job, step: float, known: Sensitivity, done: Callable[[int], None]) -> Tensor:
        """Levels; or the tensor itself, where its few values take no more room."""
        values = job.tensor.array()
        shaping = shaping_of(job.layer.name, job.index, known) if self.feedback else NO_SHAPING
        coded = quantize(
            values.astype(np.float32, copy=False),
            shaping.steps(step, job.finest),
            importance=shaping.importance,
            feedback=shaping.feedback,
            rounds=1 if values.size > LARGE else 2,
            threads=self.threads if values.size > LARGE else 1,
            done=done,
        )
        exactly = bits_as_clusters(values)
        if exactly is None:
            return coded
        rounded = level_codec.bits(coded.levels.astype(np.int32), level_codec.Layout.of(values.shape, coded.trellis))
        return job.tensor if exactly <= FOR_EXACTNESS * rounded else coded

    def notes(
        self, net: Net, kept: Mapping[str, str], done: Mapping[str, Tensor], known: Sensitivity
    ) -> Iterator[Note]:
        """One for the whole, and one for each tensor or layer with something that its owner should know."""
        levels = [tensor for tensor in done.values() if isinstance(tensor, Levels)]
        weights = sum(tensor.size for tensor in levels)
        wanted = "with steps as stated" if self.quality is None else f"for {self.quality:g} dB at the outputs"
        text = f"{weights} weights in {len(levels)} tensors, {wanted}"
        yield Note("quantize", "", text, {"quality": self.quality, "weights": weights, "allocation": self.allocation})
        for layer in net.layers:
            for index in range(len(layer.tensors)):
                if reason := kept.get(Job(layer, index).key):
                    yield Note("quantize", layer.name, f"tensor {index} is kept as it is: {reason}")
            if layer.name in known.unknown and layer.tensors:
                yield Note(
                    "quantize", layer.name, "cannot be run for the estimate: its weights count as those elsewhere"
                )


def vector(job: Job, step: float, done: Callable[[int], None]) -> Tensor:
    """Rounded."""
    values = job.tensor.array().astype(np.float32, copy=False)
    return quantize(values, step, trellis=False, lam=0.0, rounds=1, done=done)


def bits_as_clusters(values: npt.NDArray[Any]) -> float | None:
    """About what the positions in a codebook, and the codebook, would take; None if there are too many values."""
    if values.dtype != np.float32 or (keys := lossless.distinct(values)) is None:
        return None
    counts = np.bincount(lossless.positions(values, keys).reshape(-1), minlength=len(keys))
    shares = counts[counts > 0] / values.size
    return float(-values.size * np.sum(shares * np.log2(shares))) + 32.0 * len(keys)
