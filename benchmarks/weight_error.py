"""Size at equal weight error: demitasse's quantiser and coder beside NNCodec's best mode, model by model.

    python benchmarks/weight_error.py [--peers-of RESULTS.json] [MODEL ...]

Every weight tensor (two or more dimensions) is quantised with a step in proportion to its standard deviation, so that
the normalised squared error, over all of them, is the wanted one; vectors are in neither figure. Ours is the size of
a whole .demi without a prototxt; NNCodec's is its bitstream, with dependent quantisation (trellis) and
RDO. Sizes are interpolated, in the logarithm, between two settings on either side of the wanted error.
NNCodec's sizes are measured unless an earlier run's results are named, to take them from.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import demitasse as dm
import peers
from corpus import Model, corpus
from demitasse.codec import container, quantizer
from table import geometric_mean, publish

ERRORS = (0.005, 0.02, 0.08)
Weights = Mapping[str, npt.NDArray[np.float32]]


def normalised_error(weights: Weights, decoded: Weights) -> float:
    """Squared error over variance, the mean over weights."""
    total = sum(
        w.size * float(np.mean((w - decoded[name]) ** 2, dtype=np.float64)) / float(w.var(dtype=np.float64))
        for name, w in weights.items()
    )
    return total / sum(w.size for w in weights.values())


def ours(weights: Weights, scale: float) -> tuple[int, float]:
    """Bytes and error with steps of ``scale`` standard deviations."""
    levels: dict[str, dm.Levels] = {
        name: quantizer.quantize(w, np.array([scale * w.std()], np.float32), wide=True) for name, w in weights.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "weights.demi"
        container.write(stored, b"", [(name, (tensor,)) for name, tensor in levels.items()])
        size = stored.stat().st_size
    return size, normalised_error(weights, {name: tensor.array() for name, tensor in levels.items()})


def nncodec(weights: Weights, scale: float) -> tuple[int, float]:
    """The same of NNCodec."""
    coded = peers.nncodec(weights, {name: scale * float(w.std()) for name, w in weights.items()})
    return coded.bytes, normalised_error(weights, coded.decoded)


def at_error(run: Callable[[float], tuple[int, float]], wanted: float, start: float) -> float:
    """Bytes at the wanted error: secant steps in log scale from ``start``, then interpolation."""
    tried: list[tuple[float, float, int]] = []
    scale = start
    for _ in range(6):
        size, error = run(scale)
        tried.append((np.log(error), np.log(scale), size))
        below = [t for t in tried if t[0] <= np.log(wanted)]
        above = [t for t in tried if t[0] > np.log(wanted)]
        if abs(tried[-1][0] - np.log(wanted)) < 0.02 and below and above:
            break
        slope = 2.0 if len(tried) < 2 else (tried[-1][0] - tried[-2][0]) / (tried[-1][1] - tried[-2][1])
        scale = float(np.exp(tried[-1][1] + (np.log(wanted) - tried[-1][0]) / min(max(slope, 0.5), 3) * 1.02))
    if not below or not above:
        return float(min(tried, key=lambda t: abs(t[0] - np.log(wanted)))[2])
    low, high = max(below), min(above)
    share = (np.log(wanted) - low[0]) / (high[0] - low[0])
    return float(np.exp((1 - share) * np.log(low[2]) + share * np.log(high[2])))


def measured(model: Model, peers_sizes: Mapping[tuple[str, float], int]) -> list[dict[str, Any]]:
    weights = dict(model.matrices())
    count = sum(w.size for w in weights.values())
    starts = {error: 1.05 * float(np.sqrt(4 * error)) for error in ERRORS}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = pool.map(lambda error: at_error(lambda scale: ours(weights, scale), error, starts[error]), ERRORS)
    rows = []
    for error, mine in zip(ERRORS, sizes, strict=True):
        theirs = float(peers_sizes.get((model.name, error), 0))
        theirs = theirs or at_error(lambda scale: nncodec(weights, scale), error, starts[error])
        rows.append(
            {
                "model": model.name,
                "weights": count,
                "NMSE": error,
                "NNCodec": int(theirs),
                "demitasse": int(mine),
                "NNCodec b/w": 8 * theirs / count,
                "demitasse b/w": 8 * mine / count,
                "ratio": mine / theirs,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument(
        "--peers-of", type=Path, metavar="RESULTS.json", help="take NNCodec's sizes from an earlier run"
    )
    options = parser.parse_args()
    wanted = options.models
    earlier = json.loads(options.peers_of.read_text())["rows"] if options.peers_of else []
    peers_sizes = {(row["model"], row["NMSE"]): row["NNCodec"] for row in earlier}
    rows: list[dict[str, Any]] = []
    with suppress(KeyboardInterrupt):  # what has been measured by then is published
        for model in corpus():
            rows += measured(model, peers_sizes) if not wanted or model.name in wanted else []
    ratios = [row["ratio"] for row in rows]
    summary = {"geometric mean": geometric_mean(ratios), "worst": max(ratios), "best": min(ratios)}
    publish("weight_error", "Size at equal weight error", rows, summary)


if __name__ == "__main__":
    main()
