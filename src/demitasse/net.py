"""Net, Layer, Tensor: a network as a value. Knows no file format and no framework.

A `Net` is never changed: a transform takes one and returns another, and what did not change is shared.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.message import Message

__all__ = ["Clustered", "Dense", "Layer", "Levels", "Net", "Note", "Tensor", "release"]


TOGETHER: Final = 1 << 20
"""Weights that are decoded, or mapped from a file, at once."""


def release(values: npt.NDArray[Any], *, shared: bool = False) -> None:
    """Let go of the pages of a contiguous array that is mapped from a file; they come back when they are touched.

    An array that can be written to is left alone, since what was written to a private mapping would be lost; unless
    whoever made it says that it is ``shared`` with its file.
    """
    if values.flags.writeable and not shared:
        return
    owner: Any = values
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap) and values.nbytes and hasattr(owner, "madvise"):
        start = values.ctypes.data - np.frombuffer(owner, np.uint8).ctypes.data
        page = start - start % mmap.PAGESIZE
        owner.madvise(mmap.MADV_DONTNEED, page, start + values.nbytes - page)


class Tensor(ABC):
    """The weights of one blob: an array, or a coded form that can be turned into one."""

    __slots__ = ()

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """As the layer needs it (new-style, without legacy leading ones)."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """float32, float64 or float16: what `array` gives."""

    @abstractmethod
    def array(self) -> npt.NDArray[Any]:
        """The values, C order, read-only where they are mapped from a file."""

    def parts(self) -> Iterator[npt.NDArray[Any]]:
        """The values in order, flat, in one or more pieces: for writing what may not fit into memory twice."""
        yield self.array().reshape(-1)

    def release(self) -> None:  # noqa: B027 - most kinds have nothing to give back
        """Give back memory that can be had again: pages mapped from a file. The values stay and can be used again."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dtype} {'×'.join(map(str, self.shape)) or 'scalar'})"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of the plain array."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dense(Tensor):
    """A plain array, often memory-mapped."""

    values: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    def array(self) -> npt.NDArray[Any]:
        return self.values

    def parts(self) -> Iterator[npt.NDArray[Any]]:
        flat = self.array().reshape(-1)
        for start in range(0, flat.size, TOGETHER):
            part = flat[start : start + TOGETHER]
            yield part
            release(part)

    def release(self) -> None:
        release(self.values)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Levels(Tensor):
    """Quantised: integer levels on a uniform grid, optionally of a trellis (dependent) quantiser.

    ``levels``: signed integers, of the tensor's shape. ``steps``: float32, one for the tensor (shape ``(1,)``) or one
    per row (``(shape[0],)``). ``trellis``: levels index the two quantisers of a machine in docs/format-levels.md, of
    8 states or, if ``wide``, of 256. ``shifts``: float32, how far towards zero the reconstruction of the grid's points
    1 to 6 lies, in steps (centroids): multiples of 1/256 in [-1/2, 1/2).
    """

    levels: npt.NDArray[np.signedinteger[Any]]
    steps: npt.NDArray[np.float32]
    trellis: bool = False
    shifts: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(6, np.float32))
    wide: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.levels.shape

    @property
    def states(self) -> int:
        """Of the trellis; 0 without one."""
        return 0 if not self.trellis else 256 if self.wide else 8

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def array(self) -> npt.NDArray[Any]:
        values = np.empty(self.size, np.float32)
        at = 0
        for part in self.parts():
            values[at : at + part.size] = part
            at += part.size
        return values.reshape(self.shape)

    def parts(self) -> Iterator[npt.NDArray[Any]]:
        from demitasse._core import dequantize

        rows = self.levels.shape[0] if self.levels.ndim else 1
        matrix = self.levels.reshape(rows, -1 if self.size else 0)
        together = max(1, TOGETHER // max(1, matrix.shape[1]))
        for start in range(0, rows if self.size else 0, together):
            part = slice(start, start + together)
            steps = self.steps if len(self.steps) == 1 else self.steps[part]
            levels = np.ascontiguousarray(matrix[part], np.int32)
            release(matrix[part])
            yield dequantize(levels, steps, self.states, self.shifts).reshape(-1)

    def release(self) -> None:
        release(self.levels)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clustered(Tensor):
    """Shared values, ``codebook[indices]``: float32 ``(k,)`` and unsigned integers of the tensor's shape."""

    indices: npt.NDArray[Any]
    codebook: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.indices.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.codebook.dtype

    def array(self) -> npt.NDArray[Any]:
        self.check()
        values: npt.NDArray[Any] = self.codebook[self.indices]
        return values

    def check(self) -> None:
        """NetError unless every index has an entry in the codebook."""
        if self.indices.size:
            for index in (int(self.indices.min()), int(self.indices.max())):
                if not 0 <= index < len(self.codebook):
                    raise NetError(
                        f"index {index} of a clustered tensor is not in its codebook of {len(self.codebook)}"
                    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layer:
    """One layer: what it is called, what it reads and writes, its parameters and its weights.

    ``message`` is everything that the file says about it, unknown fields included; where ``name``, ``type``,
    ``inputs`` or ``outputs`` say otherwise, they win and the writer edits the message. ``origin`` holds the
    positions in ``Net.message`` of the fields that it was read from; empty for a new layer.
    """

    name: str
    type: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    message: Message = field(default_factory=Message)
    tensors: tuple[Tensor, ...] = ()
    origin: tuple[int, ...] = ()

    def with_tensors(self, tensors: Iterable[Tensor]) -> Layer:
        """The same layer with other weights."""
        return replace(self, tensors=tuple(tensors))

    def __str__(self) -> str:
        return f'layer "{self.name}" ({self.type})'

    def __repr__(self) -> str:
        return f"Layer({self.name!r}, {self.type!r}, {', '.join(map(repr, self.tensors)) or 'no weights'})"


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a report: what was done (or not done, and why), to which layer ("" for the whole network)."""

    step: str
    layer: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Net:
    """A network: layers in file order, all phases.

    ``message`` is the whole file as a tree, the frame into which the writer puts the layers back.
    ``report`` says what reading and each transform did. ``metadata`` holds facts that the text has no place for
    (preprocessing, provenance): JSON values only.
    """

    name: str
    layers: tuple[Layer, ...]
    message: Message = field(default_factory=Message)
    report: tuple[Note, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def layer(self, name: str) -> Layer:
        """The first layer of that name. NetError if there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise NetError(f'no layer "{name}" in network "{self.name}"')

    def with_layers(self, layers: Iterable[Layer], *notes: Note) -> Net:
        """The same network with other layers, and these notes added to the report."""
        return replace(self, layers=tuple(layers), report=(*self.report, *notes))

    def noting(self, *notes: Note) -> Net:
        """The same network with these notes added to the report."""
        return replace(self, report=(*self.report, *notes))

    def __repr__(self) -> str:
        return f"Net({self.name!r}, {len(self.layers)} layers, {self.parameters} parameters)"

    @property
    def parameters(self) -> int:
        """Number of weights stored, shared ones counted once per layer that stores them."""
        return sum(tensor.size for layer in self.layers for tensor in layer.tensors)
