"""BatchNorm, Scale, Bias and linear Power folded into the layers before or behind them: exact, and free.

Behind a Convolution, Deconvolution or InnerProduct this always works; in front of one it does not where that pads its
input and something is added to each channel: the padding has to stay zero. Two such layers in a row become one Scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from demitasse.errors import NetError
from demitasse.layers import MaybeShape, build, infer
from demitasse.message import Message, Value, Word
from demitasse.net import Dense, Layer, Net, Note
from demitasse.transforms.affine import AFFINE, Affine, affine
from demitasse.transforms.consistency import consistent
from demitasse.transforms.transform import EXACT, done, kept
from demitasse.transforms.weighted import BLIND, WEIGHTED, Weighted, shared_names, weighted
from demitasse.transforms.wiring import Wiring

__all__ = ["Fold"]

SHARED: Final = "its weights are shared with other layers"


@dataclass(frozen=True, slots=True)
class Fold:
    """The transform. It has no options: what is exact is done."""

    tolerance: ClassVar[float | None] = EXACT

    def __call__(self, net: Net) -> Net:
        """The network without the layers that could be folded; notes say why others stay."""
        work = Folding.of(net)
        candidates = [key for key, layer in work.wiring.layers.items() if layer.type in AFFINE]
        before = -1
        while before != len(work.notes):
            before = len(work.notes)
            for step in (work.behind, work.ahead, work.together):
                for key in candidates:
                    if key in work.wiring.layers:
                        step(key)
        gone = [key for key in candidates if key not in work.wiring.layers]
        left = [kept("fold", work.wiring.layers[key].name, work.why(key)) for key in candidates if key not in gone]
        text = f"{len(gone)} of {len(candidates)} layers into their neighbours" if gone else "nothing to fold"
        return consistent(work.wiring.net(done("fold", "", text, folded=len(gone)), *work.notes, *left))


@dataclass(slots=True)
class Folding:
    """The work in progress: the wiring, shapes of blobs by their first names, and what was done so far."""

    wiring: Wiring
    shapes: Mapping[str, MaybeShape]
    shared: frozenset[str]
    notes: list[Note]

    @classmethod
    def of(cls, net: Net) -> Folding:
        """For a network. Shapes that are not known are no error; layers that need them stay."""
        try:
            shapes = infer(build(net), strict=False).blobs
        except NetError:
            shapes = {}
        return cls(Wiring.of(net), dict(shapes), shared_names(net.layers), [])

    def behind(self, key: int) -> None:
        """Fold a layer into the one that it stands behind."""
        found, source = self.affine(key), self.wiring.sources[key][0]
        target = self.weighted(source[0])
        if not isinstance(found, Affine) or not isinstance(target, Weighted):
            return
        if self.wiring.only_reader(source) != key or found.axis not in (None, target.axis):
            return
        self.wiring.change(source[0], target.scaled(found))
        self.wiring.redirect((key, 0), source)
        self.wiring.names[source] = self.wiring.names[key, 0]
        self.removed(key, source[0])

    def ahead(self, key: int) -> None:
        """Fold a layer into all those that read it."""
        found, source = self.affine(key), self.wiring.sources[key][0]
        readers = [one for one, _ in self.wiring.readers((key, 0)) if self.wiring.layers[one].type not in BLIND]
        if not isinstance(found, Affine) or not readers or (key, 0) in self.wiring.fixed:
            return
        shape = self.shape(key)
        targets = {reader: self.weighted(reader) for reader in readers}
        changed: dict[int, Layer] = {}
        for reader, target in targets.items():
            if not isinstance(target, Weighted) or shape is None or found.axis not in (None, target.axis):
                return
            if found.shifts and target.pads:
                return
            changed[reader] = target.preceded(found, shape[target.axis])
        for reader, layer in changed.items():
            self.wiring.change(reader, layer)
        self.wiring.redirect((key, 0), source)
        self.removed(key, *changed)

    def together(self, key: int) -> None:
        """Make one Scale of a layer and the one that it stands behind."""
        source = self.wiring.sources[key][0]
        first = source[0]
        if self.wiring.layers[first].type not in AFFINE or self.wiring.only_reader(source) != key:
            return
        one, two = self.affine(first), self.affine(key)
        if not isinstance(one, Affine) or not isinstance(two, Affine) or not one.joins(two):
            return
        both = one.then(two)
        if both.axis is None:
            return
        name = first if self.wiring.layers[first].type == "Scale" else key
        self.wiring.change(key, scale_layer(self.wiring.layers[name], self.wiring.layers[key], both))
        self.wiring.redirect(source, self.wiring.sources[first][0])
        self.removed(first, key)

    def removed(self, key: int, *into: int) -> None:
        """Remove what was folded, and say so."""
        layer = self.wiring.layers[key]
        self.wiring.remove(key)
        names = ", ".join(self.wiring.layers[one].name for one in into)
        self.notes.append(done("fold", layer.name, f"folded into {names}"))

    def affine(self, key: int) -> Affine | str:
        """What a layer adds and multiplies; or why it does not."""
        layer = self.wiring.layers[key]
        if layer.type not in AFFINE:
            return f"{layer.type} is something else"
        return SHARED if self.shares(layer) else affine(layer, self.shape(key))

    def weighted(self, key: int) -> Weighted | str:
        """The layer, if others can be folded into it; or why not."""
        layer = self.wiring.layers[key]
        if layer.type not in WEIGHTED:
            return f"{layer.type} has no weights that could take it in"
        if self.shares(layer):
            return SHARED
        try:
            return weighted(layer, self.shape(key))
        except NetError as error:
            return str(error)

    def shares(self, layer: Layer) -> bool:
        """Whether other layers have its weights, too."""
        return any(spec.string("name") in self.shared for spec in layer.message.messages("param"))

    def shape(self, key: int) -> MaybeShape:
        """Shape of a layer's first input."""
        source = self.wiring.sources[key]
        return self.shapes.get(self.wiring.names[source[0]]) if source else None

    def why(self, key: int) -> str:
        """The reason for which a layer stays."""
        found, source = self.affine(key), self.wiring.sources[key][0]
        if isinstance(found, str):
            return found
        before = self.wiring.layers[source[0]]
        target = self.weighted(source[0])
        if isinstance(target, Weighted):
            if source in self.wiring.fixed:
                return f"what it reads is an output of the network: {before.name}"
            others = [self.wiring.layers[one].name for one, _ in self.wiring.readers(source) if one != key]
            return f"others read {before.name}, too: {', '.join(others)}" if others else "it goes along another axis"
        if before.type in WEIGHTED:
            return f"{before.name}, behind which it stands: {target}"
        readers = [self.wiring.layers[reader] for reader, _ in self.wiring.readers((key, 0))]
        padding = [one.name for one in readers if one.type in WEIGHTED]
        if len(padding) == len(readers) and padding and found.shifts:
            return f"{', '.join(padding)} pads its input with zeros: at the border it would not be exact"
        behind = ", ".join(dict.fromkeys(one.type for one in readers)) or "the network's outputs"
        return f"nothing to fold it into between {before.type} and {behind}"


def scale_layer(named: Layer, place: Layer, found: Affine) -> Layer:
    """A Scale with a bias, called as one layer and in the place of another."""
    options: list[tuple[str, Value]] = [] if found.axis in (None, 1) else [("axis", found.axis)]
    if found.shifts:
        options.append(("bias_term", Word("true")))
    message = Message.of(("scale_param", Message.of(*options))) if options else Message()
    kind = named.tensors[0].dtype if named.tensors else np.dtype(np.float32)
    values = [found.scale, found.shift] if found.shifts else [found.scale]
    tensors = tuple(Dense(one.astype(kind)) for one in values)
    return Layer(named.name, "Scale", place.inputs, place.outputs, message, tensors, place.origin)
