"""An exported ONNX model beside the network that it was made from: ONNX Runtime runs the one, OpenCV or our executor
the other."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError, VerificationError
from demitasse.evaluate.compare import compare
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.detections import Agreement, boxes_of
from demitasse.evaluate.models import OnnxFile, Subject
from demitasse.evaluate.outputs import output_error
from demitasse.evaluate.runtimes import Feeds
from demitasse.evaluate.shown import Shown, fed
from demitasse.message import Message
from demitasse.net import Layer
from demitasse.onnx import Exported, selected
from demitasse.runtime import have_torch, run
from demitasse.runtime.onnxruntime import run_onnx

__all__ = ["compared", "under_its_names"]

Values = npt.NDArray[Any]


@contextmanager
def under_its_names(exported: Exported, target: Path, data: Path) -> Iterator[Exported]:
    """The model in a folder where its second file has the name that it is called by: linked there, or copied."""
    if exported.data is None:
        yield exported
        return
    with tempfile.TemporaryDirectory(prefix=".demitasse-", dir=exported.path.parent) as folder:
        paths = Path(folder) / target.name, Path(folder) / data.name
        for path, place in zip((exported.path, exported.data), paths, strict=True):
            try:
                place.hardlink_to(path)
            except OSError:
                shutil.copyfile(path, place)
        yield replace(exported, path=paths[0], data=paths[1])


def compared(original: Subject, exported: Exported, until: Sequence[str], shown: Shown, *, threads: int) -> Comparison:
    """Run both on the same inputs, and a model for any batch on two of them together, too.

    VerificationError if ONNX Runtime runs it on no such input, or gives something else for two at once. What nothing
    else can run is not compared, and the comparison says so.
    """
    subject = as_exported(original, exported, until)
    found = beside(subject, exported, shown, threads)
    if exported.batch is None and not found.skipped:
        check_pair(subject, exported, shown, threads)
    # What another output is computed from is the end of no network but of one that is cut there.
    for blob in until if len(until) > 1 else ():
        if any(blob in layer.inputs and blob not in layer.outputs for layer in subject.graph.layers):
            more = beside(as_exported(original, exported, (blob,)), exported, shown, threads)
            found = replace(found, outputs=(*found.outputs, *more.outputs), skipped=found.skipped or more.skipped)
    return found


def beside(subject: Subject, exported: Exported, shown: Shown, threads: int) -> Comparison:
    """The network beside the model, in the batch that this takes."""
    model = OnnxFile(exported.path)
    if exported.batch in (None, 1):
        found = compare(subject, model, images=shown, threads=threads)
        return with_boxes_again(found, subject, exported, fed(shown, subject.net, subject.inputs).feeds, threads)
    with tempfile.TemporaryDirectory(prefix="demitasse-") as folder:
        file = Path(folder) / "inputs.npz"
        given = fed(shown, subject.net, subject.inputs, exported.batch or 1)
        arrays: dict[str, Any] = {name: np.stack([feed[name] for feed in given.feeds]) for name in given.feeds[0]}
        np.savez(file, **arrays)
        found = compare(subject, model, images=Shown(arrays=file), threads=threads)
    return replace(found, pictures=given.words, prepared=given.prepared) if found.pictures else found


def with_boxes_again(found: Comparison, subject: Subject, exported: Exported, feeds: Feeds, threads: int) -> Comparison:
    """With boxes that OpenCV finds others of compared with those of our executor: of equal scores, or of overlaps that
    rounding moves across a threshold, OpenCV may choose otherwise."""
    doubtful = [e for e in found.outputs if e.kind == "detections" and e.boxes is not None and not e.boxes.same]
    if not doubtful or not found.independent or not have_torch():
        return found
    blobs = {layer.name: layer.outputs[0] for layer in subject.graph.layers if layer.outputs}
    wanted = [blobs[error.name] for error in doubtful]
    ours = [run(subject.net, feed, wanted, threads=threads or None) for feed in feeds]
    theirs = run_onnx(exported.path, feeds, wanted, threads=threads)
    outputs = list(found.outputs)
    notes = list(found.notes)
    for error, blob in zip(doubtful, wanted, strict=True):
        pair = [x[blob] for x in ours], [x[blob] for x in theirs]
        again = output_error(error.name, "detections", *pair)
        if all(map(same_rows, *pair)):
            number = sum(len(boxes_of(rows)) for rows in pair[0])
            again = replace(again, boxes=Agreement(number, number, 0, at_50=number, at_75=number))
        if again.boxes is not None and again.boxes.same:
            outputs[outputs.index(error)] = again
            notes.append(f"{error.name}: OpenCV finds other boxes; our executor finds those of the model")
    return replace(found, outputs=tuple(outputs), notes=tuple(notes))


def same_rows(expected: Values, found: Values) -> bool:
    """Whether detections are the same one after the other: also where boxes are so large or so thin that rounding
    moves them past each other."""
    return expected.shape == found.shape and bool(np.allclose(expected, found, rtol=1e-3, atol=1e-5))


def as_exported(original: Subject, exported: Exported, until: Sequence[str]) -> Subject:
    """The network with the layers and the inputs that were exported: itself, if those are all."""
    graph = selected(original.net, until)
    everything = len(graph.layers) == len(original.graph.layers)
    shapes = {name: shape[1:] for name, shape in exported.inputs.items()}
    try:
        same = {name: shape[1:] for name, shape in original.inputs.items()} == shapes
    except NetError:
        same = False
    if everything and same and exported.batch in (None, 1):
        return original
    return Subject(graph.net.with_layers(with_shape(layer, exported) for layer in graph.layers))


def with_shape(layer: Layer, exported: Exported) -> Layer:
    """A layer that brings data as an Input of the shape that was exported."""
    if layer.inputs or not all(name in exported.inputs for name in layer.outputs):
        return layer
    shapes = [exported.inputs[name] for name in layer.outputs]
    said = (("shape", Message.of(("dim", tuple(size or 1 for size in shape)))) for shape in shapes)
    return Layer(layer.name, "Input", (), layer.outputs, Message.of(("input_param", Message.of(*said))))


def check_pair(subject: Subject, exported: Exported, shown: Shown, threads: int) -> None:
    """VerificationError unless two inputs together give what each gives alone."""
    given = fed(shown, subject.net, subject.inputs).feeds
    one, other = given[0], given[-1]
    varying = {name for name, shape in exported.inputs.items() if shape and shape[0] is None}
    both = {name: np.concatenate([one[name], other[name]]) if name in varying else one[name] for name in one}
    try:
        alone, together = run_onnx(exported.path, [one, other], threads=threads), run_onnx(exported.path, [both])[0]
    except NetError as error:
        raise VerificationError(f"the model cannot be run on two inputs at once: {error}") from None
    for name, shape in exported.outputs.items():
        apart = [run[name] for run in alone]
        if not shape or shape[0] is not None or len(together[name]) != sum(map(len, apart)):
            continue
        if not close(np.concatenate(apart), together[name]):
            raise VerificationError(f'output "{name}" is another for two inputs at once than for each alone')


def close(expected: Values, found: Values) -> bool:
    """Whether nothing but rounding differs."""
    finite = expected[np.isfinite(expected)]
    scale = float(np.abs(finite).max(initial=0.0))
    return bool(np.allclose(expected, found, rtol=0, atol=1e-3 * scale + 1e-12, equal_nan=True))
