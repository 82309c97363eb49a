"""OpenCV's dnn module as a runtime: the second implementation that every result is checked against.

`to_opencv` hands a network over in memory, so that an application can ship the ``.demi`` alone.
`run_files` runs plain Caffe files in a process of their own: OpenCV aborts on some networks and never returns on
others, and a check must survive what it checks.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.errors import MissingExtraError, NetError, WeightsError
from demitasse.net import Layer, Net

__all__ = ["RunError", "available_memory", "have_opencv", "opencv_version", "run_files", "to_opencv"]

Arrays = Mapping[str, npt.NDArray[np.float32]]


class RunError(NetError):
    """OpenCV cannot run a network. ``stage``: it could not "read" the files, "build" a layer (a type that it does not
    know), "run" the layers on these inputs, or it "ended" otherwise (a crash, no answer in time)."""

    def __init__(self, message: str, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


def have_opencv() -> bool:
    """Whether the optional dependency is installed (it is not imported)."""
    return find_spec("cv2") is not None


def import_opencv(purpose: str) -> Any:
    """The cv2 module. MissingExtraError if it is absent, or is a 5.0 that has lost its Caffe importer."""
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("opencv-python-headless<5", "opencv", purpose) from None
    if not hasattr(cv2, "dnn") or not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise MissingExtraError(
            f"opencv-python-headless<5 ({cv2.__version__} is installed and cannot read Caffe networks)",
            "opencv",
            purpose,
        )
    return cv2


def opencv_version() -> str:
    """Such as ``4.10.0``. MissingExtraError if OpenCV is absent."""
    return str(import_opencv("asking for OpenCV's version").__version__)


def available_memory() -> int | None:
    """Bytes that a new process may use without pushing others out; ``None`` where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(kilobytes[0]) if kilobytes else None


def to_opencv(net: Net) -> Any:
    """The same network as a ``cv2.dnn.Net``, handed over in memory.

    Layers of the training phase are left out, quantised weights become float32. NetError if OpenCV refuses the
    network, does not know the type of a layer, or a layer has no weights; MissingExtraError if OpenCV is not installed.
    Ask for outputs by layer name, as always in OpenCV.
    """
    cv2 = import_opencv("to_opencv()")
    from demitasse.files import to_bytes

    check_weights(net)
    text, weights = to_bytes(net)
    stage = "read"
    try:
        found = cv2.dnn.readNetFromCaffe(np.frombuffer(text, np.uint8), np.frombuffer(weights, np.uint8))
        stage = "build"
        for name in found.getLayerNames():
            found.getLayer(name)  # made on first use: here and not in the middle of forward()
    except cv2.error as error:
        raise NetError(f"OpenCV {cv2.__version__} cannot {stage} this network: {first_line(error.err)}") from None
    return found


def check_weights(net: Net) -> None:
    """NetError for a layer that needs weights and has none: OpenCV says so in forward(), or not at all."""
    from demitasse.layers import build, infer

    graph = build(net)
    for layer, shapes in zip(graph.layers, infer(graph, strict=False).parameters, strict=True):
        if shapes and not layer.tensors and not shares_weights(layer):
            raise WeightsError(f"{layer} has no weights: load the network with its caffemodel")


def shares_weights(layer: Layer) -> bool:
    """Whether a layer's weights may be another one's, by name."""
    return any(spec.string("name") for spec in layer.message.messages("param"))


def run_files(
    prototxt: Path,
    caffemodel: Path,
    inputs: Sequence[Arrays],
    outputs: Sequence[str],
    *,
    threads: int = 0,
    timeout: float = 600.0,
) -> list[dict[str, npt.NDArray[np.float32]]]:
    """Run plain Caffe files on each set of inputs (blob name → array), in another process.

    ``outputs`` are names of layers, those that OpenCV has done away with are left out; if none is left, the layers
    that nothing reads. ``threads`` 0 leaves the choice to OpenCV,
    ``timeout`` is in seconds. RunError if OpenCV refuses the network, crashes on it or takes longer.
    """
    if not have_opencv():
        raise MissingExtraError("opencv-python-headless<5", "opencv", "running a network")
    with tempfile.TemporaryDirectory(prefix="demitasse-") as name:
        folder = Path(name)
        job = {
            "prototxt": str(prototxt.resolve()),
            "caffemodel": str(caffemodel.resolve()),
            "outputs": list(outputs),
            "threads": threads,
            "inputs": [list(feed) for feed in inputs],
        }
        (folder / "job.json").write_text(json.dumps(job))
        for i, feed in enumerate(inputs):
            for j, values in enumerate(feed.values()):
                np.save(folder / f"input-{i}-{j}.npy", values)
        run_worker(folder, timeout)
        names = json.loads((folder / "names.json").read_text())
        return [
            {name: np.load(folder / f"output-{i}-{j}.npy") for j, name in enumerate(names)} for i in range(len(inputs))
        ]


def run_worker(folder: Path, timeout: float) -> None:
    """One run of the worker over a prepared folder. RunError says how it ended, if not well."""
    command = [sys.executable, "-m", "demitasse.runtime.opencv_worker", str(folder)]
    with (folder / "stderr").open("wb") as stderr:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise RunError(f"OpenCV did not finish within {timeout:.0f} s", "ended") from None
    if done.returncode == 0:
        return
    said = (folder / "stderr").read_text(errors="replace").strip().splitlines()
    refused = folder / "error"
    if refused.exists():
        stage, _, message = refused.read_text().partition("\n")
        raise RunError(message, stage)
    if done.returncode < 0:
        raise RunError(f"OpenCV crashed on this network ({signal_name(-done.returncode)})", "ended")
    raise RunError(f"OpenCV failed on this network: {said[-1] if said else f'exit status {done.returncode}'}", "ended")


def signal_name(number: int) -> str:
    """``SIGABRT`` for 6; the bare number where the system has no name for it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def first_line(text: str) -> str:
    """OpenCV's messages go on for lines; the first says it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"
