"""How close to the original a network's outputs are, to the same decibel on every machine.

Both run on generated pictures, others than those that the sensitivities come from, in the arithmetic that gives the
same bits everywhere (`demitasse.transforms.sensitivity.grid`): no runtime is needed, and what follows from the result
does not depend on who computes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from demitasse import layers
from demitasse.errors import NetError
from demitasse.net import Net
from demitasse.plan.calibration import Feed, on_generated
from demitasse.transforms.sensitivity.estimate import Run
from demitasse.transforms.sensitivity.grid import Array, exact, snapped
from demitasse.transforms.sensitivity.program import Program

__all__ = ["Fidelity"]

EFFORT: Final = 0.15
"""Of the time that sensitivities take: there is no way back, and fewer pictures tell enough."""

SEED: Final = 1

Values = list[Array]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Pictures, and the outputs of the original for each of them."""

    pictures: Sequence[Feed]
    outputs: Sequence[Values]

    @classmethod
    def of(cls, net: Net) -> Fidelity | None:
        """For an original; None if it cannot be run."""

        def run(graph: Net, pictures: list[Feed]) -> Fidelity:
            return cls(pictures, [outputs(graph, picture) for picture in pictures])

        try:
            found = on_generated(net, run, effort=EFFORT, seed=SEED)
        except NetError:
            return None
        return found if any(found.powers) else None

    @property
    def powers(self) -> list[float]:
        """Of each output, over all pictures."""
        return [sum(map(power, values)) for values in zip(*self.outputs, strict=True)]

    def snr(self, net: Net) -> float:
        """Signal to noise at the outputs in dB, every output counted alike; infinite where nothing differs."""
        graph = layers.build(net).net
        noise = [0.0] * len(self.outputs[0])
        for picture, expected in zip(self.pictures, self.outputs, strict=True):
            for number, (one, other) in enumerate(zip(expected, outputs(graph, picture), strict=True)):
                noise[number] += power(snapped(exact(one) - exact(other)))
        shares = [each / whole for each, whole in zip(noise, self.powers, strict=True) if whole]
        mean = sum(shares) / len(shares)
        return -10 * math.log10(mean) if mean > 0 else math.inf


def outputs(net: Net, picture: Feed) -> Values:
    """What counts as outputs, for one picture."""
    program = Program.of(net, tuple(picture))
    values = Run(program, picture).values
    return [values[number] for number in program.outputs]


def power(values: Array) -> float:
    """The sum of squares."""
    return float(exact(snapped(exact(values) ** 2)).sum())
