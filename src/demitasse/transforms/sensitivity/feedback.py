"""How errors of the weights of a row make good for each other, from how the outputs' derivatives go together.

What errors e of the weights of a row do to the outputs is e A eᵀ times how much the row matters, A being the second
moments of the derivatives by the row's weights. With A = U diag(d) Uᵀ (`demitasse._core.factorize`) that is the sum of
d × (distance from a target)², the target of a weight being itself plus what U makes of the errors before it: quantised
one after the other, weights make good what those before them got wrong (LDLQ: Chee et al., 2023; GPTQ: Frantar et
al., 2023; with derivatives of the network's outputs in place of the layer's inputs: Tseng, Sun et al., 2025).

A is kept in blocks along its diagonal, so that it neither takes more memory nor more time than there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from demitasse import _core
from demitasse.transforms.sensitivity.grid import Wide

__all__ = ["Feedback", "Moments", "extents"]

DAMPING: Final = 0.02
"""Added to every weight's second moment, as a share of the mean one: what pictures cannot know."""

FEW_SAMPLES: Final = 0.05
"""Added to that for every weight of a block that there is for one sample."""

FRACTION: Final = 4096
"""U in parts of one: far coarser than what rounding differences amount to."""


@dataclass(frozen=True, slots=True, eq=False)
class Feedback:
    """``coefficients``: (columns, order), what an error at a column adds to the target at each of the ``order`` columns
    after it; ``weights``: of a squared distance from a target, by column, 1 on the average; ``gain``: what a squared
    distance costs over what a squared error of its own would cost, below 1."""

    coefficients: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    gain: float


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """``blocks``: second moments of columns that follow each other; ``samples``: of how many.

    Those of the derivatives are what counts, but few pictures tell little about them: a picture has few rows, and many
    places. So half the weight is given to the moments of what a layer reads.
    """

    blocks: tuple[Wide, ...]
    samples: int

    @classmethod
    def of(cls, values: Wide, blocks: Sequence[slice]) -> Moments:
        """Of columns × samples, on a grid. ``samples`` is 0: they are not counted."""
        parts = (np.ascontiguousarray(values[block]) for block in blocks)
        return cls(tuple(part @ part.T for part in parts), 0)

    def scaled(self, trace: float) -> Moments:
        """With diagonals that sum up to this."""
        total = trace_of(self.blocks)
        factor = trace / total if total > 0 else 0.0
        return Moments(tuple(block * factor for block in self.blocks), self.samples)

    def __add__(self, other: Moments) -> Moments:
        pairs = zip(self.blocks, other.blocks, strict=True)
        return Moments(tuple(one + another for one, another in pairs), self.samples + other.samples)

    def feedback(self) -> Feedback | None:
        """None if no weight matters, or if they are not the second moments of anything."""
        columns = sum(len(block) for block in self.blocks)
        mean = trace_of(self.blocks) / columns
        if not 0 < mean < np.inf:
            return None
        order = max(len(block) for block in self.blocks) - 1
        coefficients = np.zeros((columns, order), np.float32)
        weights = np.empty(columns)
        start = 0
        for block in self.blocks:
            count = len(block)
            damping = DAMPING + FEW_SAMPLES * count / self.samples
            matrix = block / mean
            matrix[np.diag_indices(count)] += damping
            weights[start : start + count] = _core.factorize(matrix, damping / 2)
            matrix = np.rint(matrix * FRACTION) / FRACTION
            for i in range(count - 1):
                coefficients[start + i, : count - 1 - i] = matrix[i, i + 1 :]
            start += count
        if not (np.isfinite(coefficients).all() and np.isfinite(weights).all()):
            return None
        typical = math.fsum(weights) / columns
        relative = np.rint(weights / typical * FRACTION) / FRACTION
        return Feedback(coefficients, np.maximum(relative, 1 / FRACTION).astype(np.float32), typical)


def trace_of(blocks: Sequence[Wide]) -> float:
    """Of a matrix in blocks; the same in whatever order it is summed up."""
    return math.fsum(value for block in blocks for value in block.diagonal())


def extents(columns: int, kernel: int, most: int) -> Iterator[slice]:
    """Blocks of about equal size, of at most so many columns, that do not cut a kernel in two if that can be."""
    unit = kernel if 0 < kernel <= most and columns % kernel == 0 else 1
    count = -(-columns // max(unit, most // unit * unit))
    size = -(-columns // unit // count) * unit
    return (slice(start, min(start + size, columns)) for start in range(0, columns, size))
