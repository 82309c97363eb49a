"""Weights to integer levels, at the least cost in squared error and bits: rate–distortion optimised quantisation.

A level stands for a point of a uniform grid. With the trellis (dependent quantisation: two interleaved grids and a
machine of 8 or 256 states that chooses between them) the same error takes some 6 to 14 % fewer bits; Viterbi's
algorithm finds the levels of a row that cost least together. What a level costs in bits is asked of the entropy
coder's own statistics, which depend on the levels: hence rounds.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from demitasse import _core
from demitasse.codec.index import SHIFTS
from demitasse.codec.levels import Layout
from demitasse.errors import NetError, OptionError
from demitasse.net import Levels, release

__all__ = [
    "ROUNDING_LAMBDA",
    "TRELLIS_LAMBDA",
    "Importance",
    "RatePoint",
    "largest_of",
    "quantize",
    "rate_distortion",
    "step_for_error",
]

Floats = npt.NDArray[np.float32]

TRELLIS_LAMBDA: Final = 0.25
"""Squared steps that a bit is worth, with the trellis: smallest at equal error on real networks (0.2 to 0.4)."""

ROUNDING_LAMBDA: Final = 0.11
"""The same without it (0.08 to 0.15)."""

ROUNDS: Final = 5
"""Of quantising against the statistics of the round before. From 3 to 5 saves 0.8 % at low rates, further ones less."""

BLOCK_ELEMENTS: Final = 1 << 22
"""Weights that are quantised against statistics of their own, about: as many as the container stores in a block."""

ROOM_IN_MEMORY: Final = 1 << 26
"""Bytes of levels that are simply kept in memory."""

ROWS_TOGETHER: Final = 8
"""The entropy coder walks eight rows at a time, so blocks and samples are multiples of that."""

SAMPLE_ELEMENTS: Final = 1 << 18
"""Weights that stand for a whole tensor where only its rate and its error are asked for, about."""


@dataclass(frozen=True, slots=True, eq=False)
class Importance:
    """How much a squared error matters, in units of the row's squared step; the two factors are multiplied.

    ``rows``: one factor a row (output channel). ``columns``: one a column (input channel × kernel position).
    Not negative, and about 1 on the average: λ is what a bit is worth where the importance is 1.
    """

    rows: Floats | None = None
    columns: Floats | None = None


class RatePoint(NamedTuple):
    """What a step would give."""

    bits: float
    """A weight, on the average."""
    mse: float
    """Mean squared error of a weight, in squared units of the weights (times importance, if there is any)."""


def quantize(
    weights: npt.NDArray[np.float32],
    steps: float | npt.ArrayLike,
    *,
    lam: float | None = None,
    trellis: bool = True,
    wide: bool = False,
    importance: Importance | None = None,
    feedback: Floats | None = None,
    rounds: int = ROUNDS,
    threads: int = 1,
    done: Callable[[int], None] | None = None,
) -> Levels:
    """Levels that minimise the sum of importance × (weight - value)² + lam × step² × bits.

    ``weights``: of a blob, in its shape; rows are its first dimension. ``steps``: one, or one a row; with the trellis
    a step is half the distance of neighbours on one grid. ``lam``: squared steps per bit; by default what was best on
    real networks. ``wide``: a trellis of 256 states, not 8, for 1 to 2.5 % fewer bits in about twice the time; not with
    ``feedback``, and not for blocks that are to be decoded fast. ``feedback``, with the trellis: (columns, order), what
    an error at each column adds to the targets of
    the ``order`` columns after it; distances from targets then take the place of errors. Tensors of fewer than two
    dimensions are rounded without a trellis, whatever ``trellis`` says. Exact zeros stay zero. The result does not
    depend on ``threads``. ``done`` is told how many weights have been done, part by
    part, on any thread. Fewer ``rounds`` are faster: 2 take half the time and 1.5 % more bits at low rates.

    NetError for weights that are not finite; OptionError for steps that are not positive, that do not fit the shape,
    or that are less than 2^-22 of a weight of their row.
    """
    job = _Job.of(weights, steps, trellis, importance, feedback, wide)
    job.check()
    lam = _lambda(lam, job.layout.trellis)
    if wide and feedback is not None:
        raise OptionError("feedback does not go with a wide trellis")
    if rounds < 1:
        raise OptionError(f"rounds of quantisation must be at least 1, and are {rounds}")
    parts = [(start, stop) for start, stop in job.parts() if stop > start]

    levels = _room((job.layout.rows, job.columns), job.narrowest())
    turn = Lock()

    def run(part: tuple[int, int]) -> _Result:
        nonlocal levels
        start, stop = part
        found = np.empty((stop - start, job.columns), np.int32)
        result = job.rows(start, stop).run(lam, rounds, measure=False, out=found)
        with turn:
            largest = max(int(found.max(initial=0)), -int(found.min(initial=0)))
            levels = levels.astype(np.promote_types(levels.dtype, _narrowest(largest)), copy=False)
            levels[start:stop] = found
            release(levels[start:stop], shared=True)
        if done is not None:
            done(found.size)
        return result

    with ThreadPoolExecutor(max(1, min(threads, len(parts)))) as pool:
        results = list(pool.map(run, parts))
    shifts = _shifts([result.centroids for result in results])
    levels.flags.writeable = False
    return Levels(levels.reshape(job.shape), job.steps.copy(), job.layout.trellis, shifts, job.layout.wide)


def largest_of(values: npt.NDArray[Any]) -> float:
    """Magnitude of the largest; not finite if one is not. Looked at in parts, which need not stay in memory."""
    flat, largest = values.reshape(-1), 0.0
    for start in range(0, flat.size, BLOCK_ELEMENTS):
        part = flat[start : start + BLOCK_ELEMENTS]
        largest = float(np.maximum(largest, np.maximum(part.max(), -part.min())))
        release(part)
    return largest


def _room(shape: tuple[int, int], dtype: np.dtype[np.signedinteger[Any]]) -> npt.NDArray[np.signedinteger[Any]]:
    """An array to write to: a large one in a file without a name, so that its pages need not stay in memory."""
    nbytes = shape[0] * shape[1] * dtype.itemsize
    if nbytes >= ROOM_IN_MEMORY and hasattr(os, "posix_fallocate"):
        with suppress(OSError), TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, nbytes)
            return np.ndarray(shape, dtype, mmap.mmap(file.fileno(), nbytes))
    return np.empty(shape, dtype)


def _narrowest(largest: int) -> np.dtype[np.signedinteger[Any]]:
    """The narrowest type of signed integers that holds magnitudes up to this."""
    return np.dtype(np.min_scalar_type(-largest - 1))


def rate_distortion(
    weights: npt.NDArray[np.float32],
    steps: Sequence[float],
    *,
    lam: float | None = None,
    trellis: bool = True,
    importance: Importance | None = None,
    feedback: Floats | None = None,
    rounds: int = 2,
    relative: Floats | None = None,
    sample: int = SAMPLE_ELEMENTS,
) -> list[RatePoint]:
    """What each of these steps would give, from about ``sample`` weights in rows from the weakest to the strongest.

    ``relative``: one factor a row by which the step is multiplied. With ``feedback`` the error is the mean squared
    distance from the targets. Errors as in `quantize`.
    """
    out = []
    for step in steps:
        scaled = step if relative is None else np.asarray(relative, np.float32) * np.float32(step)
        job = _Job.of(weights, scaled, trellis, importance, feedback).sampled(sample)
        job.check()
        count = max(job.weights.size, 1)
        levels = np.empty(job.weights.shape, np.int32)
        result = job.run(_lambda(lam, job.layout.trellis), rounds, measure=True, out=levels)
        out.append(RatePoint(result.bits / count, result.squared_error / count))
    return out


def step_for_error(
    weights: npt.NDArray[np.float32],
    error: float,
    *,
    lam: float | None = None,
    trellis: bool = True,
    rounds: int = ROUNDS,
    sample: int = SAMPLE_ELEMENTS,
    tolerance: float = 0.002,
) -> float:
    """The step at which the squared error is ``error`` times the variance of the weights, within ``tolerance`` of it.

    OptionError if ``error`` is not between 0 and 1, or all weights are equal.
    """
    values = np.asarray(weights, np.float64)
    variance = float(values.var()) if values.size else 0.0
    if not 0 < error < 1:
        raise OptionError(f"a relative squared error lies between 0 and 1, and not at {error}")
    if not 0 < variance < np.inf:
        raise OptionError("weights that are all equal have no error relative to a variance: store them without loss")
    target = error * variance
    # A uniform quantiser of step q has an error of q²/12; the logarithms of step and error go nearly in parallel.
    low, high = -np.inf, np.inf
    guess = 0.5 * np.log(4 * target if trellis else 10 * target)
    for _ in range(16):
        step = float(np.exp(guess))
        point = rate_distortion(weights, [step], lam=lam, trellis=trellis, rounds=rounds, sample=sample)[0]
        distance = 0.5 * np.log(target / max(point.mse, target * 1e-6))
        if abs(2 * distance) < tolerance:
            break
        low, high = (max(low, guess), high) if distance > 0 else (low, min(high, guess))
        guess += np.clip(distance, -1.0, 1.0)
        if not low < guess < high:
            guess = 0.5 * (low + high)
    return float(np.exp(guess))


def _lambda(lam: float | None, trellis: bool) -> float:
    if lam is None:
        return TRELLIS_LAMBDA if trellis else ROUNDING_LAMBDA
    if not 0 <= lam < 1e6:
        raise OptionError(f"lam (squared steps per bit) must be zero or more, and is {lam}")
    return lam


def _shifts(centroids: Sequence[npt.NDArray[np.float64]]) -> Floats:
    """Of all parts together: multiples of 1/256 within ±1/2, as the core has them for a part."""
    pull, weight = np.sum(centroids, axis=0).reshape(2, SHIFTS) if centroids else np.zeros((2, SHIFTS))
    mean = np.divide(pull, weight, out=np.zeros(SHIFTS), where=weight > 0)
    return (np.clip(np.floor(mean * 256 + 0.5), -128, 127) / 256).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    centroids: npt.NDArray[np.float64]
    bits: float
    squared_error: float


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A matrix of weights with all that belongs to it, or some rows of one."""

    weights: Floats  # (rows, columns)
    shape: tuple[int, ...]
    layout: Layout
    steps: Floats
    row_importance: Floats | None
    column_importance: Floats | None
    feedback: Floats | None = None

    @classmethod
    def of(
        cls,
        weights: npt.NDArray[Any],
        steps: float | npt.ArrayLike,
        trellis: bool,
        importance: Importance | None,
        feedback: Floats | None = None,
        wide: bool = False,
    ) -> _Job:
        weights = np.asarray(weights)
        trellis = trellis and weights.ndim > 1
        layout = Layout.of(weights.shape, trellis, trellis and wide)
        matrix = np.ascontiguousarray(weights, np.float32).reshape(layout.rows, -1 if weights.size else 0)
        steps = np.atleast_1d(np.asarray(steps, np.float32))
        if steps.ndim != 1 or len(steps) not in (1, layout.rows):
            raise OptionError(f"a tensor of shape {weights.shape} takes 1 step or {layout.rows}, and not {steps.shape}")
        importance = importance or Importance()
        if feedback is not None:
            feedback = np.ascontiguousarray(feedback, np.float32)
            if feedback.ndim != 2 or len(feedback) != matrix.shape[1]:
                raise OptionError(f"feedback of shape {feedback.shape} does not fit {matrix.shape[1]} columns")
            feedback = feedback.ravel() if layout.trellis else None
        return cls(
            matrix,
            weights.shape,
            layout,
            steps,
            _factors(importance.rows, layout.rows, "rows"),
            _factors(importance.columns, matrix.shape[1], "columns"),
            feedback,
        )

    @property
    def aligned(self) -> Floats:
        """The weights for the core: those of a mapped caffemodel begin at any byte, and are copied."""
        return np.require(self.weights, requirements=["C", "A"])

    def narrowest(self) -> np.dtype[np.signedinteger[Any]]:
        """A type for the levels, which holds them all unless feedback makes some larger than their weights."""
        largest = largest_of(self.weights)
        return _narrowest(int(min(largest / float(self.steps.min()), 2.0**24)) // (2 if self.layout.trellis else 1) + 2)

    @property
    def columns(self) -> int:
        return int(self.weights.shape[1])

    def parts(self) -> list[tuple[int, int]]:
        """Ranges of rows of about equal size, cut as the container cuts them."""
        rows = self.layout.rows
        count = max(-(-self.weights.size // BLOCK_ELEMENTS), 1)
        step = -(-max(-(-rows // count), 1) // ROWS_TOGETHER) * ROWS_TOGETHER
        return [(start, min(start + step, rows)) for start in range(0, rows, step)]

    def rows(self, start: int, stop: int) -> _Job:
        return self._taking(slice(start, stop), self.weights[start:stop])

    def sampled(self, size: int) -> _Job:
        """Rows of about that many weights together, weak and strong ones alike; itself if it is not larger."""
        rows = self.layout.rows
        wanted = -(-max(-(-size // max(self.columns, 1)), 1) // ROWS_TOGETHER) * ROWS_TOGETHER
        if wanted >= rows:
            return self
        by_energy = np.argsort(np.einsum("ij,ij->i", self.weights, self.weights), kind="stable")
        chosen = np.sort(by_energy[(np.arange(wanted) * rows + rows // 2) // wanted])
        return self._taking(chosen, self.weights[chosen])

    def _taking(self, rows: slice | npt.NDArray[np.intp], weights: Floats) -> _Job:
        layout = Layout(
            len(weights),
            self.layout.channels,
            self.layout.kernel_h,
            self.layout.kernel_w,
            self.layout.trellis,
            self.layout.wide,
        )
        steps = self.steps if len(self.steps) == 1 else np.ascontiguousarray(self.steps[rows])
        importance = None if self.row_importance is None else np.ascontiguousarray(self.row_importance[rows])
        return _Job(weights, weights.shape, layout, steps, importance, self.column_importance, self.feedback)

    def check(self) -> None:
        """OptionError or NetError for what cannot be quantised."""
        if not bool(np.all((self.steps > 0) & np.isfinite(self.steps))):
            raise OptionError(f"a quantiser's steps must be positive numbers, and one is {self.steps.min()}")
        for start, stop in self.parts():
            part = self.rows(start, stop)
            fault, position = _core.find_fault(part.aligned, part.layout.shape, part.steps)
            if fault:
                self._refuse(fault, start + position // self.columns, position % self.columns)
            release(part.weights)

    def _refuse(self, fault: int, row: int, column: int) -> NoReturn:
        where = f"weight {self.weights[row, column]} (row {row}, column {column})"
        if fault == 1:
            raise NetError(f"{where} is not finite: it cannot be quantised; store this tensor without loss")
        step = self.steps[row if len(self.steps) > 1 else 0]
        raise OptionError(f"{where} is more than 2^22 steps of {step}: take a larger step, or store without loss")

    def run(self, lam: float, rounds: int, *, measure: bool, out: npt.NDArray[np.int32]) -> _Result:
        if not self.weights.size:
            return _Result(np.zeros(2 * SHIFTS), 0.0, 0.0)
        centroids, bits, squared_error = _core.quantize(
            self.aligned,
            self.layout.shape,
            self.steps,
            self.layout.states,
            lam,
            rounds,
            self.row_importance,
            self.column_importance,
            measure,
            out,
            self.feedback,
        )
        return _Result(np.array(centroids), bits, squared_error)


def _factors(factors: Floats | None, count: int, name: str) -> Floats | None:
    if factors is None:
        return None
    factors = np.ascontiguousarray(factors, np.float32).ravel()
    if len(factors) != count:
        raise OptionError(f"importance of {name} has {len(factors)} factors for {count} {name}")
    if not bool(np.all((factors >= 0) & np.isfinite(factors))):
        raise OptionError(f"importance of {name} must be finite and not negative")
    return factors
