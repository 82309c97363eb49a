"""A network as a list of steps over numbered values, with what can be run and what cannot told apart beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from demitasse.net import Layer, Net
from demitasse.transforms.sensitivity.operators import OPERATORS
from demitasse.transforms.sensitivity.shaping import SHAPING

__all__ = ["Program", "Step"]

SQUASHING = frozenset({"Softmax", "Sigmoid"})
"""Before an output, these are left out: a score is judged by what it was before it was squashed to a probability."""

SHAPE_ONLY = frozenset({"Accuracy", "ArgMax", "PriorBox", "Silence"})
"""Layers that are not run and whose inputs do not count as outputs of the network for it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One layer: the numbers of the values that it reads and makes, and whether only outputs come after it."""

    layer: Layer
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    last: bool = False

    @property
    def skipped(self) -> bool:
        """A squashing function with nothing but an output after it."""
        return self.last and self.layer.type in SQUASHING


@dataclass(frozen=True, slots=True)
class Program:
    """Steps in order; the values to be fed, by name; the values that count as outputs; what is not run, by name."""

    steps: tuple[Step, ...]
    feeds: dict[str, int]
    outputs: tuple[int, ...]
    opaque: tuple[str, ...]

    @classmethod
    def of(cls, net: Net, feeds: Sequence[str]) -> Program:
        """Of the layers that can be run on values for ``feeds``. Reading a blob means its latest version."""
        latest: dict[str, int] = {name: i for i, name in enumerate(feeds)}
        fed = dict(latest)
        count = len(latest)
        steps: list[Step] = []
        opaque: list[str] = []
        read_by_opaque: set[int] = set()
        for layer in net.layers:
            if not layer.inputs:
                continue
            needed = layer.inputs[:1] if layer.type == "ROIPooling" else layer.inputs
            known = all(name in latest for name in needed)
            if not known or layer.type not in OPERATORS:
                opaque.append(layer.name)
                if layer.type not in SHAPE_ONLY:
                    read_by_opaque.update(latest[name] for name in layer.inputs if name in latest)
                for name in layer.outputs:
                    latest.pop(name, None)
                continue
            inputs = tuple(latest[name] for name in needed)
            outputs = tuple(range(count, count + len(layer.outputs)))
            count += len(outputs)
            latest.update(zip(layer.outputs, outputs, strict=True))
            steps.append(Step(layer, inputs, outputs))
        made = {value for step in steps for value in step.outputs}
        ends = (made - {value for step in steps for value in step.inputs}) | (read_by_opaque & made)
        return cls(tuple(with_last(steps)), fed, tuple(sorted(ends)), tuple(opaque))


def with_last(steps: Sequence[Step]) -> list[Step]:
    """The same steps, those marked that only move or squash numbers on their way out of the network."""
    going_on: set[int] = set()
    marked: list[Step] = []
    for step in reversed(steps):
        moves = step.layer.type in SHAPING or step.layer.type in SQUASHING
        last = moves and not going_on.intersection(step.outputs)
        if not last:
            going_on.update(step.inputs)
        marked.append(replace(step, last=last))
    return marked[::-1]
