"""Our executor beside OpenCV, layer by layer: every model of the zoo on a photo, every prototxt with random weights.

    python benchmarks/executor_opencv.py [--only NAME ...] [--models-only] [--macs 4e9] [--timeout 120]

The error of a layer is the largest difference of its first output, relative to the largest magnitude there. A row shows
the worst layer of those that OpenCV has too (it does away with some, Dropout for one). Pictures are shrunk by halves
where a pass would take more multiplications than ``--macs``. What OpenCV cannot read, or what is no deploy network, is
listed with the reason.

OpenCV departs from Caffe, and the recordings of real Caffe side with us, in LRN (it does not know ``k``: vgg_cnn_s) and
in Axpy (SE networks). Detections of random weights are ties, which it breaks in another order (SSD).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import demitasse as dm
from demitasse.errors import DemitasseError, NetError
from demitasse.layers import UNKNOWN, Graph, build, infer
from demitasse.net import Dense, Layer, Net
from demitasse.runtime.network import Network
from demitasse.runtime.opencv import RunError, opencv_version, run_files
from table import publish

ROOT = Path(__file__).resolve().parents[1]
ZOO = ROOT.parent / "shared" / "zoo"
sys.path.insert(0, str(ROOT / "tests"))

import reference  # noqa: E402 - its rule for random weights

TOLERANCE = 1e-4

FOLDERS = re.compile(r"(?<![\w\"])/\S*/")
"""Where files are is nobody's business in a published table."""


@dataclass(frozen=True)
class Candidate:
    name: str
    prototxt: Path
    weights: Path | None = None

    def load(self) -> Net:
        return dm.load(self.prototxt, self.weights) if self.weights else dm.load(self.prototxt)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--models-only", action="store_true", help="leave out networks with random weights")
    parser.add_argument("--macs", type=float, default=4e9)
    parser.add_argument("--timeout", type=float, default=120)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for candidate in candidates(options.models_only):
        if not options.only or candidate.name in options.only:
            rows.append(row(candidate, options))
            print(*(f"{value:.1e}" if isinstance(value, float) else value for value in rows[-1].values()), flush=True)
    compared = [line for line in rows if isinstance(line["error"], float)]
    summary = {
        "compared": len(compared),
        f"within {TOLERANCE:g}": sum(line["error"] <= TOLERANCE for line in compared),
        "not compared": len(rows) - len(compared),
        "OpenCV": opencv_version(),
    }
    publish("executor_opencv", "our executor beside OpenCV: the worst layer of each network", rows, summary)


def candidates(models_only: bool) -> Iterator[Candidate]:
    for folder in sorted((ZOO / "models").iterdir()):
        yield Candidate(folder.name, folder / "deploy.prototxt", folder / f"{folder.name}.caffemodel")
    for path in [] if models_only else sorted((ZOO / "prototxt").glob("*.prototxt")):
        if "solver" not in path.stem:
            yield Candidate(path.stem, path)


def row(candidate: Candidate, options: argparse.Namespace) -> dict[str, Any]:
    line: dict[str, Any] = {"network": candidate.name, "layers": 0, "error": "-", "worst layer, or why not": ""}
    try:
        net = candidate.load()
        graph = build(net)
        shapes = input_shapes(graph, options.macs)
        if not candidate.weights:
            net = with_random_weights(graph, shapes)
        errors = layer_errors(net, pictures(shapes), options.timeout)
    except DemitasseError as error:
        return line | {"worst layer, or why not": FOLDERS.sub("", str(error))[:150]}
    if not errors:
        return line | {"worst layer, or why not": "no layer in common"}
    worst = max(errors, key=lambda name: errors[name])
    return line | {"layers": len(errors), "error": errors[worst], "worst layer, or why not": worst}


def input_shapes(graph: Graph, most: float) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs: as in the file, one picture at a time, and smaller where a pass would take too long."""
    blobs = infer(graph).blobs
    shapes = {name: tuple(blobs[name] or ()) for name in graph.inputs}
    if not shapes:
        raise NetError("no Input layer: a network for training")
    if any(size is UNKNOWN for shape in shapes.values() for size in shape):
        raise NetError("the file does not tell the size of its input")
    for smaller in (single, *[halved] * 4):
        if smaller is halved and (infer(graph, shapes).total_macs or 0) <= most:
            break
        attempt = smaller(shapes)
        try:
            if fits(graph, attempt, shapes):
                shapes = attempt
        except NetError:
            break
    return shapes


def single(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: (1, *shape[1:]) if len(shape) == 4 else shape for name, shape in shapes.items()}


def halved(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    small = {
        name: (*shape[:2], *(size // 2 for size in shape[2:])) for name, shape in shapes.items() if len(shape) == 4
    }
    return {**shapes, **{name: shape for name, shape in small.items() if min(shape[2:]) >= 32}}


def fits(graph: Graph, attempt: Mapping[str, tuple[int, ...]], before: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the network takes these inputs with the same weights."""
    return infer(graph, attempt).parameters == infer(graph, before).parameters


