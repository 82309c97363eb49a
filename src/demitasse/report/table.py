"""A table as plain aligned text: columns two spaces apart, no lines. The same on a terminal and in a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Column", "render", "shortened"]

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and how its cells stand. ``least``: width to which the cells may be shortened on a narrow terminal."""

    heading: str
    align: Literal["left", "right"] = "left"
    least: int | None = None


def render(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """The lines, heading first; columns that are empty in every row are left out.

    ``width``: shorten the columns that allow it until the lines fit; ``None``: as wide as it gets.
    """
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)] or list(range(len(columns)))
    columns = [columns[i] for i in kept]
    cells = [[column.heading for column in columns], *([row[i] for i in kept] for row in rows)]
    widths = [max(columns_of(row[i]) for row in cells) for i in range(len(columns))]
    if width is not None:
        widths = fitted(columns, widths, width)
    return [
        GAP.join(aligned(cell, w, column) for cell, w, column in zip(row, widths, columns, strict=True)).rstrip()
        for row in cells
    ]


def fitted(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Widths that sum up to ``width`` if the columns that may be shortened allow it; the widest gives way first."""
    out = list(widths)
    excess = sum(out) + len(GAP) * (len(out) - 1) - width
    while excess > 0:
        spare = [(out[i] - c.least, i) for i, c in enumerate(columns) if c.least is not None and out[i] > c.least]
        if not spare:
            break
        out[max(spare)[1]] -= 1
        excess -= 1
    return out


def aligned(cell: str, width: int, column: Column) -> str:
    """One cell, shortened and padded to its width."""
    text = shortened(cell, width)
    padding = " " * (width - columns_of(text))
    return padding + text if column.align == "right" else text + padding


def shortened(text: str, width: int) -> str:
    """With the middle left out, if it is wider than ``width``."""
    if columns_of(text) <= width:
        return text
    if width < 3:
        return text[:width]
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


def columns_of(text: str) -> int:
    """Columns that a terminal takes for it."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
