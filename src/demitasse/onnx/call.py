"""What the function that exports a type of layer is given: the layer in its place, and a pen.

The shape rules of `demitasse.layers` have read the layer's parameters already: ``call.placed`` is the class of the
layer's type, placed on the shapes of its inputs, in which a size that may vary from run to run (a dynamic batch,
regions of interest) is `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.layers import UNKNOWN, LayerType, Shape
from demitasse.layers.layertype import refuse
from demitasse.message import Message
from demitasse.net import Layer, Tensor
from demitasse.onnx.nodes import Nodes
from demitasse.onnx.weights import Weights

__all__ = ["Call", "Export", "FixedBatch", "Result"]

Result = str | tuple[str, ...]


class FixedBatch(Exception):  # noqa: N818 - no error: the export begins again, with sizes that do not vary
    """A layer can be expressed only if the batch size is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One layer to be expressed. ``inputs``: names of values; ``outputs``: shapes that the values have to have.

    ``tensors``: the layer's weights, shared ones as their owner has them. ``half``: floats are float16 in this layer.
    ``remark`` takes what a user of the result has to know.
    """

    placed: LayerType
    inputs: tuple[str, ...]
    outputs: tuple[Shape, ...]
    tensors: tuple[Tensor, ...]
    names: tuple[str, ...]
    nodes: Nodes
    weights: Weights
    half: bool
    remark: Callable[[str], None]

    @property
    def layer(self) -> Layer:
        """The layer itself."""
        return self.placed.layer

    @property
    def param(self) -> Message:
        """The layer's own parameter message."""
        return self.placed.param

    @property
    def x(self) -> str:
        """The first input."""
        return self.inputs[0]

    @property
    def shape(self) -> Shape:
        """Shape of the first input."""
        return self.placed.inputs[0]

    @property
    def dtype(self) -> Any:
        """Of floats in this layer."""
        return np.float16 if self.half else np.float32

    def refuse(self, why: str) -> NoReturn:
        """NetError: ONNX cannot express this layer."""
        refuse(self.layer, f"cannot be expressed in ONNX: {why}")

    def known(self, size: int, why: str) -> int:
        """A size that has to be a number. FixedBatch says why the batch cannot be dynamic."""
        if size is UNKNOWN:
            raise FixedBatch(f"{self.layer}: {why}")
        return size

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One node with one output."""
        return self.nodes.add(kind, inputs, self.layer.name, **attributes)[0]

    def ops(self, kind: str, number: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """One node with several outputs."""
        return tuple(self.nodes.add(kind, inputs, self.layer.name, number, **attributes))

    def floats(self, values: npt.ArrayLike) -> str:
        """A constant in this layer's precision."""
        return self.nodes.constant(np.asarray(values, self.dtype), f"{self.layer.name}/constant")

    def integers(self, *values: int) -> str:
        """A list of int64."""
        return self.nodes.constant(np.array(values, np.int64), f"{self.layer.name}/integers")

    def to_integers(self, x: str) -> str:
        """Indices that came as floats, cut towards zero as C++ cuts them."""
        return self.op("Cast", x, to=self.nodes.onnx.TensorProto.INT64)

    def to_floats(self, x: str) -> str:
        """Anything as floats of this layer's precision."""
        proto = self.nodes.onnx.TensorProto
        return self.op("Cast", x, to=proto.FLOAT16 if self.half else proto.FLOAT)

    def array(self, index: int) -> npt.NDArray[np.float32]:
        """A weight's values, for arithmetic before they are stored. float32; float16 weights become wider exactly."""
        return self.tensor(index).array().astype(np.float32)

    def tensor(self, index: int) -> Tensor:
        """A weight. NetError if the network has none."""
        if index >= len(self.tensors):
            refuse(self.layer, f"has no weights ({index + 1} expected); give the network with its caffemodel")
        return self.tensors[index]

    def weight(self, index: int) -> str:
        """A weight of the shape that the layer needs, in the form in which it is stored."""
        shapes = self.placed.parameters() or ()
        tensor = self.tensor(index)
        shape = shapes[index] if index < len(shapes) else tensor.shape
        needed = int(np.prod(shape))
        if needed != tensor.size:
            why = f"weight {index} has {tensor.size} elements; {needed} are needed for inputs of these shapes"
            raise NetError(f"{self.layer}: {why}")
        return self.weights.value(self.names[index], tensor, shape, self.half)

    def spread(self, index: int, shape: Sequence[int]) -> str:
        """A small weight in another shape, with axes of size 1 for broadcasting."""
        return self.store(self.array(index).reshape(shape), self.names[index])

    def store(self, values: npt.NDArray[Any], name: str) -> str:
        """What was computed from weights, in this layer's precision."""
        array = values.astype(self.dtype)
        self.weights.bytes[array.dtype.name] += array.nbytes
        return self.nodes.constant(array, name)

    def reshape(self, x: str, shape: Sequence[int], source: Sequence[int] | None = None) -> str:
        """The same elements in another shape, of which one size may be `UNKNOWN`, or the first besides another where
        it is that of ``source``."""
        sizes = list(shape)
        varying = [place for place, size in enumerate(sizes) if size is UNKNOWN]
        if source is not None and any(size is UNKNOWN for size in source) and not varying:
            raise FixedBatch(f"{self.layer}: its output has {'×'.join(map(str, shape))} elements whatever the batch")
        if len(varying) > 1:
            raise FixedBatch(f"{self.layer}: more than one size of its output depends on the batch")
        wanted = [-1 if size is UNKNOWN else size for size in sizes]
        return self.op("Reshape", x, self.integers(*wanted), allowzero=1 if 0 in wanted else None)

    def slice(self, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """Elements from ``start`` up to ``end`` along an axis."""
        bounds = (self.integers(value) for value in (start, end, axis, step))
        return self.op("Slice", x, *bounds)


Export = Callable[[Call], Result]
"""Expresses a layer: the names of its outputs' values. NetError for what ONNX lacks, FixedBatch for what it can do for
a known batch only."""
