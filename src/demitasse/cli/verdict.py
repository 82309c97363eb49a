"""A comparison in words, and whether it is good enough."""

from __future__ import annotations

from demitasse.errors import VerificationError
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.outputs import OutputError
from demitasse.report.quantities import decibel
from demitasse.report.table import Column

__all__ = ["OUTPUTS", "SLACK", "check_outputs", "output_rows", "outputs_in_words"]

SLACK = 10.0
"""Decibels that the outputs may be below the quality asked for: it is estimated without data, on real pictures it
varies by a few. More than that is a defect, not an estimate."""

OUTPUTS = (Column("output", least=12), Column("signal to noise", "right"), Column("largest", "right"), Column(""))


def outputs_in_words(found: Comparison) -> str:
    """What was run on what, and how it went; or why nothing was."""
    if found.skipped:
        return f"outputs were not compared: {found.skipped}"
    at = "" if found.snr is None else f": {decibel(found.snr)} at the outputs"
    alone = "" if found.independent else " (nothing else can run it)"
    return f"{found.runtime}{alone} on {found.pictures}{at}"


def output_rows(found: Comparison) -> list[list[str]]:
    """Rows for `OUTPUTS`."""
    return [
        [
            error.name,
            "" if error.boxes else decibel(error.snr),
            "" if error.boxes else f"{error.largest:.2g}",
            said(error),
        ]
        for error in found.outputs
    ]


def said(error: OutputError) -> str:
    """What an output is about, beyond numbers."""
    if error.boxes is not None:
        boxes = error.boxes
        if not boxes.expected and not boxes.added:
            return "no boxes of score 0.5 or more"
        added = f", {boxes.added} added" if boxes.added else ""
        loose = f" ({boxes.at_75} at IoU 0.75, {boxes.at_50} at 0.5)" if boxes.matched < boxes.expected else ""
        drift = f", scores drift by {boxes.score_drift:.2g}" if boxes.drift else ""
        return f"{boxes.matched} of {boxes.expected} boxes found again{loose}{added}{drift}"
    if error.kind == "classes":
        five = f", is among the best five in {error.top5}" if error.top5 < error.decisions else ""
        return f"the same class wins in {error.top1} of {error.decisions}{five}"
    return ""


def check_outputs(found: Comparison, asked: float | None, expected: float | None) -> None:
    """VerificationError if outputs were compared and are far worse than the quality (in dB) that was asked for, or
    than was expected, where something else was asked for."""
    wanted = expected if asked is None else asked
    if found.snr is not None and wanted is not None and found.snr < wanted - SLACK:
        said = f"{wanted:.3g} dB were expected" if asked is None else f"{asked:g} dB were asked for"
        hint = "" if asked is None else ": try a higher --quality"
        raise VerificationError(f"the outputs have {decibel(found.snr)} of signal to noise, and {said}{hint}")
