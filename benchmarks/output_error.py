"""Size at equal output error: demitasse's default allocation beside NNCodec at one QP for the whole network.

    python benchmarks/output_error.py [MODEL ...] [--quality DB] [--peers-of RESULTS.json] [--allocation uniform]

Outputs are OpenCV's (our executor's where OpenCV does not run the network), on the zoo's photos (digits for LeNet,
CIFAR-10 for its networks). The error is that of logits, boxes or pixels, relative to their power, the mean over the
network's outputs: 10 log10 of it is the SNR. Ours is the whole .demi, prototxt included. NNCodec's is its bitstream, in
its best mode (trellis and RDO), one step for all matrices and its own default for vectors, at the same error: sizes are
interpolated, in the logarithm, between the nearest two that were tried. With ``--peers-of`` NNCodec's sizes are those
of an earlier run, and ours are brought to the errors that they were measured at.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from corpus import Model, corpus
from demitasse import plan
from judging import Judge, nncodec_at, ours_at
from table import geometric_mean, publish

QUALITY = 34.0
"""Decibels at which networks are compared that were not measured before: NNCodec reaches it on all of them."""


def measured(model: Model, error: float, allocation: str, peer: float | None) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(model, Path(folder))
        try:
            size, quality = ours_at(judge, plan.sensitivity(judge.net), error, allocation)
        except ValueError as reason:
            print(f"{model.name}: {reason}")
            return None
        theirs = nncodec_at(judge, error) if peer is None else peer
        if math.isnan(theirs):
            return None
    row = {
        "model": model.name,
        "raw": model.size,
        "quality": quality,
        "SNR, dB": -10 * math.log10(error),
        "NNCodec": int(theirs),
        "demitasse": int(size),
        "times smaller": model.size / size,
        "ratio": size / theirs,
    }
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--quality", type=float, default=QUALITY)
    parser.add_argument("--allocation", default="sensitivity")
    parser.add_argument("--peers-of", type=Path, metavar="RESULTS.json")
    options = parser.parse_args()
    rows: Mapping[str, Any] = {}
    if options.peers_of:
        rows = {row["model"]: row for row in json.loads(options.peers_of.read_text())["rows"]}
    chosen = [model for model in corpus() if not options.models or model.name in options.models]
    found: list[dict[str, Any]] = []
    with suppress(KeyboardInterrupt):  # what has been measured by then is published
        for model in sorted(chosen, key=lambda model: model.size):
            earlier = rows.get(model.name)
            decibels = earlier["SNR, dB"] if earlier else options.quality
            peer = float(earlier["NNCodec"]) if earlier else None
            found += filter(None, [measured(model, 10 ** (-decibels / 10), options.allocation, peer)])
    ratios = [row["ratio"] for row in found]
    summary = {
        "geometric mean": geometric_mean(ratios),
        "worst": max(ratios),
        "best": min(ratios),
        "models": f"{len(found)} of {len(chosen)}",
    }
    name = "output_error" if options.allocation == "sensitivity" else f"output_error_{options.allocation}"
    publish(name, "Size at equal output error", found, summary)


if __name__ == "__main__":
    main()
