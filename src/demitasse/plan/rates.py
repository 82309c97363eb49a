"""What steps cost in bytes, tensor by tensor, from a few codings of a sample at steps an octave's part apart.

The bits are those that the entropy coder's own statistics ask for, and real ones where a large tensor is coded alone;
between two steps that were tried they are interpolated. What a file really takes differs by a few per cent, always in
the same direction: how much, one real file tells (`Rates.scale_of`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from demitasse.codec import blocks
from demitasse.codec import text as text_coder
from demitasse.codec.levels import Coder, Layout, LevelTensor, encode
from demitasse.codec.quantizer import quantize, rate_distortion
from demitasse.net import Dense
from demitasse.transforms.division import Division, Job
from demitasse.transforms.noise_shaping import shaping_of
from demitasse.transforms.quantize import bits_as_clusters
from demitasse.transforms.sensitivity import Sensitivity

__all__ = ["Rates"]

SAMPLE: Final = 1 << 15
"""Weights of a tensor that are coded, about."""

SAMPLE_ALONE: Final = 1 << 18
"""The same of those that are coded alone."""

APART: Final = 1
"""Steps that are tried in an octave."""

ENTRY: Final = 6
"""Bytes of a tensor's entry in the index, about."""

CODED: Final = 8
"""Times that coded tensors are smaller than plain ones, about."""

SCALE: Final = 0.92
"""What files take over what is computed, about: a sample teaches the coder less than all of a network does."""

GAUSSIAN: Final = 2.0
"""In ½ log₂(1 + this × variance / step²), about the bits of a weight."""

Known = dict[tuple[str, int], float]


@dataclass(frozen=True)
class Rates:
    """``head``: bytes that do not depend on steps, about. ``bits``: of a weight, by tensor and number of the step, as
    far as it was tried."""

    division: Division
    sensitivity: Sensitivity
    head: float
    threads: int = 1
    bits: Known = field(default_factory=dict)

    @classmethod
    def of(cls, division: Division, sensitivity: Sensitivity, text: bytes, threads: int = 1) -> Rates:
        """Of a network whose prototxt is ``text``."""
        kept = sum(one.nbytes / (1 if isinstance(one, Dense) else CODED) for one in division.untouched)
        head = len(text_coder.encode(text)) + kept + ENTRY * (len(division.jobs) + len(division.untouched))
        return cls(division, sensitivity, head, threads)

    def scale_of(self, steps: Mapping[str, float], nbytes: int) -> float:
        """What a file of that size with these steps takes over what is computed."""
        return max(0.1, (nbytes - self.head) / max(1.0, sum(self.each(steps).values())))

    def nbytes(self, steps: Mapping[str, float], scale: float = 1.0) -> float:
        """Of a file with these steps."""
        return self.head + scale * sum(self.each(steps).values())

    def guess(self, steps: Mapping[str, float]) -> float:
        """About as many, of normally distributed weights: no coding is needed."""
        bits = self.head * 8
        for job in self.division.jobs:
            known = self.division.weighed[job.key]
            if job.key in steps:
                bits += known.size * known.share * math.log2(1 + GAUSSIAN * known.power / steps[job.key] ** 2) / 2
        return bits / 8

    def each(self, steps: Mapping[str, float]) -> dict[str, float]:
        """Bytes of each tensor, not corrected."""
        jobs = {job.key: job for job in self.division.jobs if job.key in steps}
        places = {key: APART * math.log2(steps[key]) for key in jobs}
        wanted = {(key, at) for key, place in places.items() for at in (math.floor(place), math.floor(place) + 1)}
        self.learn(jobs, sorted(wanted - self.bits.keys()))
        found = {}
        for key, place in places.items():
            low = math.floor(place)
            share = place - low
            bits = (1 - share) * self.bits[key, low] + share * self.bits[key, low + 1]
            found[key] = bits * jobs[key].tensor.size / 8 * (1.0 if key in self.alone else SCALE)
        return found

    @cached_property
    def alone(self) -> frozenset[str]:
        """Tensors that the container codes alone, by the faster coder."""
        sizes = {job.key: job.tensor.size for job in self.division.jobs if not job.vector}
        large = sum(sizes.values()) > blocks.LARGE
        return frozenset(key for key, size in sizes.items() if large and size >= blocks.ALONE)

    def learn(self, jobs: Mapping[str, Job], wanted: Iterable[tuple[str, int]]) -> None:
        """Code what is not known yet."""
        places: dict[str, list[int]] = {}
        for key, place in wanted:
            places.setdefault(key, []).append(place)

        def code(key: str) -> list[float]:
            steps = [2.0 ** (place / APART) for place in places[key]]
            return alone(jobs[key], steps) if key in self.alone else coded(jobs[key], steps, self.sensitivity)

        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            for (key, at), bits in zip(places.items(), pool.map(code, places), strict=True):
                self.bits.update(((key, place), each) for place, each in zip(at, bits, strict=True))


def alone(job: Job, steps: list[float]) -> list[float]:
    """Bits of a weight at each of the steps, of rows that are really coded."""
    values = job.tensor.array()
    rows = values.reshape(values.shape[0], -1)
    count = min(len(rows), max(8, SAMPLE_ALONE // rows.shape[1]))
    sample = rows[np.arange(count) * len(rows) // count].astype(np.float32).reshape(count, *values.shape[1:])
    job.tensor.release()
    found = []
    for step in steps:
        levels = quantize(sample, max(step, job.finest), rounds=1)
        layout = Layout.of(levels.shape, levels.trellis)
        tensor = LevelTensor(levels.levels.astype(np.int32, copy=False), layout)
        found.append(8 * len(encode([tensor], coder=Coder.TABLES)) / sample.size)
    return found


def coded(job: Job, steps: list[float], known: Sensitivity) -> list[float]:
    """Bits of a weight at each of the steps."""
    values = job.tensor.array().astype(np.float32, copy=False)
    usable = [max(step, job.finest) for step in steps]
    if job.vector:
        points = rate_distortion(values, usable, trellis=False, lam=0.0, rounds=1, sample=SAMPLE)
    else:
        shaping = shaping_of(job.layer.name, job.index, known)
        points = rate_distortion(
            values,
            usable,
            importance=shaping.importance,
            feedback=shaping.feedback,
            relative=shaping.relative,
            rounds=1,
            sample=SAMPLE,
        )
    exactly = None if job.vector else bits_as_clusters(values)
    most = math.inf if exactly is None else exactly / job.tensor.size
    job.tensor.release()
    return [min(point.bits, most) for point in points]
