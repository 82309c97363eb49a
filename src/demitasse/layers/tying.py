"""What a layer says about the units of its inputs, outputs and weights: the words that rules of ties are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from demitasse.layers.layertype import LayerType
from demitasse.layers.sizes import UNKNOWN, MaybeShape, known
from demitasse.layers.units import Ids, Knots, Units
from demitasse.net import Layer

__all__ = ["Pin", "Product", "Rule", "Tied", "Tying"]


@dataclass(frozen=True, slots=True, eq=False)
class Pin:
    """Units that have to stay, because of which layer (its position), and why: a word for programs, a text to read."""

    ids: Ids
    layer: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """Weights that multiply and sum: an output is needed, so are the inputs that its weights are not zero for.

    ``rows``: the unit of each output; ``columns``: of each input channel (each element, for a matrix), and ``places``
    its position among the input's channels, or ``None`` if they are not known. Of ``groups`` both are cut into equal
    parts, which read only each other; all parts have to keep their sizes equal. ``blobs``: the weights and masks of
    that form, whose first axis is the outputs' if ``rows_first``; the second axis is that of one part. ``inputs``:
    which inputs are read; none for a state that is fed back.
    """

    rows: Ids
    columns: Ids | None
    places: Ids | None
    inputs: tuple[int, ...] = (0,)
    groups: int = 1
    blobs: tuple[int, ...] = (0,)
    rows_first: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Tied:
    """A layer at its place in a phase: the units of its inputs and outputs (``None``: not tracked), how its weights
    are cut (blob → axis → units), what it multiplies.

    ``whole``: inputs that are needed whole as soon as one output is. ``by_shape``: inputs of which only the shape
    counts. ``droppable``: inputs may leave the layer. ``window``: each output depends on that many channels before and
    behind its own; on the squares of all, if it is negative. ``mixes``: each output depends on all inputs.
    """

    position: int
    layer: Layer
    placed: LayerType
    shapes: tuple[MaybeShape, ...]
    inputs: tuple[Units | None, ...]
    outputs: tuple[Units | None, ...]
    sources: tuple[tuple[int, int], ...] = ()
    weights: Mapping[int, Mapping[int, Ids]] = field(default_factory=dict)
    products: tuple[Product, ...] = ()
    whole: tuple[int, ...] = ()
    by_shape: tuple[int, ...] = ()
    droppable: bool = False
    window: int = 0
    mixes: bool = False
    opaque: bool = False


@dataclass(slots=True, eq=False)
class Tying:
    """A layer in its place, for its rule to say what is tied.

    ``shapes``: of its outputs; ``free``: the caller says that outputs of the network may change here; see `Tied` for
    the rest.
    """

    position: int
    placed: LayerType
    inputs: tuple[Units | None, ...]
    shapes: tuple[MaybeShape, ...]
    knots: Knots
    pins: list[Pin]
    weights: dict[int, dict[int, Ids]] = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    whole: tuple[int, ...] = ()
    by_shape: tuple[int, ...] = ()
    droppable: bool = False
    window: int = 0
    mixes: bool = False
    opaque: bool = False
    free: bool = False

    @property
    def layer(self) -> Layer:
        """The layer itself."""
        return self.placed.layer

    def fresh(self, number: int) -> Ids:
        """New units, made by this layer."""
        return self.knots.fresh(number)

    def tie(self, *several: Ids) -> None:
        """Units that stay or go together, position by position."""
        for other in several[1:]:
            self.knots.tie(several[0], other, self.position)

    def as_one(self, ids: Ids) -> None:
        """Units that stay or go all together."""
        if len(ids) > 1:
            self.knots.tie(np.full(len(ids) - 1, ids[0]), ids[1:], self.position)

    def pin(self, ids: Ids, kind: str, text: str) -> None:
        """Units that have to stay."""
        self.pins.append(Pin(ids, self.position, kind, text))

    def cut(self, blob: int, axis: int, ids: Ids) -> None:
        """The units along an axis of a blob of weights."""
        self.weights.setdefault(blob, {})[axis] = ids

    def hold(self, which: int, kind: str, text: str) -> None:
        """All units of an input have to stay."""
        units = self.inputs[which]
        if units is not None:
            self.pin(units.ids, kind, text)

    def hold_all(self, kind: str, text: str) -> list[Units | None]:
        """Nothing may leave: neither what is read nor what comes out. The units of the outputs."""
        for which in range(len(self.inputs)):
            self.hold(which, kind, text)
        outs = [self.tracked(shape) for shape in self.shapes]
        for units in outs:
            if units is not None:
                self.pin(units.ids, kind, text)
        return outs

    def tracked(self, shape: MaybeShape, axis: int = 1) -> Units | None:
        """New units along an axis of an output, if its size is known."""
        if shape is None or len(shape) <= axis or shape[axis] is UNKNOWN:
            return None
        return Units(axis, self.fresh(shape[axis]))

    def sized(self, which: int = 0) -> bool:
        """Whether an input's shape is fully known."""
        return known(self.placed.inputs[which])


Rule = Callable[[Tying], Sequence["Units | None"]]
"""Says what a layer ties, and gives the units of its outputs."""
