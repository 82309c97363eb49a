"""What running one layer gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.transforms.sensitivity.feedback import Moments
from demitasse.transforms.sensitivity.grid import Array, Wide

__all__ = ["Marginals", "Pull", "Result", "Values", "Weigh"]

Values = npt.NDArray[np.floating[Any]]

Weigh = Callable[[Sequence[Array], int], Sequence["Marginals"]]
"""Gradients of the outputs to squared gradients of the layer's tensors: of the first ones, as far as known. The number
says how many columns of the first one are looked at together, at most; 0: none."""

Pull = Callable[[Sequence[Array]], Sequence[Values | None]]
"""Gradients of the outputs to gradients of the inputs; None for an input that has no gradient."""


@dataclass(frozen=True, slots=True)
class Marginals:
    """Sums of a non-negative matrix, one entry a weight, over its rows and its columns.

    ``rows``: one a row of the tensor's first axis; ``columns``: one for every place within a row (a single one for
    a vector). ``moments``: how the columns go together.
    """

    rows: Wide
    columns: Wide
    moments: Moments | None = None

    @classmethod
    def of_vector(cls, entries: Wide) -> Marginals:
        """Of a tensor with one weight a row."""
        return cls(entries.reshape(-1), np.atleast_1d(entries.sum()))

    @classmethod
    def sum(cls, parts: Iterable[Marginals]) -> Marginals:
        """Of at least one."""
        first, *others = parts
        for other in others:
            moments = first.moments + other.moments if first.moments and other.moments else None
            first = cls(first.rows + other.rows, first.columns + other.columns, moments)
        return first


@dataclass(frozen=True, slots=True)
class Result:
    """Outputs, not yet on a grid; the adjoint; the squared gradients of the weights."""

    outputs: Sequence[Values]
    adjoint: Pull
    weigh: Weigh | None = None
