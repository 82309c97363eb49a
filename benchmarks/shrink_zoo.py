"""Every network of the zoo through every transform: what leaves, and that the outputs stay what they were.

    python benchmarks/shrink_zoo.py [NAME ...] [--transform NAME] [--opencv] [--limit MACS]

Networks without weights get generated ones; all get zeros planted at random (filters, inputs, borders of kernels,
doubles, whole groups of channels). Outputs before and after are compared in our executor, and with ``--opencv`` in
OpenCV where it runs the network. Relative to the largest magnitude of a blob the error may be 1e-4.
"""

from __future__ import annotations

import argparse
import operator
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import demitasse as dm
from demitasse.evaluate.models import Subject
from demitasse.evaluate.probes import probes
from demitasse.evaluate.runtimes import Execution, Executor, OpenCV, Runtime
from demitasse.layers import build, infer
from demitasse.transforms.factorize import Factorize
from demitasse.transforms.fold import Fold
from demitasse.transforms.half import Half
from demitasse.transforms.shrink import Shrink
from demitasse.transforms.strip import Strip
from demitasse.transforms.transform import is_kept
from table import publish
from zoo import Ready, candidates, planted, ready

TOLERANCE = 1e-4

TRANSFORMS: Mapping[str, Callable[[dm.Net], dm.Net]] = {
    "shrink": Shrink(),
    "fold": Fold(),
    "strip": Strip(),
    "half": Half(),
    "factorize": Factorize(rank="break-even"),
}
"""What is tried. Another transform is tested by a row here."""

INEXACT = {"half": 0.05, "factorize": float("inf")}
"""Largest errors of transforms that do not promise equal outputs. Random weights have no low rank: of factorize the
table says by how much outputs differ, and that what it makes can be run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all networks without any")
    parser.add_argument("--transform", choices=TRANSFORMS, action="append")
    parser.add_argument("--opencv", action="store_true", help="compare in OpenCV as well")
    parser.add_argument("--limit", type=float, default=np.inf, help="leave out networks with more MACs")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, prototxt, weights in candidates():
        if options.names and not any(part in name for part in options.names):
            continue
        for row in network(name, prototxt, weights, options):
            rows.append(row)
            print(*row.values(), sep=" | ", flush=True)
    failed = [row for row in rows if row["result"] == "FAILED"]
    summary = {
        "networks": len({row["network"] for row in rows}),
        "runs": len(rows),
        "equal": sum(row["result"] == "equal" for row in rows),
        "close": sum(row["result"] == "close" for row in rows),
        "not fired": sum(row["result"].startswith("nothing") for row in rows),
        "refused": sum(row["result"].startswith("refused") for row in rows),
        "cannot be run": sum(row["result"].startswith("not run") for row in rows),
        "failed": len(failed),
    }
    publish("shrink_zoo", "Exact transforms over the zoo", rows, summary)
    if failed:
        raise SystemExit(1)


def network(name: str, prototxt: Any, weights: Any, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each transform."""
    try:
        made = ready(name, prototxt, weights, options.seed)
        net = planted(made.net, zlib.crc32(name.encode()) + options.seed)
        macs = infer(build(net), strict=False).total_macs
    except dm.DemitasseError as error:
        return [row(name, "", f"not run: {error}")]
    if (macs or 0) > options.limit:
        return [row(name, "", "not run: too large for now")]
    made = Ready(name, net, made.feeds)
    programs: list[Runtime] = [Executor(Execution(threads=1))]
    if options.opencv:
        programs.append(OpenCV(Execution(threads=1, timeout=300)))
    before = {program.name: outputs(program, net, made) for program in programs}
    return [tried(each, made, before, programs) for each in options.transform or TRANSFORMS]