def with_random_weights(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> Net:
    """The reference data's rule, except that BatchNorm's sums are of one picture, as OpenCV assumes of some files."""
    layers, k = [], 0
    for layer, blobs in zip(graph.layers, infer(graph, shapes).parameters, strict=True):
        if blobs:
            kind = {"ConvolutionDepthwise": "DepthwiseConvolution"}.get(layer.type, layer.type)
            values = reference.drawn(kind, k, [list(shape) for shape in blobs])
            layer, k = layer.with_tensors(map(Dense, values)), k + 1
        layers.append(layer)
    return graph.net.with_layers(layers)


def pictures(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A photo in every input of one or three channels, between -1 and 1; sizes of it where a blob wants them."""
    photo = cv2.imread(str(sorted((ZOO / "data" / "faces").glob("*.jpg"))[0]))
    return {name: filled(photo, shape, shapes) for name, shape in shapes.items()}


def filled(photo: np.ndarray, shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    if len(shape) == 2 and shape[1] in (3, 4, 5):
        height, width = next(other[2:] for other in shapes.values() if len(other) == 4)
        if shape[1] == 5:  # regions
            corners = np.random.default_rng(0).uniform(0, 0.5, (shape[0], 2)) * (width, height)
            return np.hstack([np.zeros((shape[0], 1)), corners, corners * 1.5 + 16]).astype(np.float32)
        return np.tile(np.float32([height, width, 1, 1][: shape[1]]), (shape[0], 1))
    if len(shape) != 4:
        return np.ones(shape, np.float32)
    resized = cv2.resize(photo, (shape[3], shape[2]), interpolation=cv2.INTER_AREA).astype(np.float32) / 127.5 - 1
    planes = resized.mean(2, keepdims=True) if shape[1] == 1 else resized
    return np.ascontiguousarray(np.resize(planes.transpose(2, 0, 1), shape), np.float32)


def layer_errors(net: Net, inputs: Mapping[str, np.ndarray], timeout: float) -> dict[str, float]:
    """For each layer that both have, the error of its first output."""
    graph = build(net)
    names = [layer.name for layer in graph.layers if layer.type not in ("Input", "Split", "Dropout", "Silence")]
    with tempfile.TemporaryDirectory(prefix="demitasse-") as folder:
        files = Path(folder) / "net.prototxt", Path(folder) / "net.caffemodel"
        dm.save(graph.net.with_layers(map(as_opencv_knows_it, graph.layers)), *files)
        try:
            (theirs,) = run_files(*files, [dict(inputs)], names, timeout=timeout)
        except RunError as error:
            raise NetError(str(error)) from None
    errors: dict[str, float] = {}
    with torch.inference_mode():
        for layer, outputs in Network(graph).walk(inputs):
            if layer.name in theirs and outputs:
                kind = found if layer.type == "DetectionOutput" else relative
                errors[layer.name] = kind(outputs[0].numpy(), theirs[layer.name])
    return errors


def as_opencv_knows_it(layer: Layer) -> Layer:
    """DepthwiseConvolution is a Convolution by another name."""
    return replace(layer, type="Convolution") if layer.type == "DepthwiseConvolution" else layer


def found(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Detections row by row. OpenCV fills up with rows of zeros; where nothing is found, Caffe gives a row of -1."""
    ours, theirs = ours.reshape(-1, 7), theirs.reshape(-1, 7)
    theirs = theirs[np.any(theirs != 0, 1)]
    return relative(ours if np.any(ours != -1) else ours[:0], theirs)


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.size != theirs.size:
        return float("inf")
    ours, theirs = ours.reshape(-1).astype(np.float64), theirs.reshape(-1)
    largest = float(np.abs(theirs).max(initial=0)) or 1.0
    return float(np.abs(ours - theirs).max(initial=0)) / largest


if __name__ == "__main__":
    main()
