"""A network as an ONNX model: layer by layer, checked, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from demitasse.atomic import replacing, replacing_all
from demitasse.errors import NetError, OptionError
from demitasse.files import check_outputs
from demitasse.layers import Graph
from demitasse.layers.layertype import refuse
from demitasse.net import Net, Note
from demitasse.onnx.call import FixedBatch
from demitasse.onnx.extents import HELD, Given, extents
from demitasse.onnx.nodes import Storage, import_onnx, write_model
from demitasse.onnx.selection import selected
from demitasse.onnx.table import PYTHON, TABLE
from demitasse.onnx.writer import Exported, Style, Writer

__all__ = ["EXTERNAL_ABOVE", "is_large", "to_onnx"]

EXTERNAL_ABOVE: Final = 1 << 30
"""Bytes of weights that go into a second file: protobuf ends at 2 GB, and readers need room for copies."""


def to_onnx(
    net: Net,
    path: str | os.PathLike[str],
    *,
    until: Sequence[str] = (),
    half: bool = False,
    exact: bool = False,
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    data: str | os.PathLike[str] | None = None,
    location: str | None = None,
    external_above: int | None = None,
) -> Exported:
    """Write a network as ``.onnx`` (opset 21), for any batch unless ``batch`` says one or a layer allows only one.

    ``until``: blobs to end with, in place of the network's outputs. ``half``: weights and arithmetic in float16, except
    in layers that need float32; inputs and outputs stay float32. ``shapes``: of inputs, in place of what the file says,
    or of data whose shape it does not say. Weights that are quantised in the network are DequantizeLinear of 4 or 8
    bits, rounded where they need more; ``exact``: they stay the same numbers, in a larger file. More than
    ``external_above`` bytes of weights (`EXTERNAL_ABOVE` by default) go into a file of their own, ``data`` (``path``
    with ``.data`` behind it), which the model calls ``location`` (its name). What only a trainer needs is left out.

    NetError names a layer that ONNX cannot express, and why; OptionError for a blob or an input that there is not,
    FileError if a file cannot be written, MissingExtraError without the onnx package.
    """
    onnx = import_onnx()
    if batch is not None and batch < 1:
        raise OptionError(f"a batch is at least 1, and is {batch}")
    graph = selected(net, until)
    check_types(graph)
    target = Path(path)
    beside = Path(data) if data is not None else target.with_name(target.name + ".data")
    external = beside if is_large(graph.net, half, external_above) else None
    check_outputs(net, [target] if external is None else [target, external])
    with opened(target, external) as (file, second):
        storage = Storage(second, location or beside.name)
        try:
            model, found = whole(graph, storage, Given(batch, shapes or {}), Style(half, exact))
        except UnicodeError:
            raise NetError("a name in the network is no text (UTF-8), and ONNX has nothing else") from None
        check(onnx, model, storage)
        write_model(file, model, storage)
    return replace(found, path=target, data=external)


def is_large(net: Net, half: bool, external_above: int | None = None) -> bool:
    """Whether the weights go into a file of their own, as far as their plain size tells."""
    weights = sum(tensor.nbytes for layer in net.layers for tensor in layer.tensors)
    return weights // (2 if half else 1) > (EXTERNAL_ABOVE if external_above is None else external_above)


def check_types(graph: Graph) -> None:
    """NetError for the first layer that the table does not know, or that is somebody's code."""
    for layer in graph.layers:
        if not layer.inputs and layer.type not in HELD:
            continue
        hint = f", such as --until {layer.inputs[0]}" if layer.inputs else ""
        if layer.type not in TABLE:
            refuse(layer, f"cannot be expressed in ONNX; --until BLOB ends the model before it{hint}")
        param = layer.message.message("python_param")
        if layer.type == "Python" and param.string("layer") not in PYTHON:
            name = f"{param.string('module')}.{param.string('layer')}"
            refuse(layer, f"is somebody's Python code ({name}); --until BLOB ends the model before it{hint}")


@contextmanager
def opened(path: Path, data: Path | None) -> Iterator[tuple[BinaryIO, BinaryIO | None]]:
    """The files to write."""
    if data is None:
        with replacing(path) as file:
            yield file, None
    else:
        with replacing_all(path, data) as (file, second):
            yield file, second


def check(onnx: Any, model: Any, storage: Storage) -> None:
    """The checker with full shape inference; of large weights it is told the shape. NetError for a defect of ours."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    constants = [x for x in shown.graph.initializer if x.data_location != onnx.TensorProto.EXTERNAL]
    large = [x for x in shown.graph.initializer if x.data_location == onnx.TensorProto.EXTERNAL]
    large += [waiting.proto for waiting in storage.waiting]
    told = [onnx.helper.make_tensor_value_info(x.name, x.data_type, x.dims) for x in large]
    del shown.graph.initializer[:]
    shown.graph.initializer.extend(constants)
    shown.graph.input.extend(told)
    try:
        onnx.checker.check_model(shown, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise NetError(f"ONNX's checker refuses the model: {first}") from None


def whole(graph: Graph, storage: Storage, given: Given, style: Style) -> tuple[Any, Exported]:
    """The model for any batch; if that cannot be, for the one of the file."""
    batch = given.batch
    if batch is None:
        try:
            return Writer(graph, extents(graph, given, True), storage, style).model()
        except FixedBatch as reason:
            why = str(reason)
        if storage.file is not None:
            storage.file.seek(0)
            storage.file.truncate()
        storage.waiting.clear()
    try:
        shapes = extents(graph, given, False)
        model, found = Writer(graph, shapes, storage, style).model()
    except FixedBatch as reason:
        raise NetError(f"cannot be expressed in ONNX: {reason}") from None
    size = next((shape[0] for shape in shapes.inputs.values() if shape), 1)
    if batch is None:
        note = Note("export", "", f"for a batch of {size} only: {why}")
        found = replace(found, notes=(*found.notes, note))
    return model, replace(found, batch=size)
