"""How long a multiplication takes, by what kind of layer makes it: a model, such that the same options give the same
network everywhere.

Figures are multiplications per nanosecond of one core in OpenCV 4 on a PC, and only their ratios count: a 3×3 kernel
with stride 1 goes through Winograd's transform (Lavin and Gray, 2016), one that reads few channels (the first layer, or
each group of a depthwise one) leaves most of a vector unit idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from demitasse.layers.convolution import Convolution
from demitasse.layers.ties import Ties
from demitasse.layers.tying import Tied
from demitasse.transforms.prune.criteria import makers
from demitasse.transforms.prune.selection import Cost, Family, kept_units, to_share

__all__ = ["leaning"]

WINOGRAD, PLAIN, NARROW = 72.0, 24.0, 14.0

FEW = 8
"""Channels of a group below which a layer is narrow."""

MOST = 2.0
"""How much more than its share a layer may lose, or less."""


def pace(tied: Tied) -> float:
    """Multiplications in a unit of time."""
    placed = tied.placed
    if not isinstance(placed, Convolution):
        return PLAIN
    if placed.channels // placed.group < FEW:
        return NARROW
    slides = set(placed.kernel) == {3} and set(placed.stride) == set(placed.dilation) == {1}
    return WINOGRAD if slides and tied.layer.type != "Deconvolution" else PLAIN


def leaning(ties: Ties, found: Sequence[Family], macs: Cost) -> npt.NDArray[np.float64]:
    """For each family how much more than others it should lose, were it for time alone: what its multiplications take,
    over what they take on average."""
    paces = {tied.position: pace(tied) for tied, _ in makers(ties)}
    time = replace(macs, of="time", whole={at: number / paces[at] for at, number in macs.whole.items()})
    every = np.ones(ties.count, np.bool_)
    whole, taken = macs(every), time(every)
    ratios = np.ones(len(found))
    for number, family in enumerate(found):
        kept = kept_units(ties, to_share([family], lambda _: 0.5, 1))
        saved = whole - macs(kept)
        if saved > 0:
            ratios[number] = (taken - time(kept)) / saved * whole / taken
    return np.clip(ratios, 1 / MOST, MOST)
