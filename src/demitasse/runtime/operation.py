"""What one layer's computation is given, and what a function that computes a type of layer looks like.

The shape rules of `demitasse.layers` have read the layer's parameters already: ``call.placed`` is the class of the
layer's type, placed on the shapes that its inputs have in this very pass (``call.placed.kernel``, ``.stride`` …).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from demitasse.layers import LayerType, MaybeShape, Shape
from demitasse.message import Message
from demitasse.net import Layer

if TYPE_CHECKING:
    import torch

    Result = torch.Tensor | tuple[torch.Tensor, ...]

__all__ = ["Call", "Operation"]

Kind = TypeVar("Kind", bound=LayerType)


@dataclass(slots=True, eq=False)
class Call:
    """One pass through one layer. Nobody changes it; it is not frozen because one is made for every layer in every
    pass, and making a frozen one takes four times as long.

    ``inputs``: float32 tensors of Caffe's shapes. ``weights``: the layer's blobs in Caffe's order and shapes; what
    Caffe changes in a forward pass (BatchNorm's statistics in TRAIN) is changed in place, outside autograd.
    ``state``: kept from one pass to the next, for this layer alone (an LSTM's hidden state). ``generator``: where
    random numbers come from (Dropout, STOCHASTIC pooling). ``shapes``: of the outputs, by the layer's own rule.
    """

    placed: LayerType
    inputs: tuple[torch.Tensor, ...]
    weights: tuple[torch.Tensor, ...]
    state: dict[str, Any] = field(default_factory=dict)
    generator: torch.Generator | None = None
    shapes: tuple[MaybeShape, ...] = ()

    @property
    def layer(self) -> Layer:
        """The layer itself."""
        return self.placed.layer

    @property
    def param(self) -> Message:
        """The layer's own parameter message."""
        return self.placed.param

    @property
    def training(self) -> bool:
        """Whether the phase is TRAIN."""
        return self.placed.phase == "TRAIN"

    @property
    def x(self) -> torch.Tensor:
        """The first input."""
        return self.inputs[0]

    def of(self, kind: type[Kind]) -> Kind:
        """The layer as one of a kind, for the rules that this kind has. NetError if it is none."""
        if not isinstance(self.placed, kind):
            self.placed.refuse(f"is run as a {kind.__name__}, and is none")
        return self.placed

    @property
    def shape(self) -> Shape:
        """Shape of the first output. NetError if the layer's rule does not tell it."""
        shape = self.shapes[0] if self.shapes else None
        if shape is None:
            self.placed.refuse("the shape of its output is not known")
        return shape


Operation = Callable[[Call], "Result"]
"""Computes the outputs of a layer: a tensor, or a tuple of them, differentiable wherever Caffe's layer is. NetError
for inputs that Caffe refuses. Never writes into its inputs."""
