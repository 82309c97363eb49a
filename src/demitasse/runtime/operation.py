"""What one layer's computation is given, and what a function that computes a type of layer looks like.

The shape rules of `demitasse.layers` have read the layer's parameters already: ``call.placed`` is the class of the
layer's type, placed on the shapes that its inputs have in this very pass (``call.placed.kernel``, ``.stride`` …).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demitasse.layers import LayerType
from demitasse.message import Message
from demitasse.net import Layer

if TYPE_CHECKING:
    import torch

    Result = torch.Tensor | tuple[torch.Tensor, ...]

__all__ = ["Call", "Operation"]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One pass through one layer.

    ``inputs``: float32 tensors of Caffe's shapes. ``weights``: the layer's blobs in Caffe's order and shapes; what
    Caffe changes in a forward pass (BatchNorm's statistics in TRAIN) is changed in place, outside autograd.
    ``state``: kept from one pass to the next, for this layer alone (an LSTM's hidden state). ``generator``: where
    random numbers come from (Dropout, STOCHASTIC pooling).
    """

    placed: LayerType
    inputs: tuple[torch.Tensor, ...]
    weights: tuple[torch.Tensor, ...]
    state: dict[str, Any] = field(default_factory=dict)
    generator: torch.Generator | None = None

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


Operation = Callable[[Call], "Result"]
"""Computes the outputs of a layer: a tensor, or a tuple of them, differentiable wherever Caffe's layer is. NetError
for inputs that Caffe refuses. Never writes into its inputs."""
