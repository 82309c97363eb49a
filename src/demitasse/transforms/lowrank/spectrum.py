"""The best approximations of a matrix by ones of lower rank, by its Gram matrix.

The Gram matrix of the shorter side has all that is needed: its eigenvalues are the squared singular values, and what
they sum up to beyond a rank is the squared error of that rank (Eckart and Young, 1936). It takes the memory of a square
of the shorter side, where a singular value decomposition takes several times the whole matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Spectrum", "decaying", "factored", "gram", "root"]

Array = npt.NDArray[Any]
Wide = npt.NDArray[np.float64]

COLUMNS: Final = 2048
"""Columns of a matrix that are multiplied at once."""

EXACTLY: Final = 1024
"""Rows up to which Gram matrices are summed in double precision throughout."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """One matrix m × n for each group, and the basis (float32, of the shorter side or as the metric has it) in which
    the first vectors say most.

    ``errors[r]``: squared error at rank r, all groups together, as a share of the whole; ``errors[0]`` is 1.
    """

    matrices: tuple[Array, ...]
    bases: tuple[Array, ...]
    left: bool
    errors: Wide

    @property
    def full(self) -> int:
        """The rank at which nothing is lost."""
        return len(self.errors) - 1

    def at(self, rank: int) -> list[tuple[Array, Array]]:
        """For each group m × rank and rank × n, whose product is the approximation."""
        return [self.factors(matrix, basis[:, :rank]) for matrix, basis in zip(self.matrices, self.bases, strict=True)]

    def factors(self, matrix: Array, vectors: Array) -> tuple[Array, Array]:
        """Of one matrix."""
        if self.left:
            return vectors, vectors.T @ matrix
        return matrix @ vectors, np.ascontiguousarray(vectors.T)


def factored(matrices: Sequence[Array], metrics: Sequence[Wide] | None = None) -> Spectrum:
    """The spectrum of one matrix per group, all of one shape.

    ``metrics``: m × m, the second moments of what the rows give: errors are then those of outputs, not of weights.
    """
    rows, columns = matrices[0].shape
    left = metrics is not None or rows <= columns
    bases, kept = [], []
    for group, matrix in enumerate(matrices):
        square = metrics[group] if metrics is not None else gram(matrix if left else matrix.T)
        values, vectors = np.linalg.eigh(square)
        kept.append(np.maximum(values[::-1], 0.0))
        bases.append(np.ascontiguousarray(vectors[:, ::-1], np.float32))
    energies = np.sum(kept, axis=0)[: min(rows, columns)] if metrics is None else np.sum(kept, axis=0)
    total = float(energies.sum())
    behind = np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]])
    errors = behind / total if total > 0 else np.zeros_like(behind)
    return Spectrum(tuple(matrices), tuple(bases), left, errors)


def gram(matrix: Array) -> Wide:
    """``matrix @ matrix.T``, piece by piece."""
    rows, columns = matrix.shape
    total = np.zeros((rows, rows))
    kind: type[np.floating[Any]] = np.float64 if rows <= EXACTLY else np.float32
    for start in range(0, columns, COLUMNS):
        part: Array = np.ascontiguousarray(matrix[:, start : start + COLUMNS], kind)
        total += part @ part.T
    return total


def root(square: Wide) -> tuple[Wide, Wide]:
    """The symmetric square root of a positive matrix, and its inverse; what is next to nothing counts as a little."""
    values, vectors = np.linalg.eigh(square)
    values = np.maximum(values, max(float(values[-1]), 1e-30) * 1e-6)
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T


def decaying(correlation: float, size: int, distance: int) -> Wide:
    """Correlations of places in a row that fall off with how far they are from each other (a Markov chain)."""
    places = np.arange(size) * distance
    found: Wide = np.asarray(correlation, np.float64) ** np.abs(places[:, None] - places)
    return found