def tried(transform: str, made: Ready, before: Mapping[str, Any], programs: Sequence[Runtime]) -> dict[str, Any]:
    """One transform on one network."""
    start = time.process_time()
    try:
        after = TRANSFORMS[transform](made.net)
    except dm.DemitasseError as error:
        return row(made.name, transform, f"refused: {error}")
    seconds = time.process_time() - start
    notes = after.report[len(made.net.report) :]
    if same(after, made.net):
        return row(made.name, transform, f"nothing to do: {notes[0].text if notes else ''}", seconds=seconds)
    if new := [name for name in build(after).inputs if name not in made.feeds]:
        return row(made.name, transform, f"not run: the original makes up what are inputs now: {', '.join(new)}")
    errors: list[float | str] = []
    for program in programs:
        first = before[program.name]
        second = first if isinstance(first, str) else outputs(program, after, made)
        words = [one for one in (first, second) if isinstance(one, str)]
        errors.append(words[0] if words else worst(first, second, ignored(made.net)))
    numbers = [error for error in errors if isinstance(error, float)]
    fixed = transform in INEXACT or same(TRANSFORMS[transform](after), after)
    tolerance = INEXACT.get(transform, TOLERANCE)
    ours_lost = isinstance(errors[0], str) and not isinstance(before[programs[0].name], str)
    bad = ours_lost or any(not error <= tolerance for error in numbers) or not fixed
    result = "FAILED" if bad else ("close" if transform in INEXACT else "equal") if numbers else f"not run: {errors[0]}"
    return row(made.name, transform, result, made.net, after, errors, seconds, sum(map(is_kept, notes)))


def same(a: dm.Net, b: dm.Net) -> bool:
    """Whether no layer is another one."""
    return len(a.layers) == len(b.layers) and all(map(operator.is_, a.layers, b.layers))


def row(
    name: str,
    transform: str,
    result: str,
    before: dm.Net | None = None,
    after: dm.Net | None = None,
    errors: Sequence[float | str] = (),
    seconds: float = 0.0,
    kept: int = 0,
) -> dict[str, Any]:
    """What the table shows."""
    shares = {"parameters left %": "", "MACs left %": ""}
    if before is not None and after is not None:
        macs = [infer(build(net), strict=False).total_macs for net in (before, after)]
        shares["parameters left %"] = f"{100 * after.parameters / max(1, before.parameters):.1f}"
        shares["MACs left %"] = f"{100 * macs[1] / macs[0]:.1f}" if macs[0] and macs[1] else "?"
    words = [f"{error:.1e}" if isinstance(error, float) else error[:60] for error in errors]
    return {
        "network": name,
        "transform": transform,
        **shares,
        "error": words[0] if words else "",
        "OpenCV": words[1] if len(words) > 1 else "",
        "reasons": kept,
        "CPU s": round(seconds, 2),
        "result": result[:120],
    }


def outputs(program: Runtime, net: dm.Net, made: Ready) -> dict[str, np.ndarray] | str:
    """Values where differences show, by blob; or why there are none."""
    writers = {name: layer.name for layer in build(net).layers for name in layer.outputs}
    wanted = {writers[blob]: blob for blob in measured(made.net) if blob in writers}
    try:
        inputs = {name: made.feeds[name] for name in build(net).inputs if name in made.feeds}
        (found,) = program.run(Subject(net), [inputs], list(wanted))
    except dm.DemitasseError as error:
        return str(error)
    return {blob: found[name] for name, blob in wanted.items() if name in found}


def measured(net: dm.Net) -> set[str]:
    """Blobs that are compared: outputs of the network, but for lists of boxes, and what decisions are made from."""
    graph = build(net)
    kinds = {probe.layer: probe.kind for probe in probes(graph.layers)}
    found: set[str] = set()
    for layer in graph.layers:
        if layer.type.endswith("DetectionOutput"):  # lists of boxes: one score at the threshold, and all rows move
            found.update(layer.inputs[:-1] or layer.inputs)
        elif kinds.get(layer.name) in ("values", "classes"):
            found.add(layer.outputs[0])
    return found


def ignored(net: dm.Net) -> float:
    """Share of the values that may differ: where pooling hands on the places of maxima, rounding decides between two
    that are equal, and what is put back at that place is off by a whole value."""
    masks = any(layer.type == "Pooling" and len(layer.outputs) == 2 for layer in net.layers)
    return 1e-3 if masks else 0.0


def worst(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], aside: float = 0.0) -> float:
    """The largest error over the blobs that both have, relative to the largest magnitude, that share of the largest
    ones left aside."""
    errors: list[float] = []
    for name, values in before.items():
        other = after.get(name)
        if other is None:
            continue
        if other.shape != values.shape:
            return float("inf")
        scale = max(float(np.abs(values).max(initial=0)), 1e-20)
        apart = np.sort(np.abs(values - other), axis=None)
        errors.append(float(apart[len(apart) - 1 - int(aside * len(apart))] if len(apart) else 0.0) / scale)
    return max(errors) if errors else float("nan")


if __name__ == "__main__":
    main()
