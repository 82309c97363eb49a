"""What can leave Caffe: every network of the zoo exported to ONNX, and run by ONNX Runtime beside our executor.

    python benchmarks/onnx_export.py [--only NAME ...] [--macs 4e9] [--no-recordings]

Networks without weights get random ones; what reads a database reads an input instead, and is no deploy network. The
error of a network is the largest difference of an output, relative to the largest magnitude there. What would take more
multiplications than ``--macs`` is exported and checked, and not run. Below, forward runs that real Caffe recorded.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import demitasse as dm
from demitasse.errors import DemitasseError, NetError
from demitasse.layers import build, infer, layer_type
from demitasse.onnx import OPSET, Exported, to_onnx
from demitasse.runtime import run
from demitasse.runtime.onnxruntime import onnxruntime_version, run_onnx
from table import publish
from zoo import Ready, candidates, ready

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import reference  # noqa: E402 - how recordings are read and held against ours is the tests' own

TOLERANCE = 1e-4

FOLDERS = re.compile(r"(?<![\w\"])/\S*/")
"""Where files are is nobody's business in a published table."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--macs", type=float, default=4e9)
    parser.add_argument("--no-recordings", dest="recordings", action="store_false")
    parser.add_argument("--golden", type=Path, default=ROOT.parent / "shared/golden")
    parser.add_argument("--zoo", type=Path, default=ROOT.parent / "shared/zoo")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "network.onnx"
        for seed, (network, prototxt, weights) in enumerate(candidates()):
            if options.only and network not in options.only:
                continue
            try:
                original = dm.load(prototxt, *([weights] if weights else []))
                rows.append(row(ready(network, prototxt, weights, seed), original, path, options.macs))
            except DemitasseError as error:
                if "it is a solver" in str(error):
                    continue
                rows.append(refused(network, "no", f"not a network: {error}"))
            print(*rows[-1].values(), flush=True)
        summary = totals(rows)
        if options.recordings:
            summary["forward runs recorded by Caffe"] = recordings(options.golden, options.zoo, path)
    publish("onnx_export", f"zoo to ONNX (opset {OPSET})", rows, summary)


def is_deploy(net: dm.Net) -> bool:
    """Whether it declares its inputs, and judges nothing."""
    layers = build(net).layers
    sources = all(layer.inputs or not layer_type(layer.type).is_source or layer.type == "Input" for layer in layers)
    return sources and not any(layer_type(layer.type).is_loss or layer.type == "Accuracy" for layer in layers)


def row(network: Ready, original: dm.Net, path: Path, macs: float) -> dict[str, Any]:
    kind = "yes" if is_deploy(original) else "no"
    try:
        if kind == "yes" and len(network.net.layers) < len(build(original).layers):
            to_onnx(original, path)  # what was made ready to run lacks some layers: is it refused for them?
        done = exported(network, path)
    except DemitasseError as error:
        return refused(network.name, kind, str(error))
    feeds = small(network.feeds, done)
    graph = build(network.net)
    work = infer(graph, {name: values.shape for name, values in feeds.items() if name in graph.inputs}).total_macs
    error: Any = "not run"
    if work is not None and work <= macs:
        (found,) = run_onnx(path, [feeds], threads=1)
        expected = run(network.net, feeds, list(done.outputs), threads=1)
        error = max((distance(expected[name], found[name]) for name in expected), default=0.0)
    batch = "any" if done.batch is None else str(done.batch)
    why = next((note.text.partition(": ")[2] for note in done.notes if note.text.startswith("for a batch")), "")
    return dict(zip(COLUMNS, (network.name, kind, "exported", done.nodes, batch, error, why), strict=True))


def exported(network: Ready, path: Path) -> Exported:
    """For any batch; for one picture, where a layer takes no more."""
    try:
        return to_onnx(network.net, path)
    except NetError:
        return to_onnx(network.net, path, batch=1)


COLUMNS = ("network", "deploy", "result", "nodes", "batch", "error", "why")


def refused(name: str, deploy: str, why: str) -> dict[str, Any]:
    return dict(zip(COLUMNS, (name, deploy, "refused", 0, "", "", FOLDERS.sub("", why)), strict=True))


def small(feeds: Mapping[str, np.ndarray], done: Exported) -> dict[str, np.ndarray]:
    """One picture where a model takes any number."""
    return {
        name: values[:1] if done.batch in (None, 1) and values.ndim == 4 else values
        for name, values in feeds.items()
        if name in done.inputs
    }


def distance(expected: np.ndarray, found: np.ndarray) -> float:
    if expected.shape != found.shape:
        return float("inf")
    return float(np.abs(expected - found).max(initial=0) / max(float(np.abs(expected).max(initial=0)), 1e-30))


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    deploy = [each for each in rows if each["deploy"] == "yes"]
    compared = [each for each in rows if isinstance(each["error"], float)]
    return {
        "deploy networks exported whole": f"{sum(x['result'] == 'exported' for x in deploy)} of {len(deploy)}",
        "of all": f"{sum(x['result'] == 'exported' for x in rows)} of {len(rows)}",
        "compared": len(compared),
        f"within {TOLERANCE:g}": sum(each["error"] <= TOLERANCE for each in compared),
        "ONNX Runtime": onnxruntime_version(),
    }


def recordings(golden: Path, zoo: Path, path: Path) -> str:
    """How many forward runs of real Caffe ONNX Runtime reproduces; those that it does not, by name."""
    results = dict(recorded(golden, zoo, path))
    failed = [name for name, good in results.items() if not good]
    return f"{len(results) - len(failed)} of {len(results)}{': not ' if failed else ''}{', '.join(failed)}"


def recorded(golden: Path, zoo: Path, path: Path) -> Iterator[tuple[str, bool]]:
    for each in reference.runs(golden, zoo):
        record, arrays = reference.read_json(each.path), np.load(each.path.with_suffix(".npz"))
        inputs = reference.inputs_of(record, arrays)
        shapes = {name: values.shape for name, values in inputs.items()}
        to_onnx(reference.network_of(record, zoo), path, shapes=shapes)
        (outputs,) = run_onnx(path, [inputs], threads=1)
        yield str(each), not reference.wrong_outputs(arrays, outputs, TOLERANCE)
        print(each, flush=True)


if __name__ == "__main__":
    main()
