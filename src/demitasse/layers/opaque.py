"""Layers of types that are not known: they pass through untouched, and the report says so."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import Shape

__all__ = ["Opaque"]


class Opaque(LayerType):
    """A type that `LAYERS` does not list. Its outputs have unknown shapes, unless a caller gives them."""

    takes: ClassVar[Counts] = (0, None)
    gives: ClassVar[Counts] = (0, None)
    ignores_inputs: ClassVar[bool] = True

    def outputs(self) -> tuple[Shape | None, ...]:
        return (None,) * len(self.layer.outputs)

    def parameters(self) -> tuple[Shape, ...] | None:
        return tuple(tensor.shape for tensor in self.layer.tensors) or None
