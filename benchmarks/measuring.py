"""Time and memory of whole commands, and what the machine can do at best."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Run:
    """``seconds`` of wall clock, ``peak`` bytes resident (memory-mapped pages of the input included), ``status``."""

    seconds: float
    peak: int
    status: int
    output: str


def command(*arguments: object, check: bool = True) -> Run:
    """``demitasse`` with these arguments, as a process of its own."""
    line: Sequence[str] = [sys.executable, "-m", "demitasse", *map(str, arguments)]
    start = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    if check and code != 0:
        raise SystemExit(f"{' '.join(line)} ended with {code}:\n{output}")
    return Run(seconds, usage.ru_maxrss * 1024, code, output)


def memory_bandwidth() -> float:
    """Bytes a second, read and written, of copying an array much larger than the caches; the best of five."""
    source = np.ones(1 << 26, np.float32)
    target = np.empty_like(source)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def disk_bandwidth(folder: Path, nbytes: int = 1 << 28) -> float:
    """Bytes a second of writing a file there, flushed."""
    data = np.random.default_rng(0).bytes(1 << 24)
    path = folder / "bandwidth"
    start = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(nbytes >> 24):
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return nbytes / seconds
