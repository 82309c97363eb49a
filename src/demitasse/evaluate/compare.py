"""Two networks side by side: the weights, and the outputs that a second implementation gives for them.

    compare(original, smaller, images="photos/").worst

The second implementation is OpenCV. What it cannot run is not compared, and the comparison says so.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demitasse import files
from demitasse.datasets.pictures import Picture, photographs
from demitasse.errors import NetError, VerificationError
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.inputs import feeds, picture_shape
from demitasse.evaluate.outputs import OutputError, output_error
from demitasse.evaluate.pictures import generated
from demitasse.evaluate.preprocessing import Preprocessing, preprocessing
from demitasse.evaluate.probes import Probe, probes
from demitasse.evaluate.weights import weight_errors
from demitasse.layers import Graph, build, infer, known
from demitasse.net import Net
from demitasse.runtime.opencv import RunError, available_memory, have_opencv, opencv_version, run_files

__all__ = ["Shown", "Subject", "compare", "reason_not_to_run"]

NO_OPENCV = "OpenCV is not installed: pip install 'demitasse[opencv]'"

FOOTPRINT = 3
"""OpenCV's memory over that of the weights: it parses them into one copy, and makes another or two of its own."""

Pictures = Sequence[tuple[str, Picture]]
Results = list[dict[str, npt.NDArray[np.float32]]]
Feeds = list[dict[str, npt.NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A network and, where it has them, its plain Caffe files, which are then what runs."""

    net: Net
    prototxt: Path | None = None
    caffemodel: Path | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What the networks are shown. ``folder`` ``None``: ``count`` generated pictures. ``mean`` and ``scale``: what is
    done to pixels, ``None`` for what is known of the network."""

    folder: Path | None = None
    mean: tuple[float, ...] | None = None
    scale: float | None = None
    count: int = 4
    seed: int = 0

    @property
    def kind(self) -> str:
        """What one of them is called."""
        return "generated picture" if self.folder is None else "photograph"


def compare(
    original: Net | Subject,
    candidate: Net | Subject,
    *,
    images: str | os.PathLike[str] | Shown | None = None,
    run: bool = True,
    threads: int = 0,
    timeout: float = 600.0,
) -> Comparison:
    """Compare weights, and outputs on pictures: of a folder, or generated if ``images`` is ``None``.

    ``run``: outputs, too. ``threads``: for OpenCV, 0 for its own choice. ``timeout``: seconds for each network.
    FileError for pictures that cannot be read, OptionError for a mean that does not fit, VerificationError if OpenCV
    runs the original and not the candidate. A network that OpenCV cannot run, or no OpenCV, is no error.
    """
    first = original if isinstance(original, Subject) else Subject(original)
    second = candidate if isinstance(candidate, Subject) else Subject(candidate)
    shown = images if isinstance(images, Shown) else Shown(None if images is None else Path(images))
    weights, unmatched = weight_errors(first.net, second.net)
    if not run:
        return Comparison(weights, unmatched, skipped="not asked for")
    if not have_opencv():
        return Comparison(weights, unmatched, skipped=NO_OPENCV)
    try:
        graph = build(first.net)
        check_runnable(graph)
        inputs = input_shapes(graph)
        shape = picture_shape(inputs)
        prepare = preprocessing(first.net, shape[1], shown.mean, shown.scale)
        pictures = pictures_of(shown, shape)
        runner = Runner(probes(graph.layers), threads, timeout)
        fed, expected = run_original(first, inputs, pictures, prepare, runner)
    except NetError as error:
        return Comparison(weights, unmatched, skipped=str(error))
    try:
        found = runner(second, fed)
    except NetError as error:
        raise VerificationError(f"OpenCV runs the original and not the result: {error}") from None
    return Comparison(
        weights,
        unmatched,
        tuple(runner.measured(expected, found)),
        runtime=f"OpenCV {opencv_version()}",
        pictures=f"{len(pictures)} {shown.kind}{'' if len(pictures) == 1 else 's'}",
        prepared=str(prepare),
    )


def reason_not_to_run(subject: Subject, *, threads: int = 0, timeout: float = 600.0) -> str:
    """Why OpenCV cannot run a network, on one generated picture; empty if it can."""
    if not have_opencv():
        return NO_OPENCV
    try:
        graph = build(subject.net)
        check_runnable(graph)
        inputs = input_shapes(graph)
        shape = picture_shape(inputs)
        prepare = preprocessing(subject.net, shape[1])
        run_original(subject, inputs, generated(1, shape[2], shape[3]), prepare, Runner((), threads, timeout))
    except NetError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs networks and compares what comes out, always at the same places."""

    probes: Sequence[Probe]
    threads: int
    timeout: float

    def __call__(self, subject: Subject, fed: Feeds) -> Results:
        """The outputs of one network for each set of inputs. NetError if OpenCV cannot."""
        with plain_files(subject) as (prototxt, caffemodel):
            wanted = [probe.layer for probe in self.probes]
            return run_files(prototxt, caffemodel, fed, wanted, threads=self.threads, timeout=self.timeout)

    def measured(self, expected: Results, found: Results) -> Iterator[OutputError]:
        """One error for each layer that both gave."""
        probes = {probe.layer: probe for probe in self.probes}
        for name in expected[0]:
            probe = probes.get(name, Probe(name, "values"))
            values = [run[name] for run in expected], [run[name] for run in found]
            yield output_error(name, probe.kind, *values, probe.axis)


@contextmanager
def plain_files(subject: Subject) -> Iterator[tuple[Path, Path]]:
    """The network's own files, or new ones for as long as the block runs."""
    if subject.prototxt is not None and subject.caffemodel is not None:
        yield subject.prototxt, subject.caffemodel
        return
    with tempfile.TemporaryDirectory(prefix="demitasse-") as folder:
        paths = Path(folder) / "deploy.prototxt", Path(folder) / "weights.caffemodel"
        files.save(subject.net, *paths)
        yield paths


def run_original(
    subject: Subject, inputs: Mapping[str, tuple[int, ...]], pictures: Pictures, prepare: Preprocessing, runner: Runner
) -> tuple[Feeds, Results]:
    """What was fed, and what came out. NetError if OpenCV cannot.

    The network's own files run, so that an error in our reader or writer cannot hide on both sides; where OpenCV
    cannot read them (an old format), what we write runs instead. A batch of one is enough, unless a Reshape has the
    batch size built in.
    """
    batch = max((shape[0] for shape in inputs.values() if len(shape) == 4), default=1)
    fed = feeds(inputs, pictures, prepare)
    try:
        return fed, runner(subject, fed)
    except RunError as error:
        if error.stage == "read" and subject.prototxt is not None:
            return run_original(Subject(subject.net), inputs, pictures, prepare, runner)
        if error.stage != "run" or batch == 1:
            raise
        fed = feeds(inputs, pictures, prepare, batch)
        return fed, runner(subject, fed)


def check_runnable(graph: Graph) -> None:
    """NetError for what need not be tried: Python layers, or a network that would not fit into memory."""
    for layer in graph.layers:
        if layer.type == "Python":
            raise NetError(f"{layer} is somebody's Python code, which OpenCV cannot run")
    needed = FOOTPRINT * 4 * graph.net.parameters
    available = available_memory()
    if available is not None and needed > available:
        raise NetError(f"OpenCV would need about {needed >> 20} MiB of memory, and {available >> 20} MiB are free")


def input_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """What has to be fed, and in which shape. NetError for a network that reads its data itself, or says no shape."""
    shapes = infer(graph).blobs
    found = {name: shape for name in graph.inputs if known(shape := shapes.get(name))}
    if not found:
        sources = [layer for layer in graph.layers if not layer.inputs and layer.type != "Input"]
        why = f"{sources[0]} brings its own data" if sources else "it declares no input of known shape"
        raise NetError(f"the network cannot be run as it is: {why}")
    return found


def pictures_of(shown: Shown, shape: tuple[int, ...]) -> Pictures:
    """The photographs of the folder, or generated pictures of the network's own size."""
    if shown.folder is not None:
        return photographs(shown.folder)
    return generated(shown.count, shape[2], shape[3], shown.seed)
