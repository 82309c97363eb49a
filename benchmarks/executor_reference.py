"""How many of the recordings of real Caffe our executor reproduces, by layer type.

    python benchmarks/executor_reference.py [--golden FOLDER] [--zoo FOLDER]

Outputs, gradients on inputs and weights, weights that a pass changes, refusals (columns of one layer type each), and
below them gradients of small networks and forward runs of whole ones. What fails is listed by name.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from table import publish

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import reference  # noqa: E402 - how cases are read and held against ours is the tests' own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, default=ROOT.parent / "shared/golden")
    parser.add_argument("--zoo", type=Path, default=ROOT.parent / "shared/zoo")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed: list[str] = []
    rows = layer_rows(reference.layer_cases(options.golden), failed)
    training = tally(reference.training_cases(options.golden), reference.problems_of_training, failed)
    runs = tally(reference.runs(options.golden, options.zoo), reference.problems_of_run, failed)
    summary = {
        "layer cases": f"{sum(row['passed'] for row in rows)} of {sum(row['cases'] for row in rows)}",
        "refusals": f"{sum(row['refused'] for row in rows)} of {sum(row['to refuse'] for row in rows)}",
        "gradients of networks": f"{training[0]} of {training[1]}",
        "forward runs of networks": f"{runs[0]} of {runs[1]}",
        "not reproduced": "; ".join(failed) or "none",
    }
    publish("executor_reference", "recordings of real Caffe that the executor reproduces", rows, summary)


def layer_rows(cases: Iterable[reference.LayerCase], failed: list[str]) -> list[dict[str, Any]]:
    counts: dict[str, Counter[str]] = {}
    for case in cases:
        count = counts.setdefault(case.record["layer_type"], Counter())
        kind = ("to refuse", "refused") if case.record.get("rejected") else ("cases", "passed")
        problem = problem_of(case)
        count[kind[0]] += 1
        count[kind[1]] += not problem
        if problem:
            failed.append(f"{case}: {problem}")
    names = ("cases", "passed", "to refuse", "refused")
    return [{"layer type": kind} | {name: count[name] for name in names} for kind, count in counts.items()]


def problem_of(case: reference.LayerCase) -> str:
    if case.record.get("rejected"):
        return "" if reference.refusal(case) else f"is run; Caffe says: {case.record['message'][:80]}"
    random = case.record["layer_type"] == "Dropout" and case.record["phase"] == "TRAIN"
    return first(reference.problems_of_dropout if random else reference.problems_of_layer, case)


def tally(cases: Iterable[Any], problems: Callable[[Any], list[str]], failed: list[str]) -> tuple[int, int]:
    found = [(case, first(problems, case)) for case in cases]
    failed.extend(f"{case}: {problem}" for case, problem in found if problem)
    return sum(not problem for _, problem in found), len(found)


def first(problems: Callable[[Any], list[str]], case: Any) -> str:
    try:
        return next(iter(problems(case)), "")
    except Exception as error:  # a crash is one more way not to reproduce a recording
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
