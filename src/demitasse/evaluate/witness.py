"""Whether a file holds what was written to it, without a second look at where that came from.

    net = witnessed(load("face.demi"))
    save(net, "face.prototxt", "face.caffemodel")
    as_witnessed(net, load("face.prototxt", "face.caffemodel"))

Weights that have to be decoded are decoded once, while they are written. Of every part, some megabytes, a CRC-32C is
kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse import _core
from demitasse.net import Net, Tensor

__all__ = ["Witnessed", "as_witnessed", "witnessed"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Witnessed(Tensor):
    """A tensor, and ``seen``: size and checksum of each of its parts, as they were last taken from it."""

    tensor: Tensor
    seen: list[tuple[int, int]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.tensor.dtype

    def array(self) -> npt.NDArray[Any]:
        return self.tensor.array()

    def parts(self) -> Iterator[npt.NDArray[Any]]:
        self.seen.clear()
        for part in self.tensor.parts():
            self.seen.append((part.size, checksum(part)))
            yield part

    def release(self) -> None:
        self.tensor.release()


def witnessed(net: Net) -> Net:
    """The network with every tensor `Witnessed`."""
    return net.with_layers(layer.with_tensors(map(Witnessed, layer.tensors)) for layer in net.layers)


def as_witnessed(net: Net, written: Net) -> bool:
    """Whether the layers of a file have the tensors that went by in those of the same names, to the bit."""
    ours = [layer for layer in net.layers if layer.tensors]
    theirs = [layer for layer in written.layers if layer.tensors]
    return [layer.name for layer in ours] == [layer.name for layer in theirs] and all(
        len(mine.tensors) == len(others.tensors) and all(map(same, mine.tensors, others.tensors))
        for mine, others in zip(ours, theirs, strict=True)
    )


def same(one: Tensor, written: Tensor) -> bool:
    """Whether a tensor is what went by in the other. Never, for one that did not go by."""
    if not isinstance(one, Witnessed) or (one.shape, one.dtype) != (written.shape, written.dtype):
        return False
    values = written.array().reshape(-1)
    found, start = [], 0
    for size, _ in one.seen:
        found.append((size, checksum(values[start : start + size])))
        start += size
    written.release()
    return start == values.size and found == one.seen


def checksum(values: npt.NDArray[Any]) -> int:
    """Of little-endian bytes, as files have them."""
    return _core.crc32c(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(-1).view(np.uint8))
