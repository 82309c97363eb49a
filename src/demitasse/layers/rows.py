"""Layers that pick rows, and the one that drops all."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import Shape, differ
from demitasse.net import Layer

__all__ = ["BatchReindex", "Filter", "Silence"]


class BatchReindex(LayerType):
    """Rows of the first input, by the indices in the second."""

    takes: ClassVar[Counts] = (2, 2)
    in_place: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        self.rows(0)
        return ((self.axes(1, 1)[0], *self.inputs[0][1:]),)


class Filter(LayerType):
    """Rows of the inputs for which the last input is not zero; before running, all rows."""

    takes: ClassVar[Counts] = (2, None)
    gives: ClassVar[Counts] = (1, None)
    depends_on_values: ClassVar[bool] = True

    @classmethod
    def output_limits(cls, layer: Layer) -> Counts:
        return max(1, len(layer.inputs) - 1), max(1, len(layer.inputs) - 1)

    def outputs(self) -> tuple[Shape | None, ...]:
        *kept, selector = self.inputs
        if not selector or any(differ(size, 1) for size in selector[1:]):
            self.refuse(f'the selector "{self.name(len(kept))}" should hold one number per row')
        for which, shape in enumerate(kept):
            self.same(shape[:1], selector[:1], f'"{self.name(which)}" and the selector should have as many rows')
        return tuple(kept)


class Silence(LayerType):
    """Reads, and does nothing."""

    takes: ClassVar[Counts] = (1, None)
    gives: ClassVar[Counts] = (0, 0)

    def outputs(self) -> tuple[Shape | None, ...]:
        return ()
