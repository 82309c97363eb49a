"""Deep Compression's own pipeline (Han et al., arXiv 1510.00149), for the two programs beside this one.

A dense network is trained; again and again the smallest weights are cut and the rest learns on; then the weights of
each layer share a few values, which learn, too. Every phase is a run of Caffe's solver from the weights of
the last. Dropout falls with the square root of the connections that are left, as in the authors' work on pruning
(arXiv 1506.02626). No augmentation and no teacher. The entropy coder is that of the .demi.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.papers.mnist import Mnist
from benchmarks.papers.reproduction import Made, Row, network, solver_settings

from demitasse.caffe.read import parse_net
from demitasse.net import Net
from demitasse.train.clusters import Clusters
from demitasse.train.masks import Mask
from demitasse.train.shaping import Shaping
from demitasse.train.solver import Solver

__all__ = ["Pipeline", "compressed"]


@dataclass(frozen=True)
class Pipeline:
    """``batch``: pictures at a time. ``epochs``, ``rate``: of training the dense network. ``dropout``: by blob.
    ``densities``: that are pruned to, one round each; a round trains ``retrained`` epochs from ``rate`` × ``again``.
    ``values``: shared ones of each layer, which learn for ``tuned`` epochs from ``rate`` × ``finely``, by sums of
    gradients."""

    network: str
    batch: int
    epochs: int
    rate: float
    decay: float
    dropout: Mapping[str, float]
    densities: Sequence[Mapping[str, float]]
    retrained: int
    again: float
    values: Mapping[str, int]
    tuned: int
    finely: float


def compressed(data: Mnist, row: Row, seed: int) -> Made:
    """What `reproduce` asks for: ``row.options`` is a `Pipeline`."""
    plan: Pipeline = row.options
    net = trained(data, plan, seed, None, plan.epochs, plan.rate, plan.dropout)
    for densities in plan.densities:
        mask = Mask(densities, zeros=True)
        dropout = {blob: ratio * math.sqrt(overall(net, densities)) for blob, ratio in plan.dropout.items()}
        net = trained(data, plan, seed, net, plan.retrained, plan.rate * plan.again, dropout, mask)
    left = density(net)
    net = trained(data, plan, seed, net, plan.tuned, plan.rate * plan.finely, {}, Clusters(plan.values))
    return Made(net, {"weights left, %": 100 * left})


def trained(
    data: Mnist,
    plan: Pipeline,
    seed: int,
    weights: Net | None,
    epochs: int,
    rate: float,
    dropout: Mapping[str, float],
    *shapings: Shaping,
) -> Net:
    """One phase."""
    iterations = epochs * (len(data.train) // plan.batch)
    text = f"""type: "Nesterov" base_lr: {rate} momentum: 0.9 weight_decay: {plan.decay} lr_policy: "poly" power: 1
        max_iter: {iterations}"""
    net = network(plan.network)
    shapes = {"data": (plan.batch, 1, 28, 28), "label": (plan.batch,)}
    settings = solver_settings(text, with_dropout(net, dropout))
    solver = Solver(settings, shapes, weights=weights, seed=seed, shapings=shapings)
    batches = data.train.batches(plan.batch, seed)
    while solver.iteration < iterations:
        solver.step(batches)
    learned = {layer.name: layer.tensors for layer in solver.net().layers}
    return net.with_layers(layer.with_tensors(learned[layer.name]) for layer in net.layers)


def with_dropout(net: Net, ratios: Mapping[str, float]) -> Net:
    """The network with Dropout on blobs, in training only."""
    layers = []
    for i, layer in enumerate(net.layers):
        layers.append(layer)
        (blob,) = layer.outputs
        last = not any(blob in later.outputs for later in net.layers[i + 1 :])
        if last and ratios.get(blob):
            text = f"""layer {{ name: "drop_{blob}" type: "Dropout" bottom: "{blob}" top: "{blob}"
                dropout_param {{ dropout_ratio: {ratios[blob]} }} include {{ phase: TRAIN }} }}"""
            layers += [replace(one, origin=()) for one in parse_net(text.encode()).layers]
    return net.with_layers(layers)


def matrices(net: Net) -> dict[str, np.ndarray]:
    return {layer.name: layer.tensors[0].array() for layer in net.layers if layer.tensors}


def density(net: Net) -> float:
    """The share of weights that are not zero."""
    found = matrices(net).values()
    return sum(int(np.count_nonzero(values)) for values in found) / sum(values.size for values in found)


def overall(net: Net, densities: Mapping[str, float]) -> float:
    """The share of weights that would be left."""
    found = matrices(net)
    return sum(densities[name] * values.size for name, values in found.items()) / sum(v.size for v in found.values())
