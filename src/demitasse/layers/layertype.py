"""What every type of layer answers about itself. One subclass a type; `table.LAYERS` lists them.

An instance is one layer with the shapes of its inputs, so that a rule reads like the definition of the layer:
``self.param`` is its parameter message, ``self.inputs`` the shapes of what it reads. The rules and the refusals are
those of BVLC Caffe 1.0 (``src/caffe/layers``) and of the forks that the types come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NoReturn

from demitasse.errors import NetError
from demitasse.layers.sizes import UNKNOWN, Shape, differ
from demitasse.message import Message
from demitasse.net import Layer

__all__ = ["Counts", "LayerType", "SameShape", "blaming", "refuse", "text"]

Counts = tuple[int, int | None]
"""Fewest and most inputs or outputs; ``None``: any number."""


def refuse(layer: Layer, why: str) -> NoReturn:
    """NetError with the layer's name."""
    raise NetError(f"{layer}: {why}")


@contextmanager
def blaming(layer: Layer) -> Iterator[None]:
    """Adds the layer's name to any NetError from inside."""
    try:
        yield
    except NetError as error:
        if str(error).startswith(str(layer)):
            raise
        raise NetError(f"{layer}: {error}") from None


@dataclass(frozen=True, eq=False)
class LayerType:
    """A layer in its place. ``phase`` is ``"TRAIN"`` or ``"TEST"``.

    Subclasses override `outputs`, and, where there is something to say, `parameters` and `macs`. Each may raise
    NetError for what Caffe refuses.
    """

    layer: Layer
    inputs: tuple[Shape, ...] = ()
    phase: str = "TEST"

    field: ClassVar[str] = ""
    """Name of the layer's own parameter message."""
    takes: ClassVar[Counts] = (1, 1)
    gives: ClassVar[Counts] = (1, 1)
    as_many_outputs: ClassVar[bool] = False
    """As many outputs as inputs."""
    is_loss: ClassVar[bool] = False
    """The first output is a loss of weight 1 unless the file says otherwise; may be left unnamed in the file."""
    is_source: ClassVar[bool] = False
    """Brings in data: a caller may give the shapes of its outputs."""
    shares_memory: ClassVar[bool] = False
    """Outputs are other views of the first input's memory, as Split's and Reshape's are."""
    in_place: ClassVar[bool] = True
    """Caffe accepts an output of the same name as the input."""
    depends_on_values: ClassVar[bool] = False
    """How many rows come out is known only after running; `outputs` gives what Caffe assumes before."""
    ignores_inputs: ClassVar[bool] = False
    """`outputs` and `parameters` do not need the shapes of the inputs, which may be missing."""

    def outputs(self) -> tuple[Shape | None, ...]:
        """Shape of every output, in order; possibly of more than the layer names (an unnamed loss)."""
        raise NotImplementedError(type(self).__name__)

    def parameters(self) -> tuple[Shape, ...] | None:
        """Shape of every blob of weights, in order; ``None`` if that is not known."""
        return ()

    def macs(self) -> int:
        """Multiplications by a weight that are summed, for the whole batch: convolutions, inner products,
        recurrent layers. Element by element work counts as none."""
        return 0

    @classmethod
    def output_limits(cls, layer: Layer) -> Counts:
        """Fewest and most outputs for this layer's options."""
        return cls.gives

    @classmethod
    def input_limits(cls, layer: Layer) -> Counts:
        """Fewest and most inputs for this layer's options."""
        return cls.takes

    @classmethod
    def check_counts(cls, layer: Layer) -> None:
        """NetError unless the layer has as many inputs and outputs as Caffe asks for."""
        within(layer, "input", len(layer.inputs), cls.input_limits(layer))
        fewest, most = cls.output_limits(layer)
        within(layer, "output", len(layer.outputs), (0 if cls.is_loss else fewest, most))
        if cls.as_many_outputs and len(layer.inputs) != len(layer.outputs):
            refuse(layer, f"has {len(layer.inputs)} inputs and {len(layer.outputs)} outputs; it needs one for each")
        if not cls.in_place and layer.inputs and layer.inputs[0] in layer.outputs:
            refuse(layer, f'cannot work in place on "{layer.inputs[0]}": give its output another name')

    @classmethod
    def check_as_caffe(cls, layer: Layer) -> None:
        """NetError for what BVLC Caffe refuses by accident, and others accept."""

    @cached_property
    def param(self) -> Message:
        """The layer's own parameter message; empty if the file has none."""
        return self.layer.message.message(self.field)

    def refuse(self, why: str) -> NoReturn:
        """NetError with the layer's name."""
        refuse(self.layer, why)

    def size(self, name: str, default: int = 0) -> int:
        """An unsigned parameter. NetError if it is negative."""
        value = self.param.integer(name, default)
        if value < 0:
            self.refuse(f"{name} is {value}; it cannot be negative")
        return value

    def sizes(self, name: str) -> tuple[int, ...]:
        """A repeated unsigned parameter. NetError if one is negative."""
        values = self.param.integers(name)
        if any(value < 0 for value in values):
            self.refuse(f"{name} is {min(values)}; it cannot be negative")
        return values

    def positive(self, name: str, default: int = 0) -> int:
        """A parameter that has to be above zero."""
        value = self.param.integer(name, default)
        if value <= 0:
            self.refuse(f"{name} is {value}; it must be at least 1")
        return value

    def axis(self, index: int, shape: Shape) -> int:
        """The axis that ``index`` means, negative ones counted from the end. NetError if there is none."""
        if not -len(shape) <= index < len(shape):
            self.refuse(f"axis {index} does not exist in an input of shape {text(shape)}")
        return index % len(shape) if shape else 0

    def axes(self, number: int, which: int = 0) -> Shape:
        """Shape of an input, which has to have that many axes."""
        shape = self.inputs[which]
        if len(shape) != number:
            self.refuse(f'input "{self.name(which)}" of shape {text(shape)} should have {number} axes')
        return shape

    def rows(self, which: int) -> int:
        """Size of an input along its first axis. NetError if it has none."""
        return self.inputs[which][self.axis(0, self.inputs[which])]

    def legacy(self, which: int) -> Shape:
        """Shape of an input as number, channels, height, width: ones are added behind. NetError above four axes."""
        shape = self.inputs[which]
        if len(shape) > 4:
            self.refuse(f'input "{self.name(which)}" of shape {text(shape)} should have at most 4 axes')
        return shape + (1,) * (4 - len(shape))

    def same(self, a: int | Shape, b: int | Shape, what: str) -> None:
        """NetError if two sizes or shapes certainly differ. ``what`` says what should be equal."""
        if differ(a, b):
            self.refuse(f"{what}, and are {text(a)} and {text(b)}")

    def name(self, which: int) -> str:
        """Name of an input."""
        return self.layer.inputs[which] if which < len(self.layer.inputs) else f"input {which}"


class SameShape(LayerType):
    """Works element by element: the output has the input's shape."""

    def outputs(self) -> tuple[Shape | None, ...]:
        return (self.inputs[0],)


def within(layer: Layer, what: str, number: int, limits: Counts) -> None:
    """NetError unless ``number`` of inputs or outputs is within the limits."""
    fewest, most = limits
    if fewest <= number and (most is None or number <= most):
        return
    wanted = f"{fewest}" if fewest == most else f"{fewest} or more" if most is None else f"{fewest} to {most}"
    refuse(layer, f"has {number} {what}{'' if number == 1 else 's'}; it needs {wanted}")


def text(shape: int | Shape) -> str:
    """``2×3×?``."""
    if isinstance(shape, tuple):
        return "×".join(text(size) for size in shape) or "()"
    return "?" if shape is UNKNOWN else str(int(shape))
