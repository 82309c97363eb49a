"""The ways to make several thin layers of one: each says what a rank costs, how much it loses, and makes the layers.

- ``inner``: an InnerProduct as two (Girshick, Fast R-CNN, 2015);
- ``channel``: k×k to few channels, then 1×1 (Zhang et al., 2015, with activations);
- ``spatial``: k×1, then 1×k (Jaderberg et al., 2014);
- ``tucker``: 1×1 to few channels, k×k on these, 1×1 (Kim et al., 2016).

Of a Deconvolution ``channel`` is 1×1 to few channels, then k×k from these, and there is no ``tucker``.

Only the last layer has a bias; strides, padding, dilation and groups are kept, each where it belongs.
"""

from __future__ import annotations

from typing import Literal

from demitasse.layers.convolution import Convolution
from demitasse.transforms.lowrank.kernel import Spatial, Tucker
from demitasse.transforms.lowrank.matrix import Channel, Inner
from demitasse.transforms.lowrank.method import Method
from demitasse.transforms.lowrank.statistics import Seen
from demitasse.transforms.lowrank.transposed import Few, SpatialTransposed
from demitasse.transforms.weighted import Weighted

__all__ = ["MethodName", "methods_for"]

MethodName = Literal["auto", "channel", "spatial", "tucker"]


def methods_for(target: Weighted, wanted: MethodName, seen: Seen | None) -> list[Method] | str:
    """The ways to factorize a layer; or why there is none."""
    if isinstance(target.placed, Convolution):
        return convolution_methods(target, target.placed, wanted, seen)
    return [Inner(target, seen)]


def convolution_methods(
    target: Weighted, placed: Convolution, wanted: MethodName, seen: Seen | None
) -> list[Method] | str:
    """Those for a convolution."""
    if target.layer.type not in ("Convolution", "Deconvolution"):
        return f"{target.layer.type} is not factorized"
    if len(placed.kernel) != 2:
        return "its kernel does not have two axes"
    if any(before != after for before, after in placed.padding):
        return "it pads each side by its own"
    if placed.channels == placed.group:
        return "each group has a single input channel"
    found: list[Method] = []
    if target.layer.type == "Deconvolution":
        if wanted in ("auto", "channel"):
            found.append(Few(target, seen))
        if wanted in ("auto", "spatial") and min(placed.kernel) > 1:
            found.append(SpatialTransposed(target, seen))
        return (
            found or f"it is a Deconvolution with a kernel of {placed.kernel[0]}×{placed.kernel[1]}: not for {wanted}"
        )
    if wanted in ("auto", "channel"):
        found.append(Channel(target, seen))
    if wanted in ("auto", "spatial") and min(placed.kernel) > 1:
        found.append(Spatial(target, seen))
    if wanted in ("auto", "tucker") and max(placed.kernel) > 1 and placed.group == 1:
        found.append(Tucker(target, seen))
    return found or f"its kernel is {placed.kernel[0]}×{placed.kernel[1]}, with {placed.group} groups: not for {wanted}"
