"""The programs that run networks, behind one face: OpenCV and ONNX Runtime, which share no code with ours, and our own
executor.

A value is asked for by the name of the layer that gives it (of an ``.onnx``: by its own name). What a runtime cannot
run is a NetError.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from demitasse import files
from demitasse.errors import NetError
from demitasse.evaluate.models import Model, OnnxFile, Subject
from demitasse.runtime import have_torch
from demitasse.runtime.onnxruntime import have_onnxruntime, onnxruntime_version, run_onnx
from demitasse.runtime.opencv import RunError, available_memory, have_opencv, opencv_version, run_files

__all__ = ["Execution", "Executor", "Feeds", "OnnxRuntime", "OpenCV", "Results", "Runtime", "runtimes_for"]

Values = dict[str, npt.NDArray[np.float32]]
Results = list[Values]
Feeds = list[Values]

FOOTPRINT = 3
"""OpenCV's memory over that of the weights: it parses them into one copy, and makes another or two of its own."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How networks are run. ``threads`` 0: each program's own choice. ``timeout``: seconds for OpenCV. ``device`` and
    ``plugins`` (operations by layer type) are for our executor."""

    threads: int = 0
    timeout: float = 600.0
    device: str = "cpu"
    seed: int = 0
    plugins: Mapping[str, Any] = field(default_factory=dict)


class Runtime(Protocol):
    """A program that runs networks."""

    independent: ClassVar[bool]
    """Whether it shares no code with ours."""

    @property
    def name(self) -> str:
        """What it is called, and its version."""

    def run(self, model: Any, feeds: Feeds, wanted: Sequence[str]) -> Results:
        """The wanted values for each set of inputs; those that it does not have are left out, and if none is left, its
        outputs. NetError if it cannot run the network."""


@dataclass(frozen=True, slots=True)
class OpenCV:
    """OpenCV's dnn module, in a process of its own."""

    execution: Execution
    independent: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Such as ``OpenCV 4.10.0``."""
        return f"OpenCV {opencv_version()}"

    def run(self, model: Subject, feeds: Feeds, wanted: Sequence[str]) -> Results:
        """See `Runtime`. The network's own files run, so that an error in our reader or writer cannot hide on both
        sides; where OpenCV cannot read them (an old format), what we write runs instead."""
        check_runnable(model)
        threads, timeout = self.execution.threads, self.execution.timeout
        try:
            renamed = renamed_by_opencv(model, wanted)
            with plain_files(model) as (prototxt, caffemodel):
                named = [*wanted, *renamed]
                found = run_files(prototxt, caffemodel, feeds, named, threads=threads, timeout=timeout)
        except RunError as error:
            if error.stage == "read" and model.prototxt is not None:
                return self.run(Subject(model.net), feeds, wanted)
            raise
        return [{renamed.get(name, name): values for name, values in one.items()} for one in found]


def renamed_by_opencv(model: Subject, wanted: Sequence[str]) -> dict[str, str]:
    """Those of the layers that OpenCV may call by the blob that they give, if it has another name: by that name."""
    names = {layer.name for layer in model.graph.layers}
    named = [layer for layer in model.graph.layers if layer.name in wanted and layer.outputs]
    return {
        layer.outputs[0]: layer.name
        for layer in named
        if layer.outputs[0] not in names and layer.outputs[0] not in layer.inputs
    }


@dataclass(frozen=True, slots=True)
class Executor:
    """Our own executor, on torch."""

    execution: Execution
    independent: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Our name and torch's version."""
        import torch

        return f"demitasse's executor (PyTorch {torch.__version__.partition('+')[0]})"

    def run(self, model: Subject, feeds: Feeds, wanted: Sequence[str]) -> Results:
        """See `Runtime`."""
        from demitasse.runtime.network import Network
        from demitasse.runtime.threads import infer

        names = set(wanted)
        ends = {layer.name for layer in model.graph.layers if set(layer.outputs) & set(model.graph.outputs)}
        if not names & {layer.name for layer in model.graph.layers}:
            names = ends
        how = self.execution
        network = Network(model.graph, device=how.device, plugins=how.plugins, seed=how.seed)
        out: Results = []
        with infer(how.threads or None):
            for feed in feeds:
                network.reset()
                found: Values = {}
                for layer, given in network.walk(feed):
                    if given and layer.name in names:
                        found[layer.name] = given[0].cpu().numpy()
                    for tensor in layer.tensors:  # A large model need not be in memory as a whole.
                        tensor.release()
                out.append(found)
        return out


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """ONNX Runtime."""

    execution: Execution
    independent: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Such as ``ONNX Runtime 1.20.1``."""
        return f"ONNX Runtime {onnxruntime_version()}"

    def run(self, model: OnnxFile, feeds: Feeds, wanted: Sequence[str]) -> Results:
        """See `Runtime`."""
        return run_onnx(model.path, feeds, wanted, threads=self.execution.threads)


def runtimes_for(model: Model, execution: Execution) -> list[Runtime]:
    """The installed programs that may be able to run it, independent ones first."""
    if isinstance(model, OnnxFile):
        return [OnnxRuntime(execution)] if have_onnxruntime() else []
    return [*([OpenCV(execution)] if have_opencv() else []), *([Executor(execution)] if have_torch() else [])]


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


def check_runnable(subject: Subject) -> None:
    """NetError for what OpenCV need not try: Python layers, or a network that would not fit into memory."""
    for layer in subject.graph.layers:
        if layer.type == "Python":
            raise NetError(f"{layer} is somebody's Python code, which OpenCV cannot run")
    needed = FOOTPRINT * 4 * subject.graph.net.parameters
    available = available_memory()
    if available is not None and needed > available:
        raise NetError(f"OpenCV would need about {needed >> 20} MiB of memory, and {available >> 20} MiB are free")
