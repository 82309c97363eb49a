"""LSTM and RNN, which Caffe unrolls over the first axis of their input."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import Shape, count
from demitasse.net import Layer

__all__ = ["LSTM", "RNN", "LSTMUnit", "Recurrent"]


class Recurrent(LayerType):
    """Inputs: time × streams × anything; time × streams of "goes on" flags; perhaps a constant input; perhaps states.

    With ``expose_hidden`` the initial states are the last inputs, the final ones the last outputs.
    """

    field: ClassVar[str] = "recurrent_param"
    states: ClassVar[int] = 1
    """Vectors carried from step to step."""

    @classmethod
    def exposed(cls, layer: Layer) -> int:
        """How many states are inputs and outputs."""
        return cls.states if layer.message.message(cls.field).flag("expose_hidden") else 0

    @classmethod
    def input_limits(cls, layer: Layer) -> Counts:
        return 2 + cls.exposed(layer), 3 + cls.exposed(layer)

    @classmethod
    def output_limits(cls, layer: Layer) -> Counts:
        return 1 + cls.exposed(layer), 1 + cls.exposed(layer)

    @property
    def units(self) -> int:
        """Length of the state."""
        return self.positive("num_output")

    @property
    def features(self) -> int:
        """Elements of the input at one step of one stream."""
        return count(self.inputs[0], 2)

    @property
    def constant(self) -> int | None:
        """Elements of the constant input of one stream; ``None`` if there is none."""
        return count(self.inputs[2], 1) if len(self.inputs) > 2 + self.exposed(self.layer) else None

    def outputs(self) -> tuple[Shape | None, ...]:
        if len(self.inputs[0]) < 2:
            self.refuse(f'"{self.name(0)}" needs at least 2 axes: time and streams')
        steps, streams = self.inputs[0][:2]
        self.same(self.axes(2, 1), (steps, streams), f'"{self.name(1)}" should be time × streams')
        if self.constant is not None:
            self.same(self.inputs[2][:1], (streams,), f'"{self.name(2)}" should have a row for each stream')
        state = (1, streams, self.units)
        exposed = self.exposed(self.layer)
        for which in range(len(self.inputs) - exposed, len(self.inputs)):
            self.same(self.inputs[which], state, f'"{self.name(which)}" should be a state')
        return ((steps, streams, self.units), *(state,) * exposed)

    def macs(self) -> int:
        steps, streams = self.inputs[0][:2]
        each_step = [count(shape) for shape in self.parameters() or () if len(shape) == 2]
        once = each_step.pop(1) if self.constant is not None else 0
        return streams * (steps * sum(each_step) + once)


class LSTM(Recurrent):
    """Weights of input, forget, output gates and candidate together: for the input, a bias, for the state."""

    states: ClassVar[int] = 2

    def parameters(self) -> tuple[Shape, ...] | None:
        rows = 4 * self.units
        constant = () if self.constant is None else ((rows, self.constant),)
        return ((rows, self.features), (rows,), *constant, (rows, self.units))


class RNN(Recurrent):
    """Weights for the input, a bias, for the state, and for the output with its bias."""

    def parameters(self) -> tuple[Shape, ...] | None:
        n = self.units
        constant = () if self.constant is None else ((n, self.constant),)
        return ((n, self.features), (n,), *constant, (n, n), (n, n), (n,))


class LSTMUnit(LayerType):
    """One step inside an LSTM: cell state, gates, flags in; cell state and output out."""

    takes: ClassVar[Counts] = (3, 3)
    gives: ClassVar[Counts] = (2, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        cell, gates, flags = self.axes(3, 0), self.axes(3, 1), self.axes(2, 2)
        self.same(gates, (1, cell[1], 4 * cell[2]), f'"{self.name(1)}" should be four gates')
        self.same(flags, (1, cell[1]), f'"{self.name(2)}" should be a flag per stream')
        return cell, cell
