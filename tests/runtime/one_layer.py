"""A single layer, run outside of any network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from demitasse.layers import layer_type
from demitasse.runtime.operation import Call
from demitasse.runtime.table import OPERATIONS
from layers.reference import layer


def call_of(
    kind: str, text: str, inputs: Sequence[np.ndarray | torch.Tensor], outputs: int = 1, weights=(), phase="TEST"
) -> Call:
    """A pass through a layer of that type with these parameters and inputs."""
    bottoms = " ".join(f'bottom: "x{i}"' for i in range(len(inputs)))
    tops = " ".join(f'top: "y{i}"' for i in range(outputs))
    made = layer(f'layer {{ name: "L" type: "{kind}" {bottoms} {tops} {text} }}')
    given = tuple(
        value if isinstance(value, torch.Tensor) else torch.tensor(np.asarray(value)).float() for value in inputs
    )
    placed = layer_type(kind)(made, tuple(tuple(value.shape) for value in given), phase)
    blobs = tuple(torch.nn.Parameter(torch.tensor(np.asarray(blob)).float()) for blob in weights)
    return Call(placed, given, blobs, {}, torch.Generator().manual_seed(0), placed.outputs())


def run(kind: str, text: str, *inputs: np.ndarray | torch.Tensor, outputs: int = 1, weights=(), phase="TEST"):
    """What the layer gives: a tensor, or a tuple of several."""
    result = OPERATIONS[kind](call_of(kind, text, inputs, outputs, weights, phase))
    single = isinstance(result, tuple) and len(result) == 1
    return result[0] if single else result
