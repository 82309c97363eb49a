"""Channels that certainly hold the same values as another channel, numbered alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.layers.tying import Tied
from demitasse.layers.units import Units
from demitasse.net import Dense, Tensor
from demitasse.transforms.shrink.constants import places
from demitasse.transforms.shrink.patterns import Patterns, blocks
from demitasse.transforms.sliced import Sliced

__all__ = ["Classes", "Numbering"]

Classes = npt.NDArray[np.int64]
"""A number for each position of a value; equal numbers in one value mean equal values."""

PROBE = 64
"""Columns that are compared before whole rows are."""

ONE_BY_ONE = frozenset(
    {
        *("AbsVal", "BNLL", "Clip", "ELU", "Exp", "HardSigmoid", "HardSwish", "Log", "Power", "ReLU"),
        "ReLU6",
        *("Sigmoid", "Swish", "TanH", "Threshold", "Pooling", "ROIPooling", "ROIAlign", "BatchReindex", "Pad"),
        *("Padding", "Interp", "Resize", "BilinearInterpolate", "Crop", "CropCenter"),
    }
)
"""Types that treat all channels alike: what goes in equal comes out equal."""

UNCHANGED = frozenset({"Dropout", "Permute", "Split", "Unsqueeze"})
"""Types after which each channel is what it was."""

PER_CHANNEL = frozenset({"BN", "BatchNorm", "Bias", "PReLU", "Scale"})
"""Types that treat channels alike that have equal parameters."""

MOVING = frozenset({"Flatten", "Reshape", "ShuffleChannel", "Tile", "Im2col", "SPP"})


@dataclass(slots=True, eq=False)
class Numbering:
    """Gives out numbers: a new one for each different row of a table, so that equal rows have equal numbers."""

    count: int = 0

    def fresh(self, length: int) -> Classes:
        """Numbers that nothing has yet."""
        self.count += length
        return np.arange(self.count - length, self.count, dtype=np.int64)

    def rows(self, *columns: npt.NDArray[Any]) -> Classes:
        """A number for each row of a table of integers."""
        table = np.stack([np.asarray(column, np.int64) for column in columns], axis=1)
        if table.shape[1] == 1:
            unique, inverse = np.unique(table[:, 0], return_inverse=True)
        else:
            unique, inverse = np.unique(table, axis=0, return_inverse=True)
        return self.fresh(len(unique))[inverse.reshape(-1)]

    def both(self, a: Classes | None, b: Classes | None) -> Classes | None:
        """Positions are equal if they are in each of two phases."""
        if a is None or b is None or len(a) != len(b):
            return None if b is None else self.fresh(len(b))
        return self.rows(a, b)

    def outputs(self, tied: Tied, inputs: Sequence[Classes | None], patterns: Patterns) -> list[Classes | None]:
        """Classes of a layer's outputs."""
        found = self.known(tied, inputs, patterns)
        out: list[Classes | None] = []
        for which, units in enumerate(tied.outputs):
            classes = found[which] if which < len(found) else None
            fits = units is not None and classes is not None and len(classes) == len(units)
            out.append(classes if fits else None if units is None else self.fresh(len(units)))
        return out

    def known(self, tied: Tied, inputs: Sequence[Classes | None], patterns: Patterns) -> Sequence[Classes | None]:
        """Classes by type of layer; fewer than outputs where nothing is said."""
        kind, first = tied.layer.type, inputs[0] if inputs else None
        if first is None or (
            any(one is None for one in inputs[1:]) and kind not in ("Crop", "Interp", "ROIPooling", "ROIAlign")
        ):
            return []
        if len(tied.products) == 1 and tied.products[0].groups == 1 and len(inputs) == 1:
            return [self.filters(tied, patterns)]
        if len(tied.products) == 1 and tied.products[0].groups == len(first) == len(tied.products[0].rows):
            return [self.depthwise(tied, first)]
        if kind in ONE_BY_ONE:
            return [self.rows(first)]
        if kind in UNCHANGED:
            return [first] * len(tied.outputs)
        if kind in PER_CHANNEL and len(inputs) == 1:
            return [self.keyed(tied, first)]
        if kind == "Eltwise":
            return [self.rows(*(classes for classes in inputs if classes is not None))]
        return self.rearranged(tied, inputs, first)

    def rearranged(self, tied: Tied, inputs: Sequence[Classes | None], first: Classes) -> Sequence[Classes | None]:
        """Classes of what was only moved."""
        kind, units, out = tied.layer.type, tied.inputs[0], tied.outputs[0] if tied.outputs else None
        known = [classes for classes in inputs if classes is not None]
        if kind == "Concat" and out is not None and sum(map(len, known)) == len(out):
            return [np.concatenate(known)]
        if kind == "Slice" and sum(len(o) for o in tied.outputs if o is not None) == len(first):
            sizes = [0 if o is None else len(o) for o in tied.outputs]
            return np.split(first, np.cumsum(sizes)[:-1])
        if kind in MOVING and units is not None and out is not None and "pixelshuffler" not in tied.placed.param:
            return self.moved(tied, units, out, first)
        return []

    def moved(self, tied: Tied, units: Units, out: Units, first: Classes) -> Sequence[Classes]:
        """Elements of a channel are told apart: the first of one is the first of its double."""
        where = places(tied, units, out)
        if where is None:
            return []
        if len(where) == len(first):
            return [first[where]]
        order = np.argsort(where, kind="stable")
        begins = np.flatnonzero(np.diff(where[order], prepend=-1))
        turns = np.empty(len(where), np.int64)
        turns[order] = np.arange(len(where)) - np.repeat(begins, np.diff(np.append(begins, len(where))))
        return [self.rows(first[where], turns)]

    def keyed(self, tied: Tied, first: Classes) -> Classes:
        """Classes of the input, told apart by the layer's parameters for the channel."""
        columns: list[npt.NDArray[Any]] = [first]
        for blob, axes in tied.weights.items():
            if blob < len(tied.layer.tensors):
                for axis, ids in axes.items():
                    if len(ids) != len(first):
                        return self.fresh(len(first))
                    values = np.moveaxis(tied.layer.tensors[blob].array(), axis, 0).reshape(len(first), -1)
                    columns += list(values.astype(np.float64).view(np.int64).T)
        return self.rows(*columns)

    def depthwise(self, tied: Tied, first: Classes) -> Classes | None:
        """One filter for each channel: equal on equal channels, with equal biases."""
        tensors = tied.layer.tensors
        if not tensors or len(tied.products[0].blobs) > 1:
            return None
        tables = [tensor.array().reshape(len(first), -1).astype(np.float64) for tensor in tensors]
        return self.rows(first, *np.concatenate(tables, axis=1).view(np.int64).T)

    def filters(self, tied: Tied, patterns: Patterns) -> Classes | None:
        """Rows of weights that are equal, with equal biases."""
        product = tied.products[0]
        if not tied.layer.tensors or len(product.blobs) > 1 or not product.rows_first:
            return None
        tensors = tied.layer.tensors
        found = self.fresh(len(product.rows))
        biases = tensors[1].array().reshape(-1) if len(tensors) > 1 else np.zeros(len(found), np.float32)
        alike: dict[bytes, list[int]] = {}
        used = patterns.of(tensors[0], product).active()
        for i, key in enumerate(probes(tensors[0])):
            if used[i]:
                alike.setdefault(key + biases[i].tobytes(), []).append(i)
        for rows in alike.values():
            if len(rows) > 1:
                merge(found, rows, tensors[0])
        return found


def probes(tensor: Tensor) -> list[bytes]:
    """The first values of each row."""
    width = max(1, int(np.prod(tensor.shape[1:])))
    if isinstance(tensor, Dense):
        table = tensor.values.reshape(tensor.shape[0], width)[:, :PROBE]
        found = [row.tobytes() for row in np.ascontiguousarray(table)]
        tensor.release()
        return found
    return [row[:PROBE].tobytes() for _, values in blocks(tensor) for row in values.reshape(len(values), width)]


def merge(found: Classes, rows: Sequence[int], tensor: Tensor) -> None:
    """Gives rows that are equal throughout the number of the first of them."""
    source = tensor if isinstance(tensor, Dense | Sliced) else Dense(tensor.array())
    kinds: dict[bytes, int] = {}
    for row in rows:
        values = source.values[row] if isinstance(source, Dense) else source.take(np.array([row]))[0]
        digest = hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=32).digest()
        found[row] = found[kinds.setdefault(digest, row)]
    tensor.release()
