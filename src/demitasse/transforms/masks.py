"""Masked layers of the forks as plain ones: a mask that is stored takes as much room as the weights that it hides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.net import Dense, Layer

__all__ = ["unmasked"]

PLAIN: Final = {
    "CConvolution": ("Convolution", "convolution_param", "cconvolution_param"),
    "CInnerProduct": ("InnerProduct", "inner_product_param", "cinner_product_param"),
}
"""Masked types: what they are without the mask, where that has its parameters, and what is about the mask."""


def unmasked(layer: Layer) -> Layer:
    """The layer with its masks multiplied into its weights, as upstream's type; any other layer as it is."""
    if layer.type not in PLAIN or not layer.tensors:
        return layer
    kind, own, masked = PLAIN[layer.type]
    blobs = 2 if layer.message.message(own).flag("bias_term", True) else 1
    weights, masks = layer.tensors[:blobs], layer.tensors[blobs:]
    tensors = []
    for index, tensor in enumerate(weights):
        if index < len(masks):
            product: npt.NDArray[Any] = tensor.array() * masks[index].array()
            # What is hidden is zero, whatever the sign of what it was.
            tensors.append(Dense(product + product.dtype.type(0)))
        else:
            tensors.append(Dense(np.asarray(tensor.array())))
    return replace(layer, type=kind, message=layer.message.remove(masked), tensors=tuple(tensors))
