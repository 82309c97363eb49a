"""Networks trained for bytes, for the two programs of the rate-aware rows: in legs, each with a size to reach.

Between legs what has died leaves (`demitasse.train.settled`), so that the next leg computes less; levels, steps and
the price of a bit go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.papers.lessons import Lessons, Taught
from benchmarks.papers.mnist import Mnist
from benchmarks.papers.reproduction import HERE, Made, Row, solver_settings

import demitasse as dm
from demitasse.caffe.read import parse_net
from demitasse.train.rate import Rate
from demitasse.train.settled import settled
from demitasse.train.solver import Solver

__all__ = ["Leg", "Recipe", "trained"]

TEACHER = b'layer { name: "teacher" type: "Input" top: "teacher" include { phase: TRAIN } }'

GRID = 1 / 16
"""The step of biases."""

STEADY = 'lr_policy: "fixed"'


@dataclass(frozen=True)
class Leg:
    """A run of a solver. ``nbytes``: of coded weights at its end. ``falling``: the learning rate falls to nothing in
    it, rather than stay where it is. ``units``: how many outputs of layers, by name, stay after it, the largest."""

    epochs: float
    nbytes: int
    falling: bool = False
    units: Mapping[str, int] = field(default_factory=dict)

    def solver(self, iterations: int, base: float, seed: int) -> str:
        """As a text. The rate falls along a logistic curve, half of it at 65 % of the leg."""
        fall = f'lr_policy: "sigmoid" gamma: {-12 / iterations} stepsize: {round(0.65 * iterations)}'
        policy = fall if self.falling else STEADY
        adam = f'type: "Adam" base_lr: {base} momentum: 0.9 momentum2: 0.999'
        return f"{adam} {policy} max_iter: {iterations} random_seed: {seed}"


@dataclass(frozen=True)
class Recipe:
    """``network``: its prototxt here; ``logits``: the blob that is taught; ``plain``: share of pictures that are not
    deformed; ``rate``: of learning, in the beginning."""

    network: str
    logits: str
    legs: Sequence[Leg]
    plain: float
    batch: int = 128
    rate: float = 0.002


def trained(folder: Path, data: Mnist, row: Row, seed: int) -> Made:
    """The network of a row from a seed. ``folder``: where lessons are kept."""
    recipe: Recipe = row.options
    lessons = Lessons.of(data, folder)
    net = parse_net((HERE / f"{recipe.network}.prototxt").read_bytes() + TEACHER)
    given: dm.Net | None = None
    price, done = 1e-5, 0
    for leg in recipe.legs:
        iterations = round(leg.epochs * len(data.train) / recipe.batch)
        batches = lessons.batches(recipe.batch, seed, recipe.plain)
        solver = Solver(
            solver_settings(leg.solver(iterations, recipe.rate, seed), net),
            {"data": (recipe.batch, 1, 28, 28), "label": (recipe.batch,), "teacher": (recipe.batch, 10)},
            weights=given,
            shapings=[Taught(recipe.logits), Rate(leg.nbytes, price=price, grid=GRID)],
        )
        begun = done
        while solver.iteration < iterations:
            solver.step(lambda number, begun=begun, batches=batches: batches(begun + number))
        done += iterations
        price = solver.shapings[1].price
        net = given = settled(pruned(solver.net(), leg.units), GRID)
        print(told(row, seed, leg, net, price), flush=True)
    return Made(net, {"units": units(net)})


def pruned(net: dm.Net, units: Mapping[str, int]) -> dm.Net:
    """The network with so many outputs of these layers, at most."""
    here = {name: net.layer(name).tensors[0].shape[0] for name in units}
    shares = {name: units[name] / count for name, count in here.items() if units[name] < count}
    return dm.Prune(layers=shares, repair=False)(net) if shares else net


def units(net: dm.Net) -> str:
    """How many outputs each layer has left."""
    return "-".join(str(layer.tensors[0].shape[0]) for layer in net.layers if layer.tensors)


def told(row: Row, seed: int, leg: Leg, net: dm.Net, price: float) -> dict[str, object]:
    used = [int(np.count_nonzero(layer.tensors[0].array())) for layer in net.layers if layer.tensors]
    return {"row": row.name, "seed": seed, "leg": leg.epochs, "units": units(net), "used": used, "price": price}
