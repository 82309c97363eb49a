"""Arithmetic that gives the same bits on every machine, from an ordinary matrix product.

The order in which a BLAS adds depends on the CPU and the thread count, and floating-point sums depend on the order.
So every array that enters a sum is first rounded to a grid: multiples of one power of two, with few bits. Products of
such numbers and sums of the products fit a double's 53 bits, hence are exact, hence do not depend on the order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ACTIVATION_BITS", "Array", "WEIGHT_BITS", "Wide", "exact", "snapped"]

Array = npt.NDArray[np.float32]
"""On a grid: what `snapped` returns."""

Wide = npt.NDArray[np.float64]
"""What arithmetic on such numbers gives."""

ACTIVATION_BITS = 18
WEIGHT_BITS = 16
"""18 + 18 bits leave room for sums of 2^17 terms (a 360 × 360 map), 18 + 16 for 2^19."""


def snapped(values: npt.NDArray[Any], bits: int = ACTIVATION_BITS) -> Array:
    """Rounded to multiples of a power of two, at most ``2**bits`` of them: float32. What is not finite becomes 0."""
    if values.dtype == np.float16:
        values = values.astype(np.float32)  # its range has no room for the scaling below
    largest = float(np.max(np.abs(values), initial=0.0))
    if not np.isfinite(largest):
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        largest = float(np.max(np.abs(values), initial=0.0))
    if largest == 0.0:
        return np.zeros(values.shape, np.float32)
    exponent = int(np.frexp(largest)[1]) - bits
    rounded: Array = np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent).astype(np.float32)
    return rounded


def exact(values: Array) -> npt.NDArray[np.float64]:
    """The same numbers in double precision, where their products and sums are exact."""
    return values.astype(np.float64)
