"""Which value each input of a layer is, whatever it is called: for transforms that add, remove and join layers.

Caffe names blobs, and a layer that works in place gives a new value the old name, so that a name alone does not tell
who reads what. A `Wiring` has the values themselves, edits them, and finds names again: the old ones wherever they
still say the same thing, always for inputs and outputs of the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from demitasse.errors import NetError
from demitasse.layers.build import State
from demitasse.net import Layer, Net, Note

__all__ = ["Value", "Wiring", "fresh"]

Value = tuple[int, int]
"""What a layer (by its key in a `Wiring`) gives as its output of that number."""

PHASE: Final = "TEST"


@dataclass(slots=True)
class Wiring:
    """The layers of the test phase and what they read. Made by `Wiring.of`, changed in place, turned back by `net`.

    ``layers``: by key, in order. ``sources``: the value of each input. ``names``: what a value would like to be called.
    ``fixed``: values that have to keep their names, because something outside reads them: outputs of the network,
    and what layers of the training phase read.
    Layers that the test phase leaves out stay where they are, untouched.
    """

    origin: Net
    layers: dict[int, Layer]
    sources: dict[int, list[Value]]
    names: dict[Value, str]
    fixed: dict[Value, str]
    aside: dict[int, Layer] = field(default_factory=dict)

    @classmethod
    def of(cls, net: Net) -> Wiring:
        """Of a network. NetError if a layer reads what none before it gives."""
        state = State(PHASE, 0, frozenset(net.message.message("state").strings("stage")))
        layers: dict[int, Layer] = {}
        aside: dict[int, Layer] = {}
        last: dict[str, Value] = {}
        sources: dict[int, list[Value]] = {}
        names: dict[Value, str] = {}
        for key, layer in enumerate(net.layers):
            if not state.includes(layer):
                aside[key] = layer
                continue
            for name in layer.inputs:
                if name not in last:
                    raise NetError(f'{layer}: reads "{name}", which no layer before it gives in phase {PHASE}')
            layers[key] = layer
            sources[key] = [last[name] for name in layer.inputs]
            for number, name in enumerate(layer.outputs):
                names[key, number] = name
                last[name] = (key, number)
        read = {value for values in sources.values() for value in values}
        fixed = {value: name for value, name in names.items() if value not in read}
        for layer in aside.values():
            fixed.update({last[name]: name for name in layer.inputs if name in last})
        return cls(net, layers, sources, names, fixed, aside)

    def readers(self, value: Value) -> list[tuple[int, int]]:
        """Key of each layer that reads a value, and as its input of which number."""
        return [(key, i) for key, values in self.sources.items() for i, one in enumerate(values) if one == value]

    def only_reader(self, value: Value) -> int | None:
        """The key of the one layer that reads a value; None if there are several, or something outside reads it."""
        found = self.readers(value)
        return found[0][0] if len(found) == 1 and value not in self.fixed else None

    def redirect(self, old: Value, new: Value) -> None:
        """Whoever reads one value reads the other from now on, which takes the name if that has to stay."""
        for values in self.sources.values():
            values[:] = [new if value == old else value for value in values]
        if old in self.fixed:
            if new in self.fixed or (new[0] in self.layers and self.layers[new[0]].type == "Input"):
                raise NetError(f'"{self.fixed[old]}" cannot have two names: it is read from outside')
            self.names[new] = self.fixed[new] = self.fixed.pop(old)

    def can_redirect(self, old: Value, new: Value) -> bool:
        """Whether `redirect` would work."""
        return old not in self.fixed or not (new in self.fixed or self.layers[new[0]].type == "Input")

    def bypass(self, key: int) -> bool:
        """Remove a layer that passes its first input on as its only output; False if that is not possible."""
        if len(self.layers[key].outputs) != 1 or not self.can_redirect((key, 0), self.sources[key][0]):
            return False
        self.redirect((key, 0), self.sources[key][0])
        self.remove(key)
        return True

    def remove(self, key: int) -> None:
        """Remove a layer. NetError if something still reads what it gives."""
        layer = self.layers[key]
        for number in range(len(layer.outputs)):
            if self.readers((key, number)):
                raise NetError(f'{layer}: cannot be removed, "{layer.outputs[number]}" is still read')
            self.names.pop((key, number), None)
            self.fixed.pop((key, number), None)
        del self.layers[key], self.sources[key]

    def change(self, key: int, layer: Layer) -> None:
        """Another layer in the place of one, with as many inputs and outputs."""
        self.layers[key] = layer

    def add(self, layer: Layer, sources: Iterable[Value], *, before: int | None = None) -> int:
        """A new layer with these inputs, before another or at the end; its key. Outputs are called as it says, or
        nearly so where the name is taken."""
        key = max((*self.layers, *self.aside), default=-1) + 1
        order = list(self.layers)
        at = len(order) if before is None else order.index(before)
        order.insert(at, key)
        self.layers[key] = layer
        self.layers = {one: self.layers[one] for one in order}
        self.sources[key] = list(sources)
        for number, name in enumerate(layer.outputs):
            self.names[key, number] = name
        return key

    def net(self, *notes: Note) -> Net:
        """The network again, with these notes."""
        names = self.named()
        built: dict[int, Layer] = {}
        for key, layer in self.layers.items():
            inputs = tuple(names[value] for value in self.sources[key])
            outputs = tuple(names[key, number] for number in range(len(layer.outputs)))
            same = (inputs, outputs) == (layer.inputs, layer.outputs)
            built[key] = layer if same else replace(layer, inputs=inputs, outputs=outputs)
        return self.origin.with_layers(self.placed(built), *notes)

    def distinct(self) -> tuple[Net, dict[Value, str]]:
        """The network with a name of its own for every value, inputs and outputs as they were; and these names. Nothing
        works in place in it, so that every value can be asked for."""
        taken: set[str] = set(self.fixed.values())
        names: dict[Value, str] = {}
        for key, layer in self.layers.items():
            for number in range(len(layer.outputs)):
                value = (key, number)
                own = value in self.fixed or layer.type == "Input"
                names[value] = self.names[value] if own else fresh(self.names[value], taken)
                taken.add(names[value])
        layers = [
            replace(
                layer,
                inputs=tuple(names[value] for value in self.sources[key]),
                outputs=tuple(names[key, number] for number in range(len(layer.outputs))),
            )
            for key, layer in self.layers.items()
        ]
        return self.origin.with_layers(layers), names

    def placed(self, built: Mapping[int, Layer]) -> list[Layer]:
        """The layers in order, those that were left aside behind the layers that they stood behind."""
        out: list[Layer] = []
        waiting = dict(self.aside)
        size = len(self.origin.layers)
        for key, layer in built.items():
            if key < size:
                out += [waiting.pop(one) for one in list(waiting) if one < key]
            out.append(layer)
        return [*out, *waiting.values()]

    def named(self) -> dict[Value, str]:
        """A name for every value, such that reading by name gives that value. Fixed ones keep theirs."""
        reserved: dict[str, Value] = {}
        while True:
            found, lost = self.attempt(reserved)
            if lost is None:
                return found
            if reserved.get(self.fixed[lost]) == lost:
                raise NetError(f'"{self.fixed[lost]}" is needed twice at the same time')
            reserved[self.fixed[lost]] = lost

    def attempt(self, reserved: Mapping[str, Value]) -> tuple[dict[Value, str], Value | None]:
        """Names in order, each as it was unless it still holds something that is read later; and the first fixed
        value that did not get its name."""
        position = {key: i for i, key in enumerate(self.layers)}
        last_read: dict[Value, int] = {}
        for key, values in self.sources.items():
            for value in values:
                last_read[value] = max(last_read.get(value, -1), position[key])
        holder: dict[str, Value] = {}
        found: dict[Value, str] = {}
        taken = {*self.names.values(), *(name for one in self.aside.values() for name in one.outputs)}
        for key, layer in self.layers.items():
            for number in range(len(layer.outputs)):
                value = (key, number)
                name = self.names[value]
                if self.free(name, value, holder, last_read, position) and reserved.get(name, value) == value:
                    found[value] = name
                elif value in self.fixed:
                    return found, value
                else:
                    found[value] = fresh(name, taken)
                    taken.add(found[value])
                holder[found[value]] = value
        return found, None

    def free(
        self,
        name: str,
        value: Value,
        holder: Mapping[str, Value],
        last_read: Mapping[Value, int],
        position: Mapping[int, int],
    ) -> bool:
        """Whether a value may have a name: nothing has it yet, or the value takes its place in place."""
        if name not in holder:
            return True
        key, number = value
        sources, old = self.sources[key], holder[name]
        in_place = number < len(sources) and sources[number] == old
        return in_place and last_read.get(old, -1) <= position[key] and old not in self.fixed


def fresh(name: str, taken: Iterable[str] | Sequence[str]) -> str:
    """The name, or the name with the first number behind it that makes it new."""
    used = set(taken)
    if name not in used:
        return name
    number = 2
    while f"{name}_{number}" in used:
        number += 1
    return f"{name}_{number}"
