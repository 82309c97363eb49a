"""What becomes of a network's shape before it is quantised: what the outputs do not depend on leaves, exactly, and
channels and ranks by choice where a speed is wanted.

How many multiplications pruning saves and how many low rank does is tried at several divisions between the two, and the
one with the least error at the outputs is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from demitasse.errors import DemitasseError, NetError, OptionError
from demitasse.layers import build, infer
from demitasse.net import Net, Note
from demitasse.transforms.factorize import Factorize
from demitasse.transforms.prune import Prune
from demitasse.transforms.shrink import Shrink
from demitasse.transforms.transform import Transform, kept, supply

__all__ = ["Structure", "faster", "multiplications", "smaller"]

DIVISIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Parts of the saving, on a logarithmic scale, that are pruning's; the rest is low rank's."""

SLOWER: Final = 0.85
"""What a speed that cannot be had is multiplied by, until one is found that can."""

LOWEST: Final = 1.05

Measure = Callable[[Net], float]
"""Relative error of the outputs of a network."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The transforms that were chosen, the network after them, its relative error at the outputs (None: not measured),
    and notes on what was tried and refused."""

    steps: tuple[Transform, ...]
    net: Net
    error: float | None = 0.0
    refused: tuple[Note, ...] = ()


def smaller(net: Net) -> Structure:
    """Without what the outputs do not depend on; the network itself where that is nothing, or cannot be told."""
    try:
        found = Shrink()(net)
    except DemitasseError as error:
        return Structure((), net, refused=(kept("shrink", "", f"nothing is removed: {error}"),))
    if found.parameters < net.parameters:
        return Structure((Shrink(),), found)
    return Structure((), net)


def multiplications(net: Net) -> int:
    """Of a pass. OptionError if they are not known."""
    try:
        total = infer(build(net), strict=False).total_macs
    except NetError:
        total = None
    if not total:
        raise OptionError("a speedup needs to know the multiply-accumulates, and the prototxt does not say enough")
    return total


def faster(net: Net, speedup: float, measure: Measure | None, supplied: Mapping[str, Any]) -> Structure:
    """With so many times fewer multiplications, by pruning and low rank. ``measure``: chooses among the ways there are;
    without it the first one that is possible is taken. ``supplied``: activations for the transforms.

    OptionError if there is no way: it names the most that can be had.
    """
    total = multiplications(net)
    ways, refused = [], list[Note]()
    for share in DIVISIONS:
        try:
            steps, found = way(net, total / speedup, speedup**-share, supplied)
        except (NetError, OptionError) as error:
            refused.append(kept("speedup", "", f"{said(share)}: {error}", division=share))
            continue
        error_there = measure(found) if measure is not None else None
        ways.append((share, steps, found, error_there))
        if measure is None:
            break
    if not ways:
        raise OptionError(beyond(net, total, speedup, supplied))
    best = min(ways, key=lambda one: one[3] or 0.0)
    for share, _, _, lost in ways:
        if share != best[0]:
            text = f"{said(share)}: the relative error would be {lost:.3g}, and not {best[3]:.3g}"
            refused.append(kept("speedup", "", text, division=share, error=lost))
    return Structure(best[1], best[2], best[3], tuple(refused))


def way(net: Net, budget: float, share: float, supplied: Mapping[str, Any]) -> tuple[tuple[Transform, ...], Net]:
    """Pruned to that share of the multiplications, and of low rank as far as is still needed."""
    steps: list[Transform] = []
    found = net
    if share < 1:
        steps.append(Prune(macs=rounded(share)))
        found = supply(steps[0], **supplied)(net)
    left = multiplications(found)
    if left > budget:
        steps.append(Factorize(macs=rounded(budget / left)))
        found = supply(steps[-1], **supplied)(found)
    if multiplications(found) > budget:
        raise OptionError(f"{multiplications(found):,} multiplications are left, and {budget:,.0f} wanted")
    return tuple(steps), found


def rounded(share: float) -> float:
    """A share as a recipe shows it, not above what it was."""
    return int(share * 1e6) / 1e6


def said(share: float) -> str:
    """A division in words."""
    if share in (0.0, 1.0):
        return "pruning alone" if share else "low rank alone"
    return f"pruning for {100 * share:.0f} % of it, low rank for the rest"


def beyond(net: Net, total: int, speedup: float, supplied: Mapping[str, Any]) -> str:
    """What to say of a speed that cannot be had."""
    for slower in speeds(speedup):
        for share in (1.0, 0.5, 0.0):
            try:
                _, found = way(net, total / slower, slower**-share, supplied)
            except (NetError, OptionError):
                continue
            most = total / multiplications(found)
            return f"{speedup:g} times fewer multiplications cannot be had: the most that was reached is {most:.2f}"
    return f"{speedup:g} times fewer multiplications cannot be had: nothing can be pruned or factorized"


def speeds(speedup: float) -> Iterator[float]:
    """Slower and slower."""
    at = speedup * SLOWER
    while at > LOWEST:
        yield at
        at *= SLOWER
