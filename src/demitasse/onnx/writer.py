"""The model itself: the nodes of every layer in order, values under the names of blobs, precision by precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demitasse.errors import OptionError
from demitasse.layers import UNKNOWN, Graph, Shape, layer_type
from demitasse.layers.build import phase_of
from demitasse.layers.shapes import place
from demitasse.net import Note, Tensor
from demitasse.onnx.call import Call
from demitasse.onnx.extents import HELD, REGIONS, Extents
from demitasse.onnx.nodes import Nodes, Storage, import_onnx
from demitasse.onnx.table import HALF, MOVING, TABLE
from demitasse.onnx.weights import Weights

__all__ = ["OPSET", "Exported", "Style", "Writer"]

OPSET: Final = 21
"""The first with 4-bit integers; ONNX Runtime runs it from 1.18 on."""

IR_VERSION: Final = 10
"""Of the file format; readers refuse what is newer than they are, and this one came with opset 21."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. ``inputs``, ``outputs``: shapes, ``None`` for a size that may vary. ``batch``: its batch,
    ``None`` for any. ``weights``: bytes in each form of storage. ``data``: the second file, if any. ``rounded``:
    relative error (L2) of the quantised weights that were rounded to fewer bits, 0 if none was."""

    path: Path
    opset: int
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, tuple[int | None, ...]]
    batch: int | None
    nodes: int
    weights: Mapping[str, int]
    notes: tuple[Note, ...] = ()
    data: Path | None = None
    rounded: float = 0.0

    @property
    def coded(self) -> int:
        """Bytes of weights that are stored as integers."""
        return sum(size for form, size in self.weights.items() if form.startswith(("int", "uint")))


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers are written: see `to_onnx`."""

    half: bool
    exact: bool


