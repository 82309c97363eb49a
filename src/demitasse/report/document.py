"""A report of a command that wrote a network, as data: what ``report.json`` holds, and what the page is drawn from.

``result`` is what the command prints with ``--json``. Beside it stand both networks layer by layer, and what came out
for some pictures before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.samples import Sample
from demitasse.evaluate.weights import decibels
from demitasse.report.inspection import Inspection, LayerRow

__all__ = ["document", "layer_pairs"]

BITS = 8
"""In a byte."""

Row = dict[str, Any]


def document(
    result: Mapping[str, Any],
    before: Inspection,
    after: Inspection,
    comparison: Comparison | None,
    samples: Sequence[Sample] = (),
    *,
    version: str,
) -> dict[str, Any]:
    """The report. Everything but the pictures themselves, which only the page shows."""
    return {
        "demitasse": version,
        "name": before.name or after.name,
        "result": dict(result),
        "layers": list(layer_pairs(before, after, comparison)),
        "samples": [sample.as_dict() for sample in samples],
        "notes": list(dict.fromkeys([*before.notes, *after.notes])),
    }


def layer_pairs(before: Inspection, after: Inspection, comparison: Comparison | None) -> Iterator[Row]:
    """Every layer with weights in one of the two, in order; ``None`` for the side that does not have it.

    ``snr_db``: signal to noise of its weights, where both have the same ones; null for none or no noise."""
    theirs = {row.name: row for row in after.layers if row.weighted}
    noise = weight_noise(comparison)
    seen = set()
    for row in before.layers:
        if row.weighted:
            seen.add(row.name)
            other = theirs.get(row.name)
            yield pair(row, other, noise.get(row.name))
    for row in after.layers:
        if row.weighted and row.name not in seen:
            yield pair(None, row, None)


def pair(before: LayerRow | None, after: LayerRow | None, snr: float | None) -> Row:
    """One layer."""
    one = before or after or LayerRow("", "")
    return {"layer": one.name, "type": one.type, "before": side(before), "after": side(after), "snr_db": snr}


def side(row: LayerRow | None) -> Row | None:
    """What a layer takes. ``bytes``: in the file, so of a .demi what it stores."""
    if row is None:
        return None
    nbytes = row.bytes if row.stored is None else row.stored
    return {
        "shapes": [list(shape) for shape in row.shapes],
        "output": row.output,
        "parameters": row.parameters,
        "bytes": nbytes,
        "bits_per_weight": BITS * nbytes / row.parameters if row.parameters else None,
        "zeros": row.zeros,
        "sparsity": row.zeros / row.parameters if row.parameters else None,
        "macs": row.macs,
    }


def weight_noise(comparison: Comparison | None) -> Mapping[str, float]:
    """Signal to noise in dB of the matrices of each layer; infinite for equal ones."""
    sums: dict[str, list[float]] = {}
    for error in comparison.weights if comparison is not None else ():
        if len(error.shape) > 1:
            both = sums.setdefault(error.layer, [0.0, 0.0])
            both[0] += error.signal
            both[1] += error.noise
    return {name: decibels(signal, noise) for name, (signal, noise) in sums.items()}
