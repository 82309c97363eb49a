"""Figures with their intervals, as rows of a table and in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from demitasse.evaluate.bootstrap import Estimate
from demitasse.evaluate.figures import Figure
from demitasse.report.table import Column

__all__ = ["columns", "conclusion", "rows"]


def columns(networks: int) -> tuple[Column, ...]:
    """For one network or two."""
    first = Column("") if networks == 1 else Column("first")
    return (Column("figure"), first, *((Column("second"), Column("second less first")) if networks == 2 else ()))


def rows(figures: Sequence[Figure]) -> list[list[str]]:
    """Rows for `columns`."""
    return [
        [
            figure.name,
            share(figure.first),
            *([] if figure.second is None else [share(figure.second)]),
            *([] if figure.difference is None else [share(figure.difference, "+")]),
        ]
        for figure in figures
    ]


def share(estimate: Estimate, sign: str = "") -> str:
    """``98.31 % (97.90 … 98.70)``."""
    if not math.isfinite(estimate.value):
        return "–"
    text = f"{100 * estimate.value:{sign}.2f} %"
    if not math.isfinite(estimate.low):
        return text
    return f"{text} ({100 * estimate.low:{sign}.2f} … {100 * estimate.high:{sign}.2f})"


def conclusion(figure: Figure) -> str:
    """Whether the second network is worse, in a sentence."""
    change = figure.difference
    if change is None or not math.isfinite(change.value) or not math.isfinite(change.low):
        return f"{figure.name}: nothing can be said about a difference."
    between = f"between {100 * change.low:+.2f} and {100 * change.high:+.2f} %"
    if change.low == change.high == 0:
        return f"{figure.name}: no difference on any of these pictures."
    if change.high < 0:
        return f"{figure.name}: the second is worse, by 95 % odds {between}."
    if change.low > 0:
        return f"{figure.name}: the second is better, by 95 % odds {between}."
    return f"{figure.name}: no loss that these pictures could show; by 95 % odds the change is {between}."
