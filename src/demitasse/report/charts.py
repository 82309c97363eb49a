"""Charts of a report, drawn by Vega-Lite: SVG that takes its colours from the page around it, light or dark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from demitasse.errors import MissingExtraError

__all__ = ["curve_chart", "layers_chart"]

Row = Mapping[str, Any]
Spec = dict[str, Any]

VEGA_LITE: Final = "5.21"
"""Version of the grammar that the specifications below are written in."""

INK, GRID = "currentColor", "var(--grid)"
COLOURS: Final = {"before": "var(--before)", "after": "var(--after)"}
STEP: Final = 6
"""Pixels of one bar."""

PANELS: Final = (
    ("bytes", "bytes", "~s"),
    ("bits_per_weight", "bits per weight", "~r"),
    ("sparsity", "zeros", "%"),
    ("macs", "multiply-accumulates", "~s"),
    ("error", "relative error of weights", "~r"),
)
"""Field of a bar, title and number format."""

CONFIG: Final[Spec] = {
    "font": "inherit",
    "view": {"stroke": None},
    "axis": {"labelColor": INK, "titleColor": INK, "gridColor": GRID, "domainColor": GRID, "tickColor": GRID},
    "legend": {"labelColor": INK, "titleColor": INK, "orient": "top"},
}


def layers_chart(rows: Sequence[Row], label: str) -> str:
    """Bytes, bits per weight, zeros and multiply-accumulates before and after, and the error of the weights, for each
    layer (rows of `layer_pairs`). ``label`` is what a screen reader says."""
    values = [bar for row in rows for bar in bars(row)]
    telling = [each for each in PANELS if tells(values, each[0])]
    return drawn(
        {
            "data": {"values": values},
            "hconcat": [panel(*each, first=i == 0) for i, each in enumerate(telling)],
            "spacing": 14,
            "resolve": {"scale": {"y": "shared"}},
        },
        label,
    )


def bars(row: Row) -> list[Row]:
    """One layer as data: a bar for each side."""
    found: list[Row] = []
    for when in COLOURS:
        side = row[when] or {}
        snr = row["snr_db"]
        noise = 10 ** (-snr / 20) if when == "after" and snr is not None and abs(snr) < float("inf") else None
        numbers = {name: side.get(name) for name, _, _ in PANELS}
        found.append({**numbers, "layer": row["layer"], "when": when, "error": noise})
    return found


def tells(values: Sequence[Row], name: str) -> bool:
    """Whether a panel would show anything but one number, or nothing; bytes are always shown."""
    return name == "bytes" or len({bar[name] or 0 for bar in values if bar[name] is not None}) > 1


def panel(name: str, title: str, form: str, *, first: bool) -> Spec:
    """One quantity of all layers."""
    return {
        "mark": {"type": "bar"},
        "width": 150,
        "height": {"step": STEP},
        "encoding": {
            "y": {"field": "layer", "type": "nominal", "sort": None, "title": None, "axis": {} if first else None},
            "yOffset": {"field": "when", "sort": None},
            "x": {
                "field": name,
                "type": "quantitative",
                "title": title,
                "axis": {"format": form, "tickCount": 4, "orient": "top"},
            },
            "color": {
                "field": "when",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())},
            },
        },
    }


def curve_chart(points: Sequence[Row], label: str) -> str:
    """File size against signal to noise at the outputs, the chosen point marked: rows with ``bytes``, ``snr_db`` and
    ``chosen``."""
    encoding: Spec = {
        "x": {"field": "bytes", "type": "quantitative", "title": "bytes of the file", "axis": {"format": "~s"}},
        "y": {
            "field": "snr_db",
            "type": "quantitative",
            "title": "signal to noise at the outputs, dB",
            "scale": {"zero": False},
        },
    }
    chosen: Spec = {"condition": {"test": "datum.chosen", "value": COLOURS["after"]}, "value": COLOURS["before"]}
    return drawn(
        {
            "data": {"values": list(points)},
            "width": 520,
            "height": 260,
            "layer": [
                {"mark": {"type": "line", "color": COLOURS["before"]}, "encoding": encoding},
                {
                    "mark": {"type": "point", "filled": True, "opacity": 1, "size": 90},
                    "encoding": {**encoding, "color": chosen},
                },
            ],
        },
        label,
    )


def drawn(spec: Spec, label: str) -> str:
    """SVG of a specification, as one picture to a screen reader. MissingExtraError without the library."""
    try:
        import vl_convert
    except ImportError:
        raise MissingExtraError("vl-convert-python", "report", "the charts of a report") from None
    whole = {**spec, "background": None, "config": CONFIG}
    svg: str = vl_convert.vegalite_to_svg(whole, vl_version=VEGA_LITE)
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{escape(label)}" ', svg, count=1)
