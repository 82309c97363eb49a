"""Quantised weights on grids of four and eight bits, as ``DequantizeLinear`` undoes them.

Levels of a .demi may need more bits than eight: outliers reach far, and a trellis counts in halves of its steps. Here
weights get scales of their own, by rows or, where rows reach too far, by blocks of a row, and are rounded again; of all
ways the smallest is taken whose error is in proportion to the one that quantising has made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["FORMS", "Form", "Narrow", "chosen", "narrowed"]

Floats = npt.NDArray[np.float32]

SHARES: Final = {4: 1.0, 8: 3.0}
"""Squared error that rounding again may add, by bits, over what quantising has made. Four bits only where they cost
little; with eight, larger blocks are worth more than the last decibel."""

SAMPLE: Final = 1 << 18
"""Weights, about, that a way is tried on."""


@dataclass(frozen=True, slots=True)
class Form:
    """Integers of so many bits, and a scale for ``block`` weights of a row in turn; 0: for the row."""

    bits: int
    block: int

    @property
    def largest(self) -> int:
        """The largest integer, and minus the smallest."""
        return (1 << self.bits - 1) - 1


FORMS: Final = tuple(Form(bits, block) for bits in (4, 8) for block in (0, 64, 32, 16))
"""From small to large."""


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """Integers, rows × columns, and what they are worth in steps, rows × blocks; ``noise``: squares of what rounding
    has changed, in steps, a sum for each row."""

    form: Form
    integers: npt.NDArray[np.int8]
    scales: Floats
    noise: npt.NDArray[np.float64]


def narrowed(values: Floats, form: Form) -> Narrow:
    """Values in steps, rows × columns, rounded. Where integers have room for it a step is an integer number of them."""
    rows, columns = values.shape
    block = form.block or max(columns, 1)
    blocks = -(-columns // block)
    wide = np.zeros((rows, blocks * block), np.float32)
    wide[:, :columns] = values
    parts = wide.reshape(rows, blocks, block)
    reach = np.ceil(np.maximum(np.abs(parts).max(axis=2, initial=0.0), 1.0))
    finer = np.maximum(form.largest // reach, 1)
    scales: Floats = np.where(reach <= form.largest, 1 / finer, reach / form.largest).astype(np.float32)
    if form.block:
        scales = as_half(scales)
    limit = form.largest
    found = np.clip(np.rint(parts / scales[:, :, None]), -limit, limit)
    apart = found * scales[:, :, None] - parts
    noise = np.square(apart, dtype=np.float64).sum(axis=(1, 2))
    return Narrow(form, found.reshape(rows, -1)[:, :columns].astype(np.int8), scales, noise)


def as_half(scales: Floats) -> Floats:
    """Scales that are float16, none smaller than before, so that nothing gets out of reach."""
    half = scales.astype(np.float16)
    half = np.where(half < scales, np.nextafter(half, np.float16(np.inf)), half)
    return half.astype(np.float32)


def chosen(values: Floats, trellis: bool) -> Form:
    """The smallest form whose error is in proportion to that of quantising, judged by some rows."""
    columns = max(1, values.shape[1])
    sample = values[:: max(1, values.size // SAMPLE)] if values.size > SAMPLE else values
    # A trellis takes every other point of the common grid, and gains back about a quarter of what that would cost.
    quantised = (0.24 if trellis else 1 / 12) * columns * len(sample)
    for form in FORMS:
        if form.block < columns and narrowed(sample, form).noise.sum() <= SHARES[form.bits] * quantised:
            return form
    return FORMS[-1] if columns > FORMS[-1].block else Form(8, 0)
