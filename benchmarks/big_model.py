"""The 530 MB model: VGG16 Faster R-CNN, most weights zero, every command on it, time and memory; naive packers beside.

    python benchmarks/big_model.py [--peers]

Memory is the peak of the resident set: pages of the memory-mapped input count. ``--peers`` also runs zstd -19 and
NNCodec, which takes minutes.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

import peers
from corpus import CACHE, Model, pruned_vgg16
from demitasse.codec import container
from measuring import command, disk_bandwidth, memory_bandwidth
from table import publish


def commands(model: Model, folder: Path) -> list[dict[str, Any]]:
    stored, lossless, out = folder / "small.demi", folder / "exact.demi", folder / "out"
    steps = [
        ("inspect", ("inspect", model.deploy, model.weights), None),
        ("compress", ("compress", model.deploy, model.weights, "-o", stored, "--no-run"), stored),
        ("inspect .demi", ("inspect", stored), None),
        ("expand", ("expand", stored, "-o", out, "--no-run"), None),
        ("compress --lossless", ("compress", model.deploy, model.weights, "-o", lossless, "--lossless"), lossless),
        ("expand, lossless", ("expand", lossless, "-o", folder / "exact"), None),
    ]
    rows = []
    for name, arguments, made in steps:
        run = command(*arguments, "-q")
        size = made.stat().st_size if made else 0
        rows.append(
            {
                "what": name,
                "seconds": run.seconds,
                "peak MB": run.peak / 1e6,
                "peak / model": run.peak / model.size,
                "bytes": size,
                "of the model %": 100 * size / model.size,
            }
        )
    texts = list(out.glob("*.prototxt"))
    if [text.read_bytes() for text in texts] != [model.deploy.read_bytes()]:
        raise SystemExit("expand did not give the same prototxt")
    (weights,) = (folder / "exact").glob("*.caffemodel")
    if weights.read_bytes() != model.weights.read_bytes():
        raise SystemExit("lossless expand did not give the same caffemodel")
    return rows


def decoding(stored: Path, threads: int) -> dict[str, Any]:
    """Every weight to float32 in memory, nothing written; the best of five."""
    wall, busy = [], []
    for _ in range(5):
        start, used = time.perf_counter(), time.process_time()
        with container.open(stored, threads=threads) as reader:
            count = sum(part.size for _, tensors in reader.layers for tensor in tensors for part in tensor.parts())
        wall.append(time.perf_counter() - start)
        busy.append(time.process_time() - used)
    seconds = min(wall)
    return {
        "what": f"decode, {threads} thread{'s' * (threads > 1)}",
        "seconds": seconds,
        "M weights/s": count / seconds / 1e6,
        "M weights/s of processor time": count / min(busy) / 1e6,
        "GB/s of float32": 4 * count / seconds / 1e9,
    }


def naive(model: Model) -> list[dict[str, Any]]:
    raw = model.weights.read_bytes()
    rows = []
    for name, pack in (
        ("gzip -6", lambda: gzip.compress(raw, 6)),
        ("zstd -3", lambda: zstandard.ZstdCompressor(3).compress(raw)),
        ("zstd -19", lambda: zstandard.ZstdCompressor(level=19, threads=2).compress(raw)),
    ):
        start = time.perf_counter()
        size = len(pack())
        rows.append(
            {
                "what": name,
                "seconds": time.perf_counter() - start,
                "bytes": size,
                "of the model %": 100 * size / len(raw),
            }
        )
    return rows


def nncodec(model: Model) -> dict[str, Any]:
    weights = dict(model.matrices())
    coded = peers.nncodec(weights, 0.5 * float(np.median([w[w != 0].std() for w in weights.values()])))
    return {
        "what": f"NNCodec (decodes in {coded.decode:.0f} s)",
        "seconds": coded.encode,
        "bytes": coded.bytes,
        "of the model %": 100 * coded.bytes / model.size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    model = pruned_vgg16()
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        folder = Path(temporary)
        rows = commands(model, folder)
        decoded = [decoding(folder / "small.demi", threads) for threads in (1, 2)]
        disk = disk_bandwidth(folder)
    if options.peers:
        rows += [{**dict.fromkeys(rows[0], 0.0), **row} for row in [*naive(model), nncodec(model)]]
    memory = memory_bandwidth()
    summary = {
        "model bytes": model.size,
        "memory bandwidth, GB/s": memory / 1e9,
        "disk, GB/s": disk / 1e9,
        "expand, seconds if the disk were the limit": model.size / disk,
        **{f"{row['what']}: {key}": row[key] for row in decoded for key in row if key != "what"},
        "two threads over one": decoded[0]["seconds"] / decoded[1]["seconds"],
        "float32 written, share of memory bandwidth": decoded[1]["GB/s of float32"] * 1e9 / memory,
    }
    publish("big_model", f"{model.name}, {model.size:,} bytes", rows, summary)


if __name__ == "__main__":
    main()
