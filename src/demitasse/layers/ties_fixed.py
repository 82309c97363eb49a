"""Ties of layers from which nothing can leave: sources, losses, detection, and all that nobody has told us about."""

from __future__ import annotations

from collections.abc import Sequence

from demitasse.layers.table import LAYERS
from demitasse.layers.tying import Tying
from demitasse.layers.units import Units

__all__ = ["anchors", "opaque", "reads", "source", "unknown"]

Outputs = Sequence[Units | None]


def source(tying: Tying) -> Outputs:
    """What comes from outside keeps its form."""
    return tying.hold_all("input", "comes from outside of the network")


def reads(tying: Tying) -> Outputs:
    """Every value that comes in counts: losses, measures, boxes."""
    return tying.hold_all("read", "reads every channel")


def anchors(tying: Tying) -> Outputs:
    """PriorBox: only the shapes of the inputs count."""
    tying.by_shape = tuple(range(len(tying.inputs)))
    return [None] * len(tying.shapes)


def unknown(tying: Tying) -> Outputs:
    """The type may be known, and its shapes are not."""
    tying.opaque = True
    what = "its type is not known" if tying.layer.type not in LAYERS else "its shapes are not known"
    return tying.hold_all("opaque", what)


def opaque(tying: Tying) -> Outputs:
    """Nothing is known: the channels that the layer touches stay, and so do its weights."""
    tying.opaque = True
    return tying.hold_all("opaque", "its type is not one whose channels can be told apart")
