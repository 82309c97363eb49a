"""An `Inspection` as people read it: one line that says what it is, a table, and what could be done about it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from demitasse.report.inspection import FLOAT, Inspection, LayerRow
from demitasse.report.quantities import count, percent, shape, size
from demitasse.report.table import Column

__all__ = ["COLUMNS", "closing", "headline", "table_rows"]

COLUMNS = (
    Column("layer", least=10),
    Column("type", least=6),
    Column("output", least=6),
    Column("weights", least=6),
    Column("MACs", "right"),
    Column("bytes", "right"),
    Column("stored", "right"),
    Column("zeros", "right"),
    Column("dead out/in", "right"),
    Column("twice", "right"),
    Column("bits", "right"),
    Column("could leave", "right"),
    Column("", least=0),
)


def headline(found: Inspection, shown_file: str) -> str:
    """The four numbers in a line."""
    numbers = [
        found.name or "network without a name",
        f"{shown_file} {size(found.file_bytes)}",
        parameters_in_words(found),
        f"{count(found.macs)} MACs" if found.macs is not None else "MACs unknown",
        f"peak memory {size(found.peak_memory)}" if found.peak_memory is not None else "peak memory unknown",
    ]
    return " · ".join(numbers)


def parameters_in_words(found: Inspection) -> str:
    """How many there are, as far as that is known."""
    if found.complete:
        return f"{count(found.parameters)} parameters"
    return f"{count(found.parameters)} parameters or more" if found.parameters else "parameters unknown"


def table_rows(found: Inspection, every: bool = False) -> list[list[str]]:
    """Cells for `COLUMNS`: layers with weights, or every layer."""
    return [cells(row) for row in found.layers if every or row.weighted]


def cells(row: LayerRow) -> list[str]:
    """One layer."""
    return [
        row.name,
        row.type,
        "?" if row.output is None else shape(row.output),
        " ".join(shape(dimensions) for dimensions in row.shapes[:1]),
        "?" if row.macs is None else count(row.macs) if row.macs else "",
        size(row.bytes) if row.bytes else "",
        "" if row.stored is None or not row.bytes else size(row.stored),
        percent(row.zeros, row.parameters) if row.zeros else "",
        f"{row.dead_outputs} / {row.unread_inputs}" if row.dead_outputs or row.unread_inputs else "",
        str(row.duplicates) if row.duplicates else "",
        "" if row.bits is None else f"{row.bits:.2f}",
        size(row.removable) if row.removable else "",
        remark(row),
    ]


def remark(row: LayerRow) -> str:
    """What the figures mean, where that is not obvious."""
    if row.same_as:
        return f"same weights as {row.same_as}"
    said = []
    if row.constant_outputs:
        said.append(f"{row.constant_outputs} outputs are constant: their bias is not zero")
    if row.scattered and row.stored is None:
        said.append("scattered zeros: only storage can use them")
    return "; ".join(said)


def closing(found: Inspection, files: Sequence[str], stored: bool, every: bool = False) -> list[str]:
    """Where the bytes are and which of them could leave, with commands that exist. ``every``: no layer was omitted."""
    lines: list[str] = []
    omitted = sum(not row.weighted for row in found.layers)
    if omitted and not every:
        lines.append(f"not shown without --all: {omitted} layer{'s' if omitted != 1 else ''} without weights")
    if not found.weight_bytes:
        return lines
    if any(row.bits for row in found.layers):
        lines.append("bits: per weight, order-0 entropy after rounding to steps of half a standard deviation")
    if found.zeros * 20 > found.parameters and not stored:
        lines.append("Zeros inside a dense blob cost as much as any other number.")
    unused = found.file_bytes - found.weight_bytes
    facts: list[tuple[int, str]] = []
    stem = files[-1].rsplit("/", 1)[-1].removesuffix(".caffemodel").removesuffix(".demi")
    if found.removable:
        command = shlex.join(["demitasse", "shrink", *files, "-o", f"{stem}-small/"])
        facts.append((found.removable, f"could leave for good: {command}"))
    scattered = sum(row.zeros for row in found.layers) * FLOAT - found.removable
    if scattered * 20 > found.weight_bytes and not stored:
        facts.append((scattered, "are scattered zeros: only storage can use them"))
    if not stored and unused * 50 > found.file_bytes:
        facts.append((unused, "are no weights of this network: training leftovers, layers that the prototxt lacks"))
    lines += [f"{size(number):>12} {text}" for number, text in facts]
    if not stored:
        lines.append(f"Store it small: demitasse compress {shlex.join([*files, '-o', stem + '.demi'])}")
    return lines
