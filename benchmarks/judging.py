"""What a smaller network's outputs are worth: errors on pictures through OpenCV, and sizes at an error asked for.

Pictures that are measured on and pictures that are calibrated with are different ones: of the zoo's photographs every
fourth or so and the others, the others cropped and mirrored until there are enough; MNIST's and CIFAR-10's test and
training sets.
"""

from __future__ import annotations

import gzip
import math
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import demitasse as dm
import peers
from corpus import ZOO, Model
from demitasse import files
from demitasse.evaluate.compare import Shown, compare
from demitasse.transforms.quantize import Quantize
from demitasse.transforms.sensitivity import Sensitivity

VECTOR_STEP = 5 * 2.0**-21
"""NNCodec's default for what is not a matrix: QP -75."""

PHOTOS = 12
MEASURED = 64

Picture = npt.NDArray[np.uint8]
Point = tuple[float, float]
"""Bytes, and the error of the outputs."""


def pictures(model: Model, calibration: int = 0) -> Iterator[Picture]:
    """To measure on; or so many to calibrate with."""
    if "lenet" in model.name:
        return digits(calibration)
    return cifar(calibration) if "cifar" in model.name else photos(calibration)


def photos(calibration: int) -> Iterator[Picture]:
    found = sorted(path for name in ("faces", "imagenet") for path in (ZOO / "data" / name).iterdir())
    found = [path for path in found if path.suffix.lower() in (".jpg", ".jpeg")]
    measured = found[:: len(found) // PHOTOS]
    if not calibration:
        yield from (cv2.imread(str(path)) for path in measured)
        return
    whole = [cv2.imread(str(path)) for path in found if path not in measured]
    random = np.random.default_rng(0)
    for i in range(calibration):
        yield whole[i] if i < len(whole) else crop(whole[i % len(whole)], random)


def crop(picture: Picture, random: np.random.Generator) -> Picture:
    """Half to nine tenths of each side, mirrored every other time."""
    share = random.uniform(0.5, 0.9)
    height, width = (int(share * size) for size in picture.shape[:2])
    top, left = (
        int(random.integers(0, size - part)) for size, part in zip(picture.shape, (height, width), strict=False)
    )
    part = picture[top : top + height, left : left + width]
    return np.ascontiguousarray(part[:, ::-1] if random.random() < 0.5 else part)


def digits(calibration: int) -> Iterator[Picture]:
    name = "train-subset-images-idx3-ubyte.gz" if calibration else "t10k-images-idx3-ubyte.gz"
    raw = gzip.decompress((ZOO / "data" / "mnist" / name).read_bytes())
    yield from np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[::8][: calibration or MEASURED]


def cifar(calibration: int) -> Iterator[Picture]:
    name = "cifar10-train-subset-jpg.zip" if calibration else "cifar10-test-jpg.zip"
    with zipfile.ZipFile(ZOO / "data" / "cifar10" / name) as archive:
        names = [name for name in archive.namelist() if name.endswith("jpg")]
        chosen = names[:: len(names) // calibration][:calibration] if calibration else names[:MEASURED]
        for one in chosen:
            yield cv2.imdecode(np.frombuffer(archive.read(one), np.uint8), cv2.IMREAD_COLOR)


def as_folder(shown: Iterator[Picture], folder: Path) -> Shown:
    folder.mkdir()
    for i, picture in enumerate(shown):
        cv2.imwrite(str(folder / f"{i:03}.png"), picture)
    return Shown(folder)


class Judge:
    """Errors at the outputs of one model. ``folder``: for pictures."""

    def __init__(self, model: Model, folder: Path) -> None:
        self.model, self.net = model, model.load()
        self.shown = as_folder(pictures(model), folder / "measured")
        self.folder = folder

    def calibration(self, count: int) -> Shown:
        return as_folder(pictures(self.model, count), self.folder / f"calibration-{count}")

    def error(self, net: dm.Net) -> float:
        """Noise over signal. NaN if nothing runs the network, or it has no values for outputs."""
        found = compare(self.net, net, images=self.shown)
        shares = [output.noise / output.signal for output in found.outputs if output.kind == "values" and output.signal]
        return float(np.mean(shares)) if shares else math.nan

    def ours(self, known: Sensitivity, quality: float, allocation: Any = "sensitivity") -> Point:
        return self.stored(Quantize(quality, known, allocation, threads=2)(self.net))

    def stored(self, net: dm.Net) -> Point:
        """As a .demi, prototxt included, read again."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.demi"
            files.save(net, path)
            return path.stat().st_size, self.error(files.load(path))

    def nncodec(self, step: float, vectors: float = VECTOR_STEP) -> Point:
        """NNCodec in its best mode, at one step for all matrices."""
        arrays = {
            f"{layer.name}\t{i}": np.ascontiguousarray(tensor.array(), np.float32)
            for layer in self.net.layers
            for i, tensor in enumerate(layer.tensors)
            if tensor.size
        }
        numbered = {f"t{i:05}": name for i, name in enumerate(arrays)}
        steps = {key: step if is_matrix(arrays[name]) else vectors for key, name in numbered.items()}
        coded = peers.nncodec({key: arrays[name] for key, name in numbered.items()}, steps)
        decoded = {name: coded.decoded[key] for key, name in numbered.items()}
        return coded.bytes, self.error(with_arrays(self.net, lambda name, _: decoded[name]))


def with_arrays(net: dm.Net, change: Callable[[str, npt.NDArray[np.float32]], npt.NDArray[np.float32]]) -> dm.Net:
    """The network with other weights: ``change`` has the names of `Judge.nncodec`, and the arrays."""
    layers = [
        layer.with_tensors(
            dm.Dense(change(f"{layer.name}\t{i}", tensor.array()).reshape(tensor.shape)) if tensor.size else tensor
            for i, tensor in enumerate(layer.tensors)
        )
        for layer in net.layers
    ]
    return replace(net, layers=tuple(layers))


def is_matrix(values: Any) -> bool:
    return values.ndim > 1 and values.size > max(values.shape)


def deviation(net: dm.Net) -> float:
    """Of all weights in matrices."""
    weights = [t.array() for layer in net.layers for t in layer.tensors if is_matrix(t.array())]
    return math.sqrt(sum(float((w.astype(float) ** 2).sum()) for w in weights) / sum(w.size for w in weights))


def at_error(run: Callable[[float], Point], wanted: float, start: float, per_error: float) -> tuple[float, float]:
    """Bytes at the wanted error, and the setting: secant steps from ``start``, then interpolation of the logarithms.

    ``per_error``: about by how much the setting changes when the error is e times as large. ValueError if the error is
    not to be had.
    """
    tried: list[tuple[float, float, float]] = []  # log of the error, setting, log of the size
    at = start
    for _ in range(8):
        size, error = run(at)
        tried.append((math.log(error), at, math.log(size)))
        below = [t for t in tried if t[0] <= math.log(wanted)]
        above = [t for t in tried if t[0] > math.log(wanted)]
        if below and above and min(above)[0] - max(below)[0] < 1.0:
            break
        nearest = min(tried, key=lambda t: abs(t[0] - math.log(wanted)))
        missing = math.log(wanted) - nearest[0]
        at = nearest[1] + per_error * (float(np.clip(1.1 * missing, -3, 3)) + math.copysign(0.1, missing))
    if not below or not above:
        raise ValueError(f"no setting gives an error of {wanted:.2e}: {tried}")
    low, high = max(below), min(above)
    share = (math.log(wanted) - low[0]) / (high[0] - low[0])
    return math.exp((1 - share) * low[2] + share * high[2]), (1 - share) * low[1] + share * high[1]


def ours_at(judge: Judge, known: Sensitivity, error: float, allocation: Any = "sensitivity") -> tuple[float, float]:
    """Our bytes at that error, and the quality."""
    decibels = 10 / math.log(10)

    def run(quality: float) -> Point:
        return judge.ours(known, quality, allocation)

    return at_error(run, error, -decibels * math.log(error) - 3, -decibels)


def nncodec_at(judge: Judge, error: float) -> float:
    """NNCodec's bytes at that error. Where its default for vectors is too coarse, a finer one; NaN if none will do."""
    for finer in (1, 16, 256):

        def run(log: float, vectors: float = VECTOR_STEP / finer) -> Point:
            return judge.nncodec(math.exp(log), vectors)

        try:
            return at_error(run, error, math.log(deviation(judge.net) / 4), 0.5)[0]
        except ValueError as reason:
            print(f"vectors at 1/{finer} of the default: {reason}", flush=True)
    return math.nan
