"""Every network of the zoo through every transform: what leaves, and that the outputs stay what they were.

    python benchmarks/shrink_zoo.py [NAME ...] [--transform NAME] [--macs 2e9] [--no-opencv]

Networks without weights get generated ones; all get zeros planted at random (filters, inputs, borders of kernels,
doubles, whole groups of channels). Above ``--macs`` pictures are made smaller, as far as layers allow; nothing is left
out. Outputs before and after are compared in our executor and, where it runs the network, in OpenCV. Relative to the
largest magnitude of a blob the error of exact transforms may be 1e-4. `strip` takes the file as it is, both phases of
it, and is compared with what the same file computes without losses.

Takes about an hour of one core, and up to 4 GiB of memory. With names the table is printed and not kept.
"""

from __future__ import annotations

import argparse
import operator
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import demitasse as dm
from demitasse.evaluate.models import Subject
from demitasse.evaluate.probes import probes
from demitasse.evaluate.runtimes import Execution, Executor, OpenCV, Runtime
from demitasse.layers import build, infer
from demitasse.layers.ties import tie
from demitasse.transforms.factorize import Factorize
from demitasse.transforms.fold import Fold
from demitasse.transforms.half import Half
from demitasse.transforms.prune import Prune
from demitasse.transforms.prune.criteria import makers
from demitasse.transforms.shrink import Shrink
from demitasse.transforms.strip import Strip
from demitasse.transforms.transform import is_kept
from table import publish
from zoo import Ready, candidates, fed, planted, ready, trained

TOLERANCE = 1e-4

TRANSFORMS: Mapping[str, Callable[[dm.Net], dm.Net]] = {
    "shrink": Shrink(),
    "strip": Strip(),
    "fold": Fold(),
    "half": Half(),
    "factorize": Factorize(rank="break-even"),
    "prune": Prune(keep=0.7, ranking="layer"),
}
"""What is tried. Another transform is tested by a row here."""

INEXACT = {"half": 0.05, "factorize": np.inf, "prune": np.inf}
"""Largest errors of transforms that do not promise equal outputs. Random weights have no low rank, and all channels
matter alike: of these the table says by how much outputs differ, and that what comes out can be run."""

AGREEING = 1e-3
"""By how much further two programs may be apart on the result than they are on the original."""


