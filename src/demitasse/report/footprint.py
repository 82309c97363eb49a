"""The four numbers of a network, before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from demitasse.net import Net
from demitasse.report.graph import facts
from demitasse.report.inspection import FLOAT
from demitasse.report.quantities import count, ratio, size
from demitasse.report.table import Column

__all__ = ["BEFORE_AND_AFTER", "Footprint", "before_and_after", "footprint"]

BEFORE_AND_AFTER = (Column(""), Column("before", "right"), Column("after", "right"), Column("", "right"))


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of the file that is shipped, parameters, multiply-accumulates, bytes of weights and activations in
    float32. ``None``: not known, for want of an input shape or because of a type of layer that we know nothing of."""

    file_bytes: int
    parameters: int
    macs: int | None
    peak_memory_bytes: int | None

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def footprint(net: Net, file_bytes: int) -> Footprint:
    """Of a network and its file. Reads no weights."""
    known = facts(net)
    parameters = sum(known.parameters(layer) for layer in known.layers)
    peak = known.peak_activations
    return Footprint(file_bytes, parameters, known.total_macs, None if peak is None else parameters * FLOAT + peak)


def before_and_after(before: Footprint, after: Footprint) -> list[list[str]]:
    """Rows for `BEFORE_AND_AFTER`."""
    return [
        row("file", before.file_bytes, after.file_bytes, size),
        row("parameters", before.parameters, after.parameters, count),
        row("MACs", before.macs, after.macs, count),
        row("peak memory", before.peak_memory_bytes, after.peak_memory_bytes, size),
    ]


def row(label: str, before: int | None, after: int | None, worded: Any) -> list[str]:
    """One number; a question mark where it is not known."""
    shown = ["?" if number is None else worded(number) for number in (before, after)]
    return [label, *shown, ratio(before or 0, after or 0)]
