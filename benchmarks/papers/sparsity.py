"""Structured Sparsity Learning (Wen et al., arXiv 1608.03665), for the three programs beside this one.

A dense network is trained for a while; then rows and columns become zero down to a goal; then the rest learns on.
The second phase goes in rounds. Prices stand in the network's prototxt, in the fields of the paper's authors, and grow
from round to round where there is still too much; where the goal is reached, the price is lifted, and
``connectivity_mode`` keeps the zeros. After each round `Shrink` removes what became zero, so that what is trained is
the smaller network itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from benchmarks.papers.mnist import Digits, Mnist
from benchmarks.papers.reproduction import network, solver_settings
from numpy.lib.stride_tricks import sliding_window_view

import demitasse as dm
from demitasse.message import Word
from demitasse.train.solver import Solver

__all__ = ["COLUMNS", "ROWS", "Goals", "Plan", "left", "matrix", "shifted"]

ROWS: Final = "breadth_decay_mult"
COLUMNS: Final = "kernel_shape_decay_mult"

Goals = Mapping[tuple[str, str], int]
"""How many rows or columns of a layer are to be left, by its name and `ROWS` or `COLUMNS`."""

Batches = Callable[[int], Mapping[str, npt.NDArray[np.float32]]]

BATCH = 64


@dataclass(frozen=True)
class Plan:
    """How a network is trained. ``goals``: of the second phase. ``rate``: of learning in the first two; ``dense``:
    iterations of the first. ``price``: of a row or column in the first ``least`` rounds of ``steps`` iterations each;
    afterwards it is ``growth`` times as high in each round. ``epochs``, ``tuning``: of the last phase, and its rate,
    which falls to zero. ``reach``: pixels by which pictures are moved, at most, in the last phase."""

    network: str
    goals: Goals
    rate: float = 0.02
    decay: float = 5e-4
    dense: int = 860
    price: float = 0.015
    growth: float = 1.1
    least: int = 4
    steps: int = 50
    most: int = 100
    epochs: int = 15
    tuning: float = 0.03
    tuning_decay: float = 5e-4
    reach: int = 0

    def __call__(self, data: Mnist, seed: int) -> dm.Net:
        """The trained network, without what became zero. Ends the program if the goals are not reached."""
        batches = data.train.batches(BATCH, seed)
        net = self.phase(network(self.network), batches, seed, self.solver(self.rate, self.dense, "fixed"))
        net = self.sparse(net, lambda number: batches(self.dense + number), seed)
        last = self.epochs * (len(data.train) // BATCH)
        solver = self.solver(self.tuning, last, "poly", self.tuning_decay)
        return self.phase(net, shifted(data.train, BATCH, seed, self.reach), seed, solver)

    def sparse(self, net: dm.Net, batches: Batches, seed: int) -> dm.Net:
        """The second phase."""
        prices = dict.fromkeys(self.goals, self.price)
        solver = self.solver(self.rate, self.steps, "fixed") + " breadth_decay: 1 kernel_shape_decay: 1"
        for number in range(self.most):
            begun = number * self.steps
            net = self.phase(priced(net, prices), lambda i, begun=begun: batches(begun + i), seed, solver)
            net = dm.Shrink()(net)
            missed = {of for of, goal in self.goals.items() if left(net, *of) > goal}
            if not missed:
                return priced(net, {})
            factor = self.growth if number >= self.least else 1.0
            prices = {of: (price or self.price) * factor if of in missed else 0.0 for of, price in prices.items()}
        raise SystemExit(f"after {self.most} rounds there are still too many {missed}")

    def solver(self, rate: float, iterations: int, policy: str, decay: float | None = None) -> str:
        """The text of a solver file."""
        return (
            f'type: "Nesterov" base_lr: {rate} momentum: 0.9 weight_decay: {self.decay if decay is None else decay} '
            f'lr_policy: "{policy}" power: 1 max_iter: {iterations}'
        )

    def phase(self, net: dm.Net, batches: Batches, seed: int, solver: str) -> dm.Net:
        """The network after all iterations of a solver file."""
        settings = solver_settings(solver, net)
        one = Solver(settings, {"data": (BATCH, 1, 28, 28), "label": (BATCH,)}, seed=seed)
        while one.iteration < settings.max_iter:
            one.step(batches)
        return one.net()


def priced(net: dm.Net, prices: Mapping[tuple[str, str], float]) -> dm.Net:
    """The network with these multipliers in the ``param`` of its weights, all others 0, and groups that are zero kept
    so."""
    layers = []
    for layer in net.layers:
        if layer.tensors:
            weights, *others = layer.message.messages("param")
            for kind in (ROWS, COLUMNS):
                weights = weights.set(kind, prices.get((layer.name, kind), 0.0))
            message = layer.message.set_all("param", [weights, *others])
            layer = replace(layer, message=message.set("connectivity_mode", Word("DISCONNECTED_GRPWISE")))
        layers.append(layer)
    return net.with_layers(layers)


def left(net: dm.Net, name: str, kind: str) -> int:
    """How many rows or columns of a layer's matrix are not zero."""
    return int((matrix(net, name) != 0).any(axis=1 if kind == ROWS else 0).sum())


def matrix(net: dm.Net, name: str) -> npt.NDArray[np.float32]:
    """A layer's weights, a row for each output."""
    (layer,) = (layer for layer in net.layers if layer.name == name)
    values = layer.tensors[0].array()
    return values.reshape(values.shape[0], -1)


def shifted(digits: Digits, size: int, seed: int, reach: int) -> Batches:
    """Batches of pictures moved by up to so many pixels either way: Caffe's random crop of what has a black border."""
    plain = digits.batches(size, seed)
    if not reach:
        return plain

    def batch(number: int) -> Mapping[str, npt.NDArray[np.float32]]:
        found = plain(number)
        wide = np.pad(found["data"][:, 0], ((0, 0), (reach, reach), (reach, reach)))
        places = np.random.default_rng((seed, number)).integers(0, 2 * reach + 1, (2, size))
        windows = sliding_window_view(wide, (28, 28), axis=(1, 2))
        return {"data": windows[np.arange(size), places[0], places[1]][:, None], "label": found["label"]}

    return batch
