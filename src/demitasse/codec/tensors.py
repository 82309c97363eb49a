"""What each kind of tensor is stored as, and back: entry, elements, and the steps or the codebook beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.codec import lossless
from demitasse.codec.index import SHIFTS, Entry, Kind
from demitasse.errors import ContainerError
from demitasse.net import Clustered, Dense, Levels, Tensor, release

__all__ = ["DTYPES", "Coded", "as_stored", "as_tensor", "entry_dtype", "hidden_tensors"]

Array = npt.NDArray[Any]

DTYPES: dict[Kind, np.dtype[Any]] = {
    Kind.FLOAT32: np.dtype("<f4"),
    Kind.FLOAT64: np.dtype("<f8"),
    Kind.FLOAT16: np.dtype("<f2"),
    Kind.BYTES: np.dtype("u1"),
}
"""What the kinds without loss hold; the quantised ones become float32."""

_KINDS = {dtype: kind for kind, dtype in DTYPES.items()}


def entry_dtype(entry: Entry) -> np.dtype[Any]:
    """Of the array that the tensor becomes."""
    return DTYPES.get(entry.kind, np.dtype("<f4"))


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A tensor on its way into a file.

    ``values`` has the entry's shape; ``translate`` turns some of it into what is coded (floats, bytes, levels, or
    positions in the codebook), so that a big tensor is never translated as a whole. ``hidden`` is what the entry's
    hidden tensor holds.
    """

    entry: Entry
    values: Array
    translate: Callable[[Array], Array] | None = None
    hidden: Array | None = None

    def rows(self, start: int, stop: int) -> Array:
        """Rows of the elements, seen as the entry's matrix."""
        part = np.require(self.values.reshape(self.entry.matrix)[start:stop], requirements=["C", "A"])
        return part if self.translate is None else self.translate(part)

    def release(self, start: int, stop: int) -> None:
        """Rows that have been coded need not stay in memory."""
        release(self.values.reshape(self.entry.matrix)[start:stop])


def as_stored(tensor: Tensor) -> Coded:
    """How a tensor is stored. Few distinct values are found and stored as a codebook, also in a plain array.

    An empty tensor is stored as a plain array of its shape and type, whatever its kind: there is nothing to code.
    """
    if isinstance(tensor, Levels) and tensor.size:
        return _levels(tensor)
    if isinstance(tensor, Clustered) and tensor.size and tensor.codebook.dtype == np.float32:
        return _clustered(tensor)
    values = np.asarray(tensor.array()) if tensor.size else np.empty(tensor.shape, tensor.dtype)
    little = values.dtype.newbyteorder("<")
    if little not in _KINDS:
        raise ContainerError(f"a tensor of {values.dtype} cannot be stored: float32, float64, float16 and bytes can")
    values = np.asarray(values, little)
    kind = _KINDS[little]
    if kind is Kind.FLOAT32:
        keys = lossless.distinct(values)
        if keys is not None:
            entry = Entry(Kind.CLUSTERED, values.shape, codebook=len(keys))
            return Coded(entry, values, lambda part: lossless.positions(part, keys), lossless.from_keys(keys))
    return Coded(Entry(kind, values.shape), values)


def _levels(tensor: Levels) -> Coded:
    steps = np.asarray(tensor.steps, "<f4").ravel()
    shifts = np.asarray(tensor.shifts, np.float64).ravel() * 256
    rows = tensor.shape[0] if tensor.shape else 1
    if len(steps) not in (1, rows) or len(shifts) != SHIFTS:
        raise ContainerError(f"a tensor of shape {tensor.shape} has {len(steps)} steps and {len(shifts)} shifts")
    single = float(steps[0]) if len(steps) == 1 else 0.0
    if not bool(np.all((shifts >= -128) & (shifts <= 127) & (shifts == np.floor(shifts)))):
        raise ContainerError(f"shifts of levels are multiples of 1/256 in [-1/2, 1/2), and are {shifts / 256}")
    exact = tuple(int(shift) for shift in shifts)
    entry = Entry(
        Kind.LEVELS, tensor.shape, tensor.trellis, len(steps), single, exact, wide=tensor.trellis and tensor.wide
    )
    hidden = steps if len(steps) != 1 else None
    return Coded(entry, tensor.levels, lambda part: part.astype(np.int32, copy=False), hidden)


def _clustered(tensor: Clustered) -> Coded:
    """The codebook is stored sorted and without what no index points to; the values are the same."""
    tensor.check()
    used = np.zeros(len(tensor.codebook), bool)
    used[tensor.indices.ravel()] = True
    keys = lossless.to_keys(tensor.codebook)
    kept = np.unique(keys[used])
    place = np.searchsorted(kept, keys).astype(np.int32)
    entry = Entry(Kind.CLUSTERED, tensor.shape, codebook=len(kept))
    return Coded(entry, tensor.indices, lambda part: place[part], lossless.from_keys(kept))


def as_tensor(entry: Entry, values: Array, hidden: Array | None) -> Tensor:
    """The tensor of the elements that were stored, and of what its hidden tensor holds."""
    values = values.reshape(entry.shape)
    if entry.kind is Kind.LEVELS:
        steps = np.array([entry.step], np.float32) if hidden is None else hidden.astype(np.float32)
        return Levels(values.astype(np.int32, copy=False), steps, entry.trellis, entry.shift_values, entry.wide)
    if entry.kind is Kind.CLUSTERED:
        codebook = np.zeros(0, np.float32) if hidden is None else hidden.astype(np.float32)
        small = np.min_scalar_type(max(len(codebook) - 1, 0))
        return Clustered(values.astype(small), codebook)
    return Dense(values)


def hidden_tensors(tensors: Iterable[Coded]) -> list[Coded]:
    """The steps and codebooks that are stored as tensors of their own, in the order of their owners."""
    out = []
    for tensor in tensors:
        entry = tensor.entry.hidden
        if entry is not None and tensor.hidden is not None:
            out.append(Coded(entry, np.asarray(tensor.hidden, "<f4")))
    return out
