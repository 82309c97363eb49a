"""Run a network on pictures, forward and back, and see how much its outputs owe to each weight.

The squared derivative of the outputs by a weight, summed over outputs, is what a squared error of that weight costs.
All of them at once come from a few backward passes: with random signs on the outputs, the square of the gradient has
that sum as its expectation (Hutchinson, 1990). Each output is first divided by its own power, so that costs are shares
of the signal and outputs of different scale count alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from demitasse.errors import NetError
from demitasse.net import Net
from demitasse.transforms.sensitivity.feedback import Feedback
from demitasse.transforms.sensitivity.grid import Array, Wide, exact, snapped
from demitasse.transforms.sensitivity.operators import OPERATORS
from demitasse.transforms.sensitivity.program import Program, Step
from demitasse.transforms.sensitivity.result import Marginals, Result, Values

__all__ = ["Run", "Sensitivity", "estimate"]

Picture = Mapping[str, np.ndarray]

LARGE = 1 << 22
"""Weights of a tensor beyond which nobody asks how its columns go together."""

ROOM = 600 << 20
"""Bytes that the network and the second moments may take together."""

LEAST_ROOM = 48 << 20

BLOCKS = (1152, 576, 288, 144, 72)
"""Columns that are looked at together, at most: the largest for which there is room."""

FEW_PICTURES = 12
"""Pictures with which costs are half believed."""

PROBES = 1
"""Backward passes a picture: another picture tells more than another pass."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a squared error of a weight costs, as a share of the outputs' power.

    ``costs``: for (layer's name, tensor's position), sums over rows and columns. ``feedback``: for a layer's name, how
    errors within a row of its first tensor make good for each other. ``unknown``: names of layers that could not be
    run. ``trust``: how far steps should follow the costs, from 0 to 1: the more pictures, the further.
    """

    costs: Mapping[tuple[str, int], Marginals] = field(default_factory=dict)
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    trust: float = 1.0


def estimate(net: Net, pictures: Sequence[Picture], probes: int = PROBES) -> Sensitivity:
    """From pictures: each gives the network's inputs by name, with Caffe's shapes and a batch of one.

    The same bits on every machine. NetError if the network cannot be run on them.
    """
    if not pictures:
        return Sensitivity(unknown=tuple(layer.name for layer in net.layers if layer.tensors))
    program = Program.of(net, tuple(pictures[0]))
    powers = np.sum([power_of(Run(program, picture)) for picture in pictures], axis=0) / len(pictures)
    together = columns_together(program)
    costs: dict[tuple[str, int], Marginals] = {}
    random = np.random.Generator(np.random.PCG64(0))
    for picture in pictures:
        run = Run(program, picture)
        for _ in range(probes):
            for key, cost in run.costs(signs(random, run, program, powers), together):
                costs[key] = Marginals.sum((costs[key], cost)) if key in costs else cost
        del run  # before there is another
    share = 1 / (len(pictures) * probes)
    feedback = {}
    for key, cost in costs.items():
        costs[key] = Marginals(cost.rows * share, cost.columns * share)
        if cost.moments is not None and (found := cost.moments.feedback()) is not None:
            feedback[key[0]] = found
    trust = (1 + len(pictures)) / (FEW_PICTURES + len(pictures))
    return Sensitivity(costs, feedback, program.opaque, trust)


def columns_together(program: Program) -> dict[str, int]:
    """How many columns of a layer's first tensor are looked at together, at most: by name, of matrices."""
    tensors = {step.layer.name: step.layer.tensors[0] for step in program.steps if step.layer.tensors}
    weights = sum(tensor.nbytes for step in program.steps for tensor in step.layer.tensors)
    columns = {
        name: tensor.size // tensor.shape[0]
        for name, tensor in tensors.items()
        if len(tensor.shape) > 1 and max(tensor.shape) < tensor.size <= LARGE
    }
    room = max(LEAST_ROOM, ROOM - weights)
    most = next((size for size in BLOCKS if 8 * size * sum(columns.values()) <= room), BLOCKS[-1])
    return dict.fromkeys(columns, most)


def power_of(run: Run) -> Wide:
    """Of each output."""
    values = (run.values[i] for i in run.program.outputs)
    return np.array([float(exact(snapped(exact(value) ** 2)).sum()) for value in values])


def signs(random: np.random.Generator, run: Run, program: Program, powers: Wide) -> dict[int, Wide]:
    """A random sign for every number of every output, over the square root of the output's power."""
    alive = np.count_nonzero(powers)
    out = {}
    for value, power in zip(program.outputs, powers, strict=True):
        if power:
            signs = random.integers(0, 2, run.values[value].shape) * 2.0 - 1.0
            out[value] = signs / np.sqrt(power * alive)
    return out


class Run:
    """One picture through the network; what the backward passes need is kept."""

    def __init__(self, program: Program, picture: Picture) -> None:
        self.program = program
        self.values: dict[int, Array] = {number: snapped(picture[name]) for name, number in program.feeds.items()}
        self.results: list[Result] = []
        for step in program.steps:
            result = run(step, [self.values[i] for i in step.inputs])
            self.values.update((i, snapped(values)) for i, values in zip(step.outputs, result.outputs, strict=True))
            self.results.append(result)

    def costs(
        self, probe: Mapping[int, Wide], together: Mapping[str, int]
    ) -> Iterator[tuple[tuple[str, int], Marginals]]:
        """Squared gradients of ⟨probe, outputs⟩, layer by layer from the last."""
        gradients: dict[int, Values] = dict(probe)
        for step, result in zip(reversed(self.program.steps), reversed(self.results), strict=True):
            if not any(i in gradients for i in step.outputs):
                continue
            incoming = [self.gradient(gradients, i) for i in step.outputs]
            if result.weigh is not None:
                for index, cost in enumerate(result.weigh(incoming, together.get(step.layer.name, 0))):
                    yield (step.layer.name, index), cost
            for value, gradient in zip(step.inputs, result.adjoint(incoming), strict=True):
                if gradient is not None and value >= len(self.program.feeds):
                    gradients[value] = gradients[value] + gradient if value in gradients else gradient

    def gradient(self, gradients: dict[int, Values], value: int) -> Array:
        """What has come together for a value, on a grid; nothing is zeros."""
        if value in gradients:
            return snapped(gradients.pop(value))
        return np.zeros(self.values[value].shape, np.float32)


def run(step: Step, inputs: Sequence[Array]) -> Result:
    """One step. NetError, naming the layer, if shapes do not fit or something is missing."""
    if step.skipped:
        return Result((inputs[0],), lambda gradients: (gradients[0],))
    try:
        return OPERATORS[step.layer.type](step.layer, inputs)
    except (ValueError, IndexError, ZeroDivisionError, TypeError) as error:
        raise NetError(f"{step.layer} cannot be run for the estimate: {error}") from None