@dataclass(frozen=True)
class Pair:
    """A network before and after a transform, and what it was called with."""

    made: Ready
    after: dm.Net
    seconds: float
    fixed: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all networks without any")
    parser.add_argument("--transform", choices=TRANSFORMS, action="append")
    parser.add_argument("--no-opencv", action="store_true", help="compare in our executor only")
    parser.add_argument("--macs", type=float, default=2e9, help="smaller pictures for networks with more")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    programs: list[Runtime] = [Executor(Execution(threads=1))]
    if not options.no_opencv:
        programs.append(OpenCV(Execution(threads=1, timeout=300)))
    rows: list[dict[str, Any]] = []
    for name, prototxt, weights in candidates():
        if options.names and not any(part in name for part in options.names):
            continue
        for row in network(name, prototxt, weights, options, programs):
            rows.append(row)
            print(*row.values(), sep=" | ", flush=True)
    failed = [row for row in rows if row["result"] == "FAILED"]
    if options.names or options.transform:
        print(f"{len(failed)} of {len(rows)} failed")
    else:
        publish("shrink_zoo", "Transforms over the zoo", rows, summary(rows))
    if failed:
        raise SystemExit(1)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Results by transform."""
    found: dict[str, Any] = {"networks": len({row["network"] for row in rows})}
    for transform in TRANSFORMS:
        mine = [row for row in rows if row["transform"] == transform]
        kinds = dict.fromkeys(row["result"].partition(":")[0] for row in mine)
        counts = (f"{sum(row['result'].startswith(kind) for row in mine)} {kind}" for kind in kinds)
        beside = sum(row["OpenCV"][:1].isdigit() for row in mine)
        found[transform] = ", ".join(counts) + f"; {beside} also in OpenCV"
    found["failed"] = sum(row["result"] == "FAILED" for row in rows)
    return found


def network(
    name: str, prototxt: Path, weights: Path | None, options: argparse.Namespace, programs: Sequence[Runtime]
) -> Iterator[dict[str, Any]]:
    """A row for each transform."""
    chosen = options.transform or list(TRANSFORMS)
    try:
        made = ready(name, prototxt, weights, options.seed, options.macs)
        net = planted(made.net, zlib.crc32(name.encode()) + options.seed)
        made = Ready(name, net, made.feeds)
    except dm.DemitasseError as error:
        yield from (row(name, transform, f"no network to run: {error}") for transform in chosen)
        return
    before: dict[str, Any] = {}
    for transform in chosen:
        try:
            if transform == "strip":
                pair = stripped(name, prototxt, weights, options)
                beside = (
                    None if pair is None else {one.name: outputs(one, pair.made.net, pair.made) for one in programs}
                )
            else:
                before = before or {one.name: outputs(one, net, made) for one in programs}
                pair, beside = transformed(made, transform), before
        except dm.DemitasseError as error:
            yield row(name, transform, f"refused: {error}")
            continue
        except Exception as error:  # a defect: the table goes on, and says so
            traceback.print_exc()
            yield row(name, transform, "FAILED", errors=[repr(error)])
            continue
        yield judged(transform, pair, beside or {}, programs)
        sys.stdout.flush()


def transformed(made: Ready, transform: str) -> Pair:
    """A network of one phase, and what a transform makes of it."""
    start = time.process_time()
    after = TRANSFORMS[transform](made.net)
    seconds = time.process_time() - start
    fixed = transform in INEXACT or same(after, made.net) or same(TRANSFORMS[transform](after), after)
    return Pair(made, after, seconds, fixed)


def stripped(name: str, prototxt: Path, weights: Path | None, options: argparse.Namespace) -> Pair:
    """What a file computes, with inputs in the place of data layers and without losses; and the stripped network."""
    net, shapes = trained(name, prototxt, weights, options.seed, options.macs)
    while True:
        strip = Strip(shapes)
        try:
            before = strip.reference(net)
            break
        except dm.OptionError as error:
            named = str(error).split('"')[1] if " is no input of the network" in str(error) else ""
            if named not in shapes:
                raise
            shapes.pop(named)
    start = time.process_time()
    after = strip(net)
    seconds = time.process_time() - start
    graph = build(before)
    feeds = fed(graph, infer(graph, strict=False).blobs, np.random.default_rng(options.seed))
    again = Strip()(after)
    return Pair(Ready(name, before, feeds), after, seconds, same(again, after))


def judged(transform: str, pair: Pair, before: Mapping[str, Any], programs: Sequence[Runtime]) -> dict[str, Any]:
    """The row of one transform on one network."""
    made, after = pair.made, pair.after
    notes = after.report[len(made.net.report) :]
    if same(after, made.net):
        reasons = [note.text for note in notes if is_kept(note)] or [note.text for note in notes]
        return row(made.name, transform, f"nothing to do: {reasons[0] if reasons else ''}", seconds=pair.seconds)
    if new := [name for name in build(after).inputs if name not in made.feeds]:
        return row(made.name, transform, f"not run: the original makes up what are inputs now: {', '.join(new)}")
    errors: list[float | str] = []
    results = []
    for program in programs:
        first = before[program.name]
        second = first if isinstance(first, str) else outputs(program, after, made)
        words = [one for one in (first, second) if isinstance(one, str)]
        results.append((first, second))
        errors.append(words[0] if words else worst(first, second, ignored(made.net)))
    numbers = [error for error in errors if isinstance(error, float)]
    tolerance = INEXACT.get(transform, TOLERANCE)
    lost = any(isinstance(second, str) and not isinstance(first, str) for first, second in results)
    bad = lost or any(not error <= tolerance for error in numbers) or not pair.fixed or apart(results)
    good = "runs" if tolerance == np.inf else "close" if transform in INEXACT else "equal"
    result = "FAILED" if bad else good if numbers else f"not run: {errors[0]}"
    return row(made.name, transform, result, pair, errors)


def apart(results: Sequence[tuple[Any, Any]]) -> bool:
    """Whether two programs that agree on the original do not on the result."""
    if len(results) < 2 or any(isinstance(one, str) for pair in results for one in pair):
        return False
    (first, after), (other, other_after) = results
    return not worst(after, other_after, 1e-3) <= 10 * worst(first, other, 1e-3) + AGREEING


def same(a: dm.Net, b: dm.Net) -> bool:
    """Whether no layer is another one."""
    return len(a.layers) == len(b.layers) and all(map(operator.is_, a.layers, b.layers))


def row(
    name: str, transform: str, result: str, pair: Pair | None = None, errors: Sequence[float | str] = (), seconds=0.0
) -> dict[str, Any]:
    """What the table shows."""
    gone = {"channels gone": "", "parameters gone": "", "MACs gone": ""}
    reasons = 0
    if pair is not None:
        before, after = pair.made.net, pair.after
        macs = [infer(build(net), strict=False).total_macs for net in (before, after)]
        gone["channels gone"] = share(channels(before), channels(after))
        gone["parameters gone"] = share(before.parameters, after.parameters)
        gone["MACs gone"] = share(*macs)
        reasons = sum(map(is_kept, after.report[len(before.report) :]))
        seconds = pair.seconds
    words = [f"{error:.1e}" if isinstance(error, float) else error[:60] for error in errors]
    return {
        "network": name,
        "transform": transform,
        **gone,
        "error": words[0] if words else "",
        "OpenCV": words[1] if len(words) > 1 else "",
        "left for a reason": reasons,
        "CPU s": round(seconds, 2),
        "result": result[:160],
    }


def share(before: int | None, after: int | None) -> str:
    """``12 of 40 (30.0 %)``, the figure that left."""
    if before is None or after is None:
        return "?"
    return f"{before - after} of {before} ({100 * (before - after) / max(1, before):.1f} %)"


def channels(net: dm.Net) -> int:
    """Outputs of all layers with weights that multiply and sum."""
    return sum(len(product.rows) for _, product in makers(tie(net)))


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
        found = np.sort(np.abs(values - other), axis=None)
        errors.append(float(found[len(found) - 1 - int(aside * len(found))] if len(found) else 0.0) / scale)
    return max(errors) if errors else float("nan")


if __name__ == "__main__":
    main()
