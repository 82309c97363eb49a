"""Distillation: a smaller network learns from the original what it should give, on pictures without labels.

What is compared is what a decision is made from (`teacher`), by its relative error, so that detectors learn as well as
classifiers do (Hinton et al., arXiv 1503.02531, without labels).
A part of the pictures is held out, and the weights that do best on them are kept, those of the beginning among them:
what comes out is never worse there than what went in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from demitasse.errors import OptionError
from demitasse.layers import build
from demitasse.net import Layer, Net, Note, Tensor
from demitasse.runtime.network import Network
from demitasse.runtime.operation import Operation
from demitasse.train.taught import Taught, taught
from demitasse.train.teacher import Teacher, relative_error, taught_at

__all__ = ["Recovered", "recover"]

Feed = Mapping[str, npt.NDArray[np.float32]]
Blobs = dict[str, torch.Tensor]

WARM = 0.05
"""Share of the steps in which the rate rises."""

CHECKS = 10
"""How often the held-out pictures are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """``net``: with the weights that did best. ``before``, ``after``: relative error on the pictures held out.
    ``blobs``: where it was measured. ``steps``: of the best weights, 0 for those of the beginning."""

    net: Net
    before: float
    after: float
    blobs: tuple[str, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch of inputs, and what the original gives for it."""

    inputs: Blobs
    wanted: Blobs


def recover(
    small: Net,
    original: Net,
    feeds: Sequence[Feed],
    *,
    steps: int = 500,
    rate: float = 2e-3,
    batch: int = 8,
    blobs: Sequence[str] = (),
    held_out: float = 0.125,
    seed: int = 0,
    device: str = "cpu",
    plugins: Mapping[str, Operation] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Recovered:
    """The smaller network, taught.

    ``feeds``: inputs of both, pictures one at a time (a batch of one). ``rate``: how far a step goes, as a share of the
    root mean square of each blob of weights. ``blobs``: where to compare, in place of what `taught_at` finds.
    ``plugins``: see `demitasse.runtime.network.Network`.
    Weights that are zero stay zero; coded weights learn in their coded form (`taught`).
    OptionError for less than two feeds, NetError for networks that cannot be run or do not go together.
    """
    if len(feeds) < 2:
        raise OptionError(f"{len(feeds)} pictures: at least 2 are needed, one to learn from and one to judge by")
    graph, teacher = build(small), Teacher(original, device, plugins)
    names = tuple(blobs) or taught_at(graph, teacher.graph)
    random = np.random.default_rng(seed)
    order = random.permutation(len(feeds))
    apart = min(max(1, round(held_out * len(feeds))), len(feeds) // 2)
    network = Network(graph, device=device, writable=True, seed=seed, plugins=plugins)
    judging = [lesson(teacher, feeds[i], names) for i in order[:apart]]
    learning = [feeds[i] for i in order[apart:]]
    learned = taught(network)
    forms = list(learned.values())
    if not forms:
        raise OptionError("the smaller network has no weights: there is nothing that could learn")
    before = best = judgement(network, judging, names)
    saved, at = [one.learned.detach().clone() for one in forms], 0
    optimizer = torch.optim.Adam([{"params": [one.learned], "scale": one.scale} for one in forms])
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"] * schedule(step / steps)
        network.zero_grad()
        now = lesson(teacher, together(learning, batch, random), names)
        relative_error(network(now.inputs, names), now.wanted, names).backward()  # type: ignore[no-untyped-call]
        changed(forms, optimizer)
        progress(step + 1, steps)
        if (step + 1) % max(1, steps // CHECKS) == 0 or step + 1 == steps:
            found = judgement(network, judging, names)
            if found < best:
                best, at = found, step + 1
                saved = [one.learned.detach().clone() for one in forms]
    if not at:
        return Recovered(small, before, best, names, at)
    with torch.no_grad():
        for one, kept in zip(forms, saved, strict=True):
            one.learned.copy_(kept)
            one.follow()
    return Recovered(with_weights(small, network, learned), before, best, names, at)


def changed(learned: Sequence[Taught], optimizer: torch.optim.Optimizer) -> None:
    """One update, in the form that each blob is stored in."""
    for one in learned:
        one.gather()
    optimizer.step()
    with torch.no_grad():
        for one in learned:
            one.follow()


def lesson(teacher: Teacher, feed: Feed, names: Sequence[str]) -> Lesson:
    """The lesson in a set of inputs."""
    inputs = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in feed.items()}
    return Lesson(inputs, teacher(inputs, names))


def together(feeds: Sequence[Feed], batch: int, random: np.random.Generator) -> Feed:
    """A batch drawn from single pictures, some of them mirrored; one alone where they differ in size."""
    chosen: list[Feed] = [feeds[int(i)] for i in random.choice(len(feeds), min(batch, len(feeds)), replace=False)]
    shapes = {tuple(values.shape for values in feed.values()) for feed in chosen}
    single = len(shapes) > 1 or any(len(values) != 1 for values in chosen[0].values() if values.ndim == 4)
    if single or any(values.ndim != 4 for values in chosen[0].values()):
        return chosen[0]
    mirrored = [{name: values[..., ::-1] for name, values in f.items()} if random.integers(2) else f for f in chosen]
    return {name: np.concatenate([feed[name] for feed in mirrored]) for name in chosen[0]}


def judgement(network: Network, lessons: Sequence[Lesson], names: Sequence[str]) -> float:
    """Relative error over the pictures held out; infinite where it is not a number."""
    with torch.no_grad():
        total = sum(float(relative_error(network(lesson.inputs, names), lesson.wanted, names)) for lesson in lessons)
    return math.sqrt(total / len(lessons)) if math.isfinite(total) else math.inf


def schedule(at: float) -> float:
    """Up at first, then down along a cosine."""
    return min(1.0, (at + 1e-9) / WARM) * 0.5 * (1 + math.cos(math.pi * at))


def with_weights(net: Net, network: Network, learned: Mapping[int, Taught]) -> Net:
    """The whole network with what has learned; tensors that did not are the very same, coded or mapped."""
    own = {layer.name: layer for layer in network.graph.layers}

    def new(layer: Layer, k: int, tensor: Tensor) -> Tensor:
        found = learned.get(id(network.weight(layer.name, k)))
        return tensor if found is None else found.tensor(tensor.shape)

    return net.with_layers(
        (
            layer.with_tensors(new(layer, k, tensor) for k, tensor in enumerate(layer.tensors))
            if layer.name in own and len(own[layer.name].tensors) == len(layer.tensors)
            else layer
            for layer in net.layers
        ),
        Note("recover", "", "taught by the original"),
    )
