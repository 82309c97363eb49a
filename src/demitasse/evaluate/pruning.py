"""How much the outputs suffer when one layer loses channels: layer by layer, share by share, before any repair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.evaluate.activations import DEFAULT, contributions_on_pictures, on_pictures
from demitasse.evaluate.models import Subject
from demitasse.evaluate.probes import probes
from demitasse.evaluate.runtimes import Execution, Executor
from demitasse.evaluate.shown import Shown, fed
from demitasse.layers.ties import Ties, tie
from demitasse.net import Net
from demitasse.runtime import require_torch
from demitasse.transforms.prune.criteria import ON_PICTURES, Criterion, scores
from demitasse.transforms.prune.selection import Family, families, kept_units, macs, parameters, to_share
from demitasse.transforms.removal import removed

__all__ = ["SHARES", "Point", "Sensitivity", "sensitivities"]

SHARES = (0.75, 0.5, 0.25)
"""Shares of a layer's channels that are left, unless others are asked for."""

Results = Sequence[dict[str, npt.NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Point:
    """``keep``: the share of channels asked for, ``channels`` how many that are; ``error``: length of the outputs'
    difference over their length (relative L2), where decisions are made from; ``macs``, ``params``: shares of the whole
    network's that are left (``None``: not known)."""

    keep: float
    channels: int
    error: float
    macs: float | None
    params: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Of a layer, or of several whose channels are tied. ``channels``: that may leave, of each of them."""

    layers: tuple[str, ...]
    channels: int
    points: tuple[Point, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def sensitivities(
    net: Net,
    shown: Shown,
    *,
    criterion: Criterion = "l2",
    shares: Sequence[float] = SHARES,
    execution: Execution = DEFAULT,
    progress: Callable[[int, int], None] | None = None,
) -> list[Sensitivity]:
    """For each layer that can lose channels, the outputs' error with each share of them.

    NetError for a network that cannot be run, OptionError for a criterion that needs photographs and has none,
    MissingExtraError without torch.
    """
    require_torch("measuring sensitivity")
    ties = tie(net)
    pictures = criterion in ON_PICTURES and shown.folder is not None
    activations = on_pictures(shown, execution) if pictures else None
    gradients = contributions_on_pictures(shown, execution) if pictures else None
    found = families(ties, scores(ties, criterion, activations, gradients), None)
    subject = Subject(net)
    feeds = fed(shown, net, subject.inputs).feeds
    wanted = [probe.layer for probe in probes(subject.graph.layers) if probe.kind == "values"]
    program = Executor(execution)
    before = program.run(subject, feeds, wanted)
    out: list[Sensitivity] = []
    for number, family in enumerate(found):
        points = []
        for share in shares:
            kept = kept_units(ties, to_share([family], lambda _, share=share: share, 1))  # type: ignore[misc]
            after = program.run(Subject(net.with_layers(removed(ties, kept))), feeds, wanted)
            points.append(point(ties, family, kept, share, relative(before, after)))
        names = tuple(net.layers[position].name for position in family.layers)
        out.append(Sensitivity(names, len(family.bundles) * family.channels, tuple(points)))
        if progress is not None:
            progress(number + 1, len(found))
    return out


def point(ties: Ties, family: Family, kept: npt.NDArray[np.bool_], share: float, error: float) -> Point:
    """One row of the table."""
    every = np.ones(ties.count, np.bool_)
    cost = parameters(ties)
    left = sum(bool(kept[groups[0]]) for groups in family.bundles) * family.channels
    try:
        work = macs(ties)
        multiplications = work(kept) / work(every)
    except NetError:
        multiplications = None
    return Point(share, left, error, multiplications, cost(kept) / cost(every))


def relative(before: Results, after: Results) -> float:
    """Length of the difference over length of the original, over all pictures and outputs."""
    signal = noise = 0.0
    for first, second in zip(before, after, strict=True):
        for name, values in first.items():
            other = second.get(name)
            if other is None or other.shape != values.shape:
                raise NetError(f'"{name}" has another form without the channels')
            signal += float(np.vdot(values, values))
            noise += float(np.vdot(values - other, values - other))
    return (noise / signal) ** 0.5 if signal > 0 else float("inf") if noise else 0.0
