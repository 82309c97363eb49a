"""Size at equal output error: demitasse's default allocation beside NNCodec at one QP for the whole network.

    python benchmarks/output_error.py [MODEL ...] [--quality DB] [--allocation uniform]

Outputs are OpenCV's, on the zoo's photos (digits for LeNet, CIFAR-10 for its networks). The error is that of logits,
boxes or pixels, relative to their power, the mean over the network's outputs: 10 log10 of it is the SNR. Ours is the
whole .demi at a quality, prototxt included. NNCodec's is its bitstream, in its best mode (trellis and RDO), one step
for all matrices and its own default for vectors, at the step that gives the same error: interpolated, in the logarithm
of the size, between the nearest two that were tried.
"""

from __future__ import annotations

import argparse
import gzip
import math
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import demitasse as dm
import peers
from corpus import ZOO, Model, corpus
from demitasse import files, plan
from demitasse.evaluate.compare import Shown, compare
from demitasse.transforms.quantize import Quantize
from table import geometric_mean, publish

VECTOR_STEP = 5 * 2.0**-21
"""NNCodec's default for what is not a matrix: QP -75."""

PHOTOS = 12


def photos(folder: Path) -> None:
    """Every fourth or so of the zoo's photos of faces and of ImageNet's classes."""
    found = sorted(path for name in ("faces", "imagenet") for path in (ZOO / "data" / name).iterdir())
    found = [path for path in found if path.suffix.lower() in (".jpg", ".jpeg")]
    for path in found[:: len(found) // PHOTOS]:
        (folder / path.name).write_bytes(path.read_bytes())


def digits(folder: Path) -> None:
    raw = gzip.decompress((ZOO / "data" / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    for i, pixels in enumerate(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[:512:8]):
        cv2.imwrite(str(folder / f"{i}.png"), pixels)


def cifar(folder: Path) -> None:
    archive = zipfile.ZipFile(ZOO / "data" / "cifar10" / "cifar10-test-jpg.zip")
    for name in [name for name in archive.namelist() if name.endswith("jpg")][:64]:
        (folder / Path(name).name).write_bytes(archive.read(name))


def pictures_of(model: Model) -> Callable[[Path], None]:
    return digits if "lenet" in model.name else cifar if "cifar" in model.name else photos


class Judge:
    """Errors at the outputs of one model."""

    def __init__(self, model: Model, folder: Path) -> None:
        pictures_of(model)(folder)
        self.net = model.load()
        self.shown = Shown(folder)
        self.boxes = self.classes = ""

    def error(self, net: dm.Net) -> float:
        """Noise over signal. NaN if OpenCV does not run the network."""
        found = compare(self.net, net, images=self.shown)
        shares = [output.noise / output.signal for output in found.outputs if output.kind == "values" and output.signal]
        return float(np.mean(shares)) if shares else math.nan


def ours(judge: Judge, known: Any, quality: float, allocation: Any) -> tuple[int, float]:
    small = Quantize(quality, known, allocation, threads=2)(judge.net)
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "model.demi"
        files.save(small, stored)
        return stored.stat().st_size, judge.error(files.load(stored))


def nncodec(judge: Judge, step: float, vectors: float) -> tuple[int, float]:
    arrays = {
        f"{layer.name}\t{i}": np.ascontiguousarray(tensor.array(), np.float32)
        for layer in judge.net.layers
        for i, tensor in enumerate(layer.tensors)
        if tensor.size
    }
    numbered = {f"t{i:05}": name for i, name in enumerate(arrays)}
    steps = {key: step if is_matrix(arrays[name]) else vectors for key, name in numbered.items()}
    coded = peers.nncodec({key: arrays[name] for key, name in numbered.items()}, steps)
    decoded = {name: coded.decoded[key] for key, name in numbered.items()}
    layers = [
        layer.with_tensors(
            dm.Dense(decoded[f"{layer.name}\t{i}"].reshape(tensor.shape)) if tensor.size else tensor
            for i, tensor in enumerate(layer.tensors)
        )
        for layer in judge.net.layers
    ]
    return coded.bytes, judge.error(replace(judge.net, layers=tuple(layers)))


def is_matrix(values: Any) -> bool:
    return values.ndim > 1 and values.size > max(values.shape)


def at_error(run: Callable[[float], tuple[int, float]], wanted: float, start: float) -> tuple[float, float]:
    """Bytes at the wanted error, and the step: secant steps in log scale from ``start``, then interpolation."""
    tried: list[tuple[float, float, float]] = []  # log of the error, of the step, of the size
    at = math.log(start)
    for _ in range(8):
        size, error = run(math.exp(at))
        tried.append((math.log(error), at, math.log(size)))
        below = [t for t in tried if t[0] <= math.log(wanted)]
        above = [t for t in tried if t[0] > math.log(wanted)]
        if below and above and max(below)[1] > min(above)[1] - 0.5:
            break
        nearest = min(tried, key=lambda t: abs(t[0] - math.log(wanted)))
        at = nearest[1] + 1.1 * float(np.clip((math.log(wanted) - nearest[0]) / 2, -1.5, 1.5))
        at += 0.05 if math.log(wanted) > nearest[0] else -0.05
    if not below or not above:
        raise ValueError(f"no step of NNCodec's gives an error of {wanted}: {tried}")
    low, high = max(below), min(above)
    share = (math.log(wanted) - low[0]) / (high[0] - low[0])
    return math.exp((1 - share) * low[2] + share * high[2]), math.exp((1 - share) * low[1] + share * high[1])


def least_bytes(judge: Judge, error: float, start: float) -> tuple[float, float]:
    """NNCodec's bytes at that error, and its step. Where its default for vectors is too coarse, a finer one."""
    for finer in (1, 16, 256):
        vectors = VECTOR_STEP / finer
        try:
            return at_error(lambda step, vectors=vectors: nncodec(judge, step, vectors), error, start)
        except ValueError as reason:
            print(f"vectors at {vectors:.1e}: {reason}", flush=True)
    return math.nan, math.nan


def measured(model: Model, quality: float, allocation: str) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(model, Path(folder))
        known = plan.sensitivity(judge.net)
        size, error = ours(judge, known, quality, allocation)
        if math.isnan(error):
            print(f"{model.name}: OpenCV does not run it")
            return None
        weights = [t.array() for layer in judge.net.layers for t in layer.tensors if is_matrix(t.array())]
        deviation = math.sqrt(sum(float((w.astype(float) ** 2).sum()) for w in weights) / sum(w.size for w in weights))
        theirs, step = least_bytes(judge, error, deviation / 4)
        if math.isnan(theirs):
            print(f"{model.name}: NNCodec does not reach our error of {error:.2e}, with whatever step: no ratio")
            return None
    row = {
        "model": model.name,
        "raw": model.size,
        "quality": quality,
        "SNR, dB": -10 * math.log10(error),
        "NNCodec": int(theirs),
        "its step": step,
        "demitasse": size,
        "times smaller": model.size / size,
        "ratio": size / theirs,
    }
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--quality", type=float, default=plan.QUALITY)
    parser.add_argument("--allocation", default="sensitivity")
    options = parser.parse_args()
    chosen = [model for model in corpus() if not options.models or model.name in options.models]
    chosen.sort(key=lambda model: model.size)
    rows = []
    with suppress(KeyboardInterrupt):  # what has been measured by then is published
        for model in chosen:
            rows += filter(None, [measured(model, options.quality, options.allocation)])
    ratios = [row["ratio"] for row in rows]
    summary = {"geometric mean": geometric_mean(ratios), "worst": max(ratios), "best": min(ratios)}
    name = "output_error" if options.allocation == "sensitivity" else f"output_error_{options.allocation}"
    publish(name, "Size at equal output error", rows, summary)


if __name__ == "__main__":
    main()
