"""Mutation fuzzing of the three parsers (text, wire, container), and of what reads on behind them.

    python -m tests.fuzz.run [--inputs 1000000] [--seed 0] [--processes 2]

Every input must be read, or refused with a DemitasseError, within a second and without a large allocation. What fails
is written to ``build/fuzz`` and named. Each target's share of the inputs is in `tests.fuzz.targets`.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutation import mutated
from tests.fuzz.targets import Target, targets

from demitasse.errors import DemitasseError

SECONDS = 1.0
MEMORY = 256 << 20
"""An input that makes its process allocate so much more than it has ends in MemoryError, which is a failure."""

TURN = 10_000
"""Inputs of one process, about."""


@dataclass(frozen=True)
class Failure:
    """An input that was neither read nor refused properly."""

    target: str
    data: bytes
    reason: str


@dataclass
class Outcome:
    """What became of a number of inputs."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0


def fuzz(target: Target, inputs: int, seed: int) -> tuple[Outcome, list[Failure]]:
    """That many damaged inputs for one parser, the same ones for the same seed."""
    rng = random.Random(f"{target.name} {seed}")
    outcome, failures = Outcome(), []
    for _ in range(inputs):
        data = mutated(target.seeds, rng)
        start = time.process_time()
        try:
            target.consume(data)
            outcome.read += 1
        except DemitasseError as error:
            outcome.refused += 1
            if "\n" in str(error) or not str(error):
                failures.append(Failure(target.name, data, f"not one line: {str(error)!r}"))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failures.append(Failure(target.name, data, f"{type(error).__name__}: {error}"))
        seconds = time.process_time() - start
        outcome.slowest = max(outcome.slowest, seconds)
        if seconds > SECONDS:
            failures.append(Failure(target.name, data, f"took {seconds:.1f} s"))
    return outcome, failures


def turn(number: int, inputs: int, seed: int) -> tuple[str, Outcome, list[Failure]]:
    """One target's turn, in a process whose memory is bounded."""
    target = targets()[number]
    target.consume(target.seeds[0])
    bound_memory(MEMORY)
    return target.name, *fuzz(target, inputs, seed)


def bound_memory(more: int) -> None:
    """No more than that above what is in use, where the system tells."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        limit = int(pages.read_text().split()[0]) * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def turns(inputs: int, seed: int) -> Iterator[tuple[int, int, int]]:
    """Number of the target, inputs and seed of every turn: all targets together get at least ``inputs``."""
    every = targets()
    whole = sum(target.share for target in every)
    for number, target in enumerate(every):
        left = -(-inputs * target.share // whole)
        parts = -(-left // TURN)
        for part in range(parts):
            yield number, -(-left // parts), seed * 1000 + part


def main() -> None:
    """Fuzz, print what happened, exit with 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for all of them together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    totals: dict[str, Outcome] = {}
    found: list[Failure] = []
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes, max_tasks_per_child=1) as pool:
        for job in [pool.submit(turn, *each) for each in turns(options.inputs, options.seed)]:
            name, outcome, failures = job.result()
            total = totals.setdefault(name, Outcome())
            total.read += outcome.read
            total.refused += outcome.refused
            total.slowest = max(total.slowest, outcome.slowest)
            found += failures
    print(f"{sum(total.read + total.refused for total in totals.values())} inputs")
    for name, total in totals.items():
        print(f"{name}: {total.read + total.refused} inputs, {total.refused} refused, slowest {total.slowest:.3f} s")
    folder = Path("build/fuzz")
    for number, failure in enumerate(found[:100]):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{failure.target}-{number}").write_bytes(failure.data)
        print(f"FAILED {folder / f'{failure.target}-{number}'}: {failure.reason[:200]}")
    print(f"{len(found)} failures in {time.monotonic() - started:.0f} s")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
