"""Layers that work element by element, on one input or on several of one shape."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType, SameShape
from demitasse.layers.sizes import Shape, differ

__all__ = ["AbsVal", "Axpy", "Dropout", "Eltwise", "Logarithmic", "Neuron", "PReLU", "Softmax", "Split"]


class Neuron(SameShape):
    """ReLU, Sigmoid, TanH and all others that look at one element at a time."""


class AbsVal(Neuron):
    """Absolute values; never in place."""

    in_place: ClassVar[bool] = False


class Dropout(Neuron):
    """Random zeros in training, nothing afterwards."""


class Logarithmic(Neuron):
    """Exp and Log, whose base is e unless it is given."""

    def outputs(self) -> tuple[Shape | None, ...]:
        base = self.layer.message.message(f"{self.layer.type.lower()}_param").number("base", -1.0)
        if base <= 0 and base != -1:
            self.refuse(f"base is {base:g}; it must be above 0")
        return super().outputs()


class PReLU(SameShape):
    """ReLU with a learned slope for each channel, or one for all."""

    field: ClassVar[str] = "prelu_param"

    def parameters(self) -> tuple[Shape, ...] | None:
        if len(self.inputs[0]) < 2:
            self.refuse("the input needs at least 2 axes, the second of which are the channels")
        return ((),) if self.param.flag("channel_shared") else ((self.inputs[0][1],),)


class Softmax(SameShape):
    """Exponentials that sum to one along an axis."""

    field: ClassVar[str] = "softmax_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        self.axis(self.param.integer("axis", 1), self.inputs[0])
        return super().outputs()


class Split(LayerType):
    """The input under several names, so that each has one reader."""

    gives: ClassVar[Counts] = (1, None)
    shares_memory: ClassVar[bool] = True
    in_place: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        return (self.inputs[0],) * len(self.layer.outputs)


class Eltwise(LayerType):
    """Product, weighted sum or maximum of inputs of one shape."""

    field: ClassVar[str] = "eltwise_param"
    takes: ClassVar[Counts] = (2, None)

    def outputs(self) -> tuple[Shape | None, ...]:
        coefficients = self.param.numbers("coeff")
        if coefficients and len(coefficients) != len(self.inputs):
            self.refuse(f"has {len(coefficients)} coeff for {len(self.inputs)} inputs; it needs one for each, or none")
        if coefficients and self.param.string("operation", "SUM") in ("PROD", "0"):
            self.refuse("coeff is for sums, and the operation is a product")
        for which, shape in enumerate(self.inputs):
            self.same(self.inputs[0], shape, f'inputs "{self.name(0)}" and "{self.name(which)}" should have one shape')
        return (self.inputs[0],)


class Axpy(LayerType):
    """SENet: a scale per channel (first input) times the second input, plus the third."""

    takes: ClassVar[Counts] = (3, 3)

    def outputs(self) -> tuple[Shape | None, ...]:
        scale, x, y = self.inputs
        self.same(x, y, f'inputs "{self.name(1)}" and "{self.name(2)}" should have one shape')
        self.same(scale[:2], x[:2], f'inputs "{self.name(0)}" and "{self.name(1)}" should have as many channels')
        if any(differ(size, 1) for size in scale[2:]):
            self.refuse(f'input "{self.name(0)}" should hold one number per channel')
        return (x,)
