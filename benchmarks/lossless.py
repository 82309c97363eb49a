"""Lossless coding of float32 models: demitasse beside zstd -19, xz -9 and ZipNN, bytes on disk and decoding speed.

    python benchmarks/lossless.py [MODEL ...] [--big]

``--big`` adds a 530 MB model. Peers compress the caffemodel as it is; ours stores it and its prototxt.
"""

from __future__ import annotations

import argparse
import lzma
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

import peers
from corpus import Model, nsfw, pruned_vgg16, res10, zoo
from demitasse import originals
from demitasse.codec import container
from table import publish


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = action()
    return value, time.perf_counter() - start


def zipnn(model: Model) -> tuple[int, float]:
    """Bytes and seconds to decode. Of the numbers alone: it does not survive a file in which they begin anywhere."""
    numbers = [tensor.array().astype(np.float32).tobytes() for layer in model.load().layers for tensor in layer.tensors]
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(numbers))
        file.flush()
        return peers.zipnn(Path(file.name))


def decoding(path: Path, threads: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, to decode every number into fresh memory, all kept; the best of five.

    Opening (prototxt and index) is not in it.
    """
    wall, busy = [], []
    for _ in range(5):
        with container.open(path, threads=threads) as reader:
            start, used = time.perf_counter(), time.process_time()
            kept = [part for _, tensors in reader.layers for tensor in tensors for part in tensor.parts()]
            wall.append(time.perf_counter() - start)
            busy.append(time.process_time() - used)
        del kept
    return min(wall), min(busy)


def measured(model: Model) -> dict[str, Any]:
    raw = model.weights.read_bytes()
    zstd = zstandard.ZstdCompressor(level=19, threads=-1).compress(raw)
    _, zstd_seconds = timed(lambda: zstandard.ZstdDecompressor().decompress(zstd, max_output_size=len(raw)))
    xz = lzma.compress(raw, preset=6 if len(raw) > 1e8 else 9)
    packed, zipnn_seconds = zipnn(model)
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "model.demi"
        originals.store(model.deploy, model.weights, stored)
        ours = stored.stat().st_size
        _, seconds = timed(lambda: originals.restore(stored, Path(folder) / "a.prototxt", Path(folder) / "a"))
        (_, one), (two, _) = (decoding(stored, threads) for threads in (1, 2))
        if (Path(folder) / "a").read_bytes() != raw:
            raise SystemExit(f"demitasse does not give {model.name} back")
    best = min(len(zstd), len(xz), packed)
    return {
        "model": model.name,
        "raw": len(raw),
        "zstd -19 %": 100 * len(zstd) / len(raw),
        "xz %": 100 * len(xz) / len(raw),
        "ZipNN %": 100 * packed / len(raw),
        "demitasse %": 100 * ours / len(raw),
        "of the best peer": ours / best,
        "zstd GB/s": len(raw) / zstd_seconds / 1e9,
        "ZipNN GB/s": len(raw) / zipnn_seconds / 1e9,
        "demitasse GB/s, to disk": len(raw) / seconds / 1e9,
        "demitasse GB/s, one core": len(raw) / one / 1e9,
        "demitasse GB/s, two threads": len(raw) / two / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--big", action="store_true")
    options = parser.parse_args()
    models = [res10(), nsfw(), *zoo(1_000_000), *([pruned_vgg16()] if options.big else [])]
    rows = [measured(model) for model in models if not options.models or model.name in options.models]
    worst = max(row["of the best peer"] for row in rows)
    publish("lossless", "Lossless, share of the raw size", rows, {"worst ratio to the best peer": worst})


if __name__ == "__main__":
    main()
