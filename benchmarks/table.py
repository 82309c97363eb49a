"""What every benchmark ends with: one table for people, the same figures as JSON in ``benchmarks/results``."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def publish(name: str, title: str, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Print ``rows`` (all with the same keys) and ``summary``, and write both to ``results/NAME.json``."""
    console = Console(width=None if os.isatty(1) else 160)
    table = Table(title=title)
    for key in rows[0]:
        table.add_column(key, justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*(shown(value) for value in row.values()))
    console.print(table)
    for key, value in summary.items():
        console.print(f"{key}: [bold]{shown(value)}[/bold]")
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    RESULTS.mkdir(exist_ok=True)
    record = {"title": title, "machine": machine, "summary": dict(summary), "rows": list(rows)}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
