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
from demitasse.net import Dense, Layer, Net, Note, Tensor
from demitasse.runtime.network import Network
from demitasse.runtime.operation import Operation
from demitasse.train.teacher import Teacher, relative_error, taught_at

__all__ = ["Recovered", "recover"]

Feed = Mapping[str, npt.NDArray[np.float32]]
Blobs = dict[str, torch.Tensor]

STATISTICS = frozenset({"BatchNorm"})
"""Types whose blobs are no weights."""

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
    Weights that are zero stay zero, coded weights (quantised, clustered) stay as they are; the rest learns.
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
    taught = weights(network)
    if not taught:
        raise OptionError("all weights of the smaller network are coded: there is nothing that could learn")
    before = best = judgement(network, judging, names)
    saved, at = [values.detach().clone() for values, _ in taught], 0
    optimizer = torch.optim.Adam([{"params": [values], "scale": scale_of(values)} for values, _ in taught])
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"] * schedule(step / steps)
        optimizer.zero_grad()
        now = lesson(teacher, together(learning, batch, random), names)
        relative_error(network(now.inputs, names), now.wanted, names).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for values, kept in taught:
                values.mul_(kept)
        progress(step + 1, steps)
        if (step + 1) % max(1, steps // CHECKS) == 0 or step + 1 == steps:
            found = judgement(network, judging, names)
            if found < best:
                best, at = found, step + 1
                saved = [values.detach().clone() for values, _ in taught]
    with torch.no_grad():
        for (values, _), kept in zip(taught, saved, strict=True):
            values.copy_(kept)
    return Recovered(with_weights(small, network), before, best, names, at)


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


def weights(network: Network) -> list[tuple[torch.nn.Parameter, torch.Tensor]]:
    """The blobs that learn, each with what is not zero in it; the others ask for no gradient."""
    found: dict[int, tuple[torch.nn.Parameter, torch.Tensor]] = {}
    for layer in network.graph.layers:
        for k, tensor in enumerate(layer.tensors):
            values = network.weight(layer.name, k)
            values.requires_grad_(learns(layer, tensor))
            if learns(layer, tensor):
                # A bias of zero is a value like any other; zeros among weights have been put there.
                kept = (values != 0) if values.dim() > 1 else torch.ones_like(values, dtype=torch.bool)
                found.setdefault(id(values), (values, kept.detach()))
    return list(found.values())


def scale_of(values: torch.Tensor) -> float:
    """The size of a blob's weights: the root mean square of those that are not zero."""
    used = values.detach()[values.detach() != 0]
    return float(used.square().mean().sqrt()) if used.numel() else 1e-2


def schedule(at: float) -> float:
    """Up at first, then down along a cosine."""
    return min(1.0, (at + 1e-9) / WARM) * 0.5 * (1 + math.cos(math.pi * at))


def with_weights(net: Net, network: Network) -> Net:
    """The whole network with what has learned; tensors that did not are the very same, coded or mapped."""
    learned = {layer.name: layer.tensors for layer in network.tensors().layers}
    layers = []
    for layer in net.layers:
        new = learned.get(layer.name, ())
        if len(new) == len(layer.tensors):
            pairs = zip(layer.tensors, new, strict=True)
            layer = layer.with_tensors(b if learns(layer, a) else a for a, b in pairs)
        layers.append(layer)
    return net.with_layers(layers, Note("recover", "", "taught by the original"))


def learns(layer: Layer, tensor: Tensor) -> bool:
    """Whether a blob of weights changes: plain ones do, but for statistics."""
    return isinstance(tensor, Dense) and layer.type not in STATISTICS
