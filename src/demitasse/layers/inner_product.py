"""Layers whose work is one matrix: InnerProduct, its masked and margin forms, Embed."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from demitasse.layers.convolution import with_masks
from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import Shape, count

__all__ = ["Embed", "InnerProduct", "MarginInnerProduct", "MaskedInnerProduct"]


class InnerProduct(LayerType):
    """Weights: outputs × inputs (the other way round with ``transpose``); bias: outputs."""

    field: ClassVar[str] = "inner_product_param"

    @cached_property
    def first(self) -> int:
        """The first axis that is summed over."""
        return self.axis(self.param.integer("axis", 1), self.inputs[0])

    @cached_property
    def units(self) -> int:
        """Number of outputs."""
        return self.positive("num_output")

    def parameters(self) -> tuple[Shape, ...] | None:
        summed = count(self.inputs[0], self.first)
        weight = (summed, self.units) if self.param.flag("transpose") else (self.units, summed)
        return (weight, (self.units,)) if self.param.flag("bias_term", True) else (weight,)

    def outputs(self) -> tuple[Shape | None, ...]:
        return ((*self.inputs[0][: self.first], self.units),)

    def macs(self) -> int:
        return count(self.inputs[0]) * self.units


class MaskedInnerProduct(InnerProduct):
    """CInnerProduct: with masks behind, as CConvolution has them."""

    def parameters(self) -> tuple[Shape, ...] | None:
        return with_masks(self.layer, super().parameters() or (), "cinner_product_param")


class MarginInnerProduct(InnerProduct):
    """SphereFace's angular margin: reads labels too, has no bias, and may tell its λ."""

    field: ClassVar[str] = "margin_inner_product_param"
    takes: ClassVar[Counts] = (2, 2)
    gives: ClassVar[Counts] = (1, 2)

    def parameters(self) -> tuple[Shape, ...] | None:
        return ((self.units, count(self.inputs[0], self.first)),)

    def outputs(self) -> tuple[Shape | None, ...]:
        return ((*self.inputs[0][: self.first], self.units), (1,))[: len(self.layer.outputs)]


class Embed(LayerType):
    """A row of the weights for each index in the input."""

    field: ClassVar[str] = "embed_param"

    def parameters(self) -> tuple[Shape, ...] | None:
        units = self.positive("num_output")
        weight = (self.positive("input_dim"), units)
        return (weight, (units,)) if self.param.flag("bias_term", True) else (weight,)

    def outputs(self) -> tuple[Shape | None, ...]:
        return ((*self.inputs[0], self.positive("num_output")),)
