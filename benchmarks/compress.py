"""What one command makes of networks, beside everything else that makes them small: sizes at equal output error.

    python benchmarks/compress.py [MODEL ...] [--images 128] [--peers-of RESULTS.json]

The error is that of `output_error.py`. Ours is a whole .demi, without data (generated pictures) and calibrated with
photographs that are not among those measured on. At the same error: NNCodec 2.1.3 at one QP for the network, Deep
Compression's own scheme (k-means of every matrix, positions Huffman coded, float32 codebooks; k as large as it takes),
both with vectors in float16. At an error of their own, which is printed: int8 with a scale a row and float16, through
zstd -19, and OpenCV's float16 caffemodel.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zstandard

from corpus import Model, nsfw, res10, zoo
from demitasse import plan
from judging import Judge, at_error, is_matrix, nncodec_at, ours_at, with_arrays
from table import geometric_mean, publish

ZOO_MODELS = ("squeezenet_deep_compression", "ultralight_face_rfb320", "mtcnn_det2", "mtcnn_det3", "resnet20_cifar10")
QUALITY = 34.0
"""Decibels at which sizes are compared, but for models with those of an earlier run."""

Array = npt.NDArray[np.float32]


def huffman_bits(counts: npt.NDArray[np.int64]) -> int:
    """Of a sequence with these counts of symbols, the code itself (a byte a symbol) included."""
    heap = sorted(int(count) for count in counts if count)
    total = heap[0] if len(heap) == 1 else 0
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        total += both
        heapq.heappush(heap, both)
    return total + 8 * int(np.count_nonzero(counts))


def clustered(values: Array, clusters: int) -> tuple[Array, int]:
    """By k-means from centroids at equal distances, zeros apart; bits of positions and codebook."""
    flat = values.reshape(-1).astype(np.float64)
    alive = flat[flat != 0]
    centroids = np.linspace(alive.min(), alive.max(), clusters)
    for _ in range(20):
        nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, alive)
        counts = np.bincount(nearest, minlength=clusters)
        sums = np.bincount(nearest, alive, minlength=clusters)
        centroids = np.sort(np.where(counts > 0, sums / np.maximum(counts, 1), centroids))
    out = np.zeros_like(flat)
    positions = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, alive)
    out[flat != 0] = centroids[positions]
    counts = np.append(np.bincount(positions, minlength=clusters), flat.size - alive.size)
    return out.reshape(values.shape).astype(np.float32), huffman_bits(counts) + 32 * clusters


def deep_compression(judge: Judge, clusters: float) -> tuple[float, float]:
    """Bytes and error. Vectors in float16."""
    bits = 0

    def change(_: str, values: Array) -> Array:
        nonlocal bits
        if not is_matrix(values) or not values.any():
            bits += 16 * values.size
            return values.astype(np.float16).astype(np.float32)
        changed, spent = clustered(values, max(2, round(clusters)))
        bits += spent
        return changed

    changed = with_arrays(judge.net, change)
    return bits / 8, judge.error(changed)


def deep_compression_at(judge: Judge, error: float) -> float:
    """Its bytes at that error; NaN if 4096 clusters do not do."""

    def run(log: float) -> tuple[float, float]:
        return deep_compression(judge, math.exp(min(log, math.log(4096))))

    try:
        return at_error(run, error, math.log(32), -0.5)[0]
    except ValueError:
        return math.nan


def narrowed(judge: Judge, narrow: Callable[[Array], tuple[Array, bytes]]) -> tuple[int, float]:
    """Bytes of all weights through zstd -19, and the error."""
    raw = bytearray()

    def change(_: str, values: Array) -> Array:
        changed, data = narrow(values)
        raw.extend(data)
        return changed

    error = judge.error(with_arrays(judge.net, change))
    return len(zstandard.ZstdCompressor(level=19).compress(bytes(raw))), error


def int8(values: Array) -> tuple[Array, bytes]:
    """A scale a row; vectors in float16."""
    if not is_matrix(values):
        return half(values)
    rows = values.reshape(len(values), -1)
    scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30) / 127
    levels = np.rint(rows / scale).astype(np.int8)
    return (levels * scale).reshape(values.shape).astype(np.float32), scale.astype(
        np.float32
    ).tobytes() + levels.tobytes()


def half(values: Array) -> tuple[Array, bytes]:
    stored = values.astype(np.float16)
    return stored.astype(np.float32), stored.tobytes()


def opencv_half(model: Model, folder: Path) -> int:
    """Bytes of the caffemodel that OpenCV's ``shrinkCaffeModel`` writes."""
    target = folder / "half.caffemodel"
    cv2.dnn.shrinkCaffeModel(str(model.weights), str(target))
    return target.stat().st_size


def measured(model: Model, decibels: float, images: int, peer: float | None) -> dict[str, Any]:
    error = 10 ** (-decibels / 10)
    with tempfile.TemporaryDirectory() as name:
        judge = Judge(model, Path(name))
        without, _ = ours_at(judge, plan.sensitivity(judge.net), error)
        calibrated, _ = ours_at(judge, plan.sensitivity(judge.net, judge.calibration(images)), error)
        theirs = nncodec_at(judge, error) if peer is None else peer
        bytes_int8, error_int8 = narrowed(judge, int8)
        bytes_half, error_half = narrowed(judge, half)
        row = {
            "model": model.name,
            "raw": model.size,
            "SNR, dB": decibels,
            "demitasse": int(without),
            f"with {images} images": int(calibrated),
            "NNCodec": int(theirs),
            "ratio": without / theirs,
            "ratio with images": calibrated / theirs,
            "Deep Compression": deep_compression_at(judge, error),
            "int8 + zstd": bytes_int8,
            "int8, dB": -10 * math.log10(error_int8),
            "float16 + zstd": bytes_half,
            "float16, dB": -10 * math.log10(error_half),
            "OpenCV float16": opencv_half(model, Path(name)),
        }
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--peers-of", type=Path, metavar="RESULTS.json")
    options = parser.parse_args()
    earlier: Mapping[str, Any] = {}
    if options.peers_of:
        earlier = {row["model"]: row for row in json.loads(options.peers_of.read_text())["rows"]}
    models = [res10(), nsfw(), *(model for model in zoo() if model.name in ZOO_MODELS)]
    models = [model for model in models if not options.models or model.name in options.models]
    rows = []
    with suppress(KeyboardInterrupt):  # what has been measured by then is published
        for model in sorted(models, key=lambda model: model.size):
            known = earlier.get(model.name)
            decibels = known["SNR, dB"] if known else QUALITY
            rows.append(measured(model, decibels, options.images, float(known["NNCodec"]) if known else None))
    summary = {
        "geometric mean": geometric_mean(row["ratio"] for row in rows),
        "geometric mean with images": geometric_mean(row["ratio with images"] for row in rows),
    }
    publish("compress", "Size at equal output error, everything beside everything", rows, summary)


if __name__ == "__main__":
    main()