class Writer:
    """Writes one graph of known extents."""

    def __init__(self, graph: Graph, sizes: Extents, storage: Storage, style: Style) -> None:
        self.graph = graph
        self.sizes = sizes
        self.half = style.half
        self.onnx = import_onnx()
        self.nodes = Nodes(storage)
        self.weights = Weights(self.nodes, style.exact)
        self.values: dict[str, str] = {}
        self.single: dict[str, str] = {}
        self.notes: list[Note] = [note for note in graph.net.report if note.step == "export"]
        self.halves: set[str] = set()
        self.casts: dict[tuple[str, bool], str] = {}

    def model(self) -> tuple[Any, Exported]:
        """The ModelProto, and what is to be said about it; FixedBatch if the batch has to be known."""
        for name in self.sizes.inputs:
            self.values[name] = self.nodes.unique(name)
        for position, layer in enumerate(self.graph.layers):
            if layer.inputs or layer.type in HELD:
                self.layer(position)
        named = self.finish()
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        blobs = self.sizes.blobs
        inputs = [helper.make_tensor_value_info(n, kind, self.dims(n)) for n in self.sizes.inputs]
        outputs = [helper.make_tensor_value_info(n, kind, self.dims(blob)) for n, blob in named.items()]
        name = self.graph.net.name or "network"
        graph = helper.make_graph(self.nodes.nodes, name, inputs, outputs, self.nodes.constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, producer_name="demitasse", opset_imports=opset, ir_version=IR_VERSION)
        return model, Exported(
            path=Path(),
            opset=OPSET,
            inputs={name: plain(shape) for name, shape in self.sizes.inputs.items()},
            outputs={name: plain(blobs[blob]) for name, blob in named.items()},
            batch=None,
            nodes=len(self.nodes.nodes),
            weights=dict(self.weights.bytes),
            notes=tuple(self.notes),
            rounded=self.weights.rounded,
        )

    def layer(self, position: int) -> None:
        """The nodes of one layer."""
        layer = self.graph.layers[position]
        shapes = [self.sizes.blobs[name] for name in layer.inputs]
        placed, _ = place(layer, shapes, phase_of(layer.message, self.graph.phase))
        given = [self.values[name] for name in layer.inputs]
        half = self.half and (layer.type in HALF or (layer.type in MOVING and any(x in self.halves for x in given)))
        half = half and not (layer.type == "Pooling" and len(layer.outputs) > 1)
        tensors, names = self.owned(position)
        call = Call(
            placed=placed,
            inputs=tuple(self.cast(x, half) for x in given),
            outputs=self.sizes.outputs[position][: len(layer.outputs)],
            tensors=tensors,
            names=names,
            nodes=self.nodes,
            weights=self.weights,
            half=half,
            remark=lambda text: self.notes.append(Note("export", layer.name, text)),
        )
        result = TABLE[layer.type](call)
        results = (result,) if isinstance(result, str) else result
        for name, value in zip(layer.outputs, results, strict=False):
            self.values[name] = value
            if half:
                self.halves.add(value)

    def owned(self, position: int) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
        """A layer's weights and the names under which they are stored: a shared one is its owner's, and has the values
        of the last layer that brings some, as Caffe copies them one after the other."""
        layers, shared = self.graph.layers, self.sizes.shapes.shared
        number = max(len(layers[position].tensors), len(self.sizes.shapes.parameters[position] or ()))
        tensors: list[Tensor] = []
        names: list[str] = []
        for index in range(number):
            owner = shared.get((position, index), (position, index))
            sharers = [owner, *(at for at, of in shared.items() if of == owner)]
            having = [at for at in sorted(sharers) if at[1] < len(layers[at[0]].tensors)]
            if not having:
                break
            last = having[-1]
            tensors.append(layers[last[0]].tensors[last[1]])
            names.append(f"{layers[owner[0]].name}/{blob_name(layers[owner[0]].type, owner[1])}")
        return tuple(tensors), tuple(names)

    def cast(self, value: str, half: bool) -> str:
        """A value in the other precision, if it is not in the one that is wanted."""
        if (value in self.halves) == half:
            return value
        if (value, half) not in self.casts:
            to = self.onnx.TensorProto.FLOAT16 if half else self.onnx.TensorProto.FLOAT
            self.casts[value, half] = self.nodes.add("Cast", [value], value, to=to)[0]
            if half:
                self.halves.add(self.casts[value, half])
        return self.casts[value, half]

    def finish(self) -> dict[str, str]:
        """Values get the names of their blobs. The outputs by name: those of their blobs, unless an input has it."""
        computed = {name for node in self.nodes.nodes for name in node.output}
        names: dict[str, str] = {}
        outputs: dict[str, str] = {}
        for blob in self.graph.outputs:
            value = self.cast(self.values[blob], False)
            if blob in self.sizes.inputs and value == blob:
                raise OptionError(f'--until {blob}: "{blob}" is an input; name a blob that is computed')
            if value not in computed or value in names:
                value = self.nodes.add("Identity", [value], blob)[0]
            name = self.nodes.unique(f"{blob}_out") if blob in self.sizes.inputs else blob
            if name != blob:
                self.notes.append(Note("export", "", f'the output "{blob}" is called "{name}": an input has its name'))
            outputs[name] = blob
            names[value] = name
        for blob, value in self.values.items():
            if value in computed and value not in names and blob not in self.nodes.names and blob not in outputs:
                names[value] = blob
        self.nodes.renamed(names)
        return outputs

    def dims(self, blob: str) -> list[int | str]:
        """Sizes for the file, the varying ones by name: N, or the blob's own where rows are not images."""
        regions = {layer.inputs[1] for layer in self.graph.layers if layer.type in REGIONS}
        found = {name for x in self.graph.layers if layer_type(x.type).depends_on_values for name in x.outputs}
        rows = [self.declared(name) for name in self.sizes.inputs]
        own = blob in regions or blob in found or (blob in self.sizes.inputs and self.declared(blob) != rows[0])
        symbol = f"{blob}_rows" if own else "N"
        return [symbol if size is UNKNOWN else int(size) for size in self.sizes.blobs[blob]]

    def declared(self, name: str) -> int | None:
        """Rows of a blob in the shapes that were tried first."""
        shape = self.sizes.shapes.blobs[name]
        return shape[0] if shape else None


def blob_name(kind: str, index: int) -> str:
    """What a weight is called in the file."""
    two = ("weight", "bias")
    return two[index] if index < 2 and kind not in ("BatchNorm", "BN", "LSTM", "RNN") else f"blob{index}"


def plain(shape: Shape) -> tuple[int | None, ...]:
    """Sizes, ``None`` for one that varies."""
    return tuple(None if size is UNKNOWN else int(size) for size in shape)
