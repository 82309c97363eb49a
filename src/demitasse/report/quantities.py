"""Quantities as people read them: ``10.67 MB``, ``2.66 M``, ``8.1×``. Decimal units, as disks are sold."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["count", "decibel", "percent", "ratio", "shape", "size"]

UNITS = ("", "k", "M", "G", "T", "P", "E")


def scaled(value: float) -> tuple[float, str]:
    """The value in the largest unit that leaves at least 1."""
    unit = 0
    while abs(value) >= 999.5 and unit < len(UNITS) - 1:
        value /= 1000
        unit += 1
    return value, UNITS[unit]


def size(nbytes: int) -> str:
    """Bytes: ``187 bytes``, ``7.0 KB``, ``8.86 MB``, ``548.3 MB``."""
    value, unit = scaled(nbytes)
    if not unit:
        return f"{nbytes} bytes"
    decimals = (1 if value < 10 else 0) if unit == "k" else (2 if value < 100 else 1)
    return f"{value:.{decimals}f} {unit.upper()}B"


def count(value: int) -> str:
    """How many: ``420``, ``2.66 M``, ``137 M``."""
    scaled_value, unit = scaled(value)
    decimals = max(0, 3 - len(str(int(abs(scaled_value)))))
    return f"{scaled_value:.{decimals}f} {unit}" if unit else str(value)


def ratio(before: float, after: float) -> str:
    """How many times smaller: ``8.1×``; empty where there is nothing to divide or nothing changed."""
    if before <= 0 or after <= 0 or before == after:
        return ""
    times = before / after
    return f"{times:.1f}×" if times < 100 else f"{times:.0f}×"


def percent(part: float, whole: float) -> str:
    """``90 %``: never 0 % for something nor 100 % for not everything."""
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    if share < 1:
        return f"{share:.1f} %" if share >= 0.1 else "< 0.1 %"
    if share > 99 and part != whole:
        return f"{math.floor(share * 10) / 10:.1f} %"
    return f"{share:.0f} %"


def decibel(value: float | None) -> str:
    """``31.2 dB``; ``exact`` for no noise at all, a question mark for what could not be compared."""
    if value is None:
        return "?"
    if value == math.inf:
        return "exact"
    return "no signal" if value == -math.inf else f"{value:.1f} dB"


def shape(dimensions: Sequence[int]) -> str:
    """``64×3×3×3``."""
    return "×".join(str(d) for d in dimensions) if dimensions else "scalar"
