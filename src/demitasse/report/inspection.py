"""What is in a network and what makes it large, layer by layer, as data.

Four numbers describe a network's size, and are never mixed: bytes of the file, parameters, multiply-accumulates, and
peak memory. Zeros are counted exactly; what could leave for good lies in rows or columns that are entirely zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["FLOAT", "Inspection", "LayerRow"]

FLOAT = 4
"""Bytes of a number while a network runs, whatever it is stored as."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer. ``None`` is what cannot be known: no shape for the inputs, or a type that nobody told us about.

    ``dead_outputs``: output channels whose weights are all zero; ``constant_outputs``: those of them that a bias makes
    a constant other than zero. ``unread_inputs``: input channels that are multiplied by nothing but zeros.
    ``duplicates``: output channels with the weights of an earlier one.
    ``bits``: bits per weight of an order-0 entropy coder after rounding to steps of half a standard deviation.
    ``removable``: bytes that exact removal (`demitasse.Shrink`) takes out of the layer.
    ``stored``: bytes that it takes in a .demi. ``complete``: whether ``parameters`` are all, or only those that are
    known, since the shapes of others are not.
    """

    name: str
    type: str
    output: tuple[int, ...] | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    parameters: int = 0
    complete: bool = True
    macs: int | None = None
    bytes: int = 0
    stored: int | None = None
    zeros: int = 0
    outputs: int = 0
    dead_outputs: int = 0
    constant_outputs: int = 0
    inputs: int = 0
    unread_inputs: int = 0
    duplicates: int = 0
    bits: float | None = None
    removable: int = 0
    same_as: str = ""

    @property
    def weighted(self) -> bool:
        """Whether the layer has weights, or would have if a model were given."""
        return bool(self.parameters) or not self.complete

    @property
    def scattered(self) -> bool:
        """Whether a quarter of the weights or more are zeros in no row or column of their own."""
        if not self.zeros or not self.parameters:
            return False
        return 4 * (self.zeros * self.bytes // self.parameters - self.removable) >= self.bytes


@dataclass(frozen=True, slots=True)
class Inspection:
    """The whole network. ``peak_activations``: bytes of the largest set of activations that is alive at once, in
    float32, for the batch that the prototxt declares; ``peak_memory`` adds the weights in float32."""

    name: str
    layers: tuple[LayerRow, ...]
    file_bytes: int
    parameters: int
    macs: int | None
    peak_activations: int | None
    notes: tuple[str, ...] = ()

    @property
    def peak_memory(self) -> int | None:
        """Weights and activations, in bytes."""
        return None if self.peak_activations is None else self.parameters * FLOAT + self.peak_activations

    @property
    def complete(self) -> bool:
        """Whether ``parameters`` are all that the network needs; otherwise it needs more."""
        return all(row.complete for row in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as plain arrays."""
        return sum(row.bytes for row in self.layers)

    @property
    def zeros(self) -> int:
        """Weights that are zero."""
        return sum(row.zeros for row in self.layers)

    @property
    def removable(self) -> int:
        """Bytes that can leave for good."""
        return sum(row.removable for row in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "name": self.name,
            "file_bytes": self.file_bytes,
            "parameters": self.parameters,
            "complete": self.complete,
            "macs": self.macs,
            "peak_memory_bytes": self.peak_memory,
            "peak_activation_bytes": self.peak_activations,
            "weight_bytes": self.weight_bytes,
            "zeros": self.zeros,
            "removable_bytes": self.removable,
            "layers": [asdict(row) for row in self.layers],
            "notes": self.notes,
        }
