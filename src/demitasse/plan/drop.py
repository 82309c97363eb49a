"""The smallest file that loses no more than so much on pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from demitasse.errors import OptionError
from demitasse.net import Net
from demitasse.plan.loss import Judge, Loss
from demitasse.plan.quantization import Attempt, Quantization, stored_size
from demitasse.plan.size import COARSEST, FINEST

__all__ = ["within_loss"]

START: Final = 35.0
STRIDE: Final = 8.0
CLOSE: Final = 0.5
FINER: Final = 1.0
"""Decibels: where the search begins, how far it goes at first, when it is close enough, and how much is added while the
pictures held out disagree."""


def within_loss(work: Quantization, judge: Judge, most: float) -> tuple[Net, list[Attempt], Loss]:
    """The network with the coarsest steps that loses no more than ``most`` (a share); everything tried, the last of
    which it is; and its loss on pictures that were held out.

    The search looks at the other pictures. What it finds is judged by those held out, and made finer until it stands
    there, too. OptionError if no steps are fine enough: it says what is lost at the finest.
    """
    tries: list[Attempt] = []
    best: Try | None = None
    good, bad, at = None, None, START
    while best is None or bad is None or best.quality - bad > CLOSE:
        one = tried(work, judge, at)
        tries.append(one.attempt)
        if one.seen.share <= most:
            good, best = at, one
            if at <= COARSEST:
                break
        elif at >= FINEST:
            raise OptionError(refusal(most, one.seen))
        else:
            bad = at
        at = following(good, bad)
    while best.held.share > most:
        if best.quality >= FINEST:
            raise OptionError(refusal(most, best.held))
        best = tried(work, judge, min(FINEST, best.quality + FINER))
        tries.append(best.attempt)
    return best.net, [*(one for one in tries if one is not best.attempt), best.attempt], best.held


def refusal(most: float, loss: Loss) -> str:
    """What to say of a drop that cannot be held."""
    return f"a drop of {100 * most:g} % cannot be held: even at {FINEST:g} dB of signal to noise there is {loss}"


def following(good: float | None, bad: float | None) -> float:
    """The next quality to try: beyond what is known, farther each time, then halfway."""
    if bad is None:
        return max(COARSEST, START - 2 * (START - good) - STRIDE) if good is not None else START
    if good is None:
        return min(FINEST, START + 2 * (bad - START) + STRIDE)
    return (good + bad) / 2


@dataclass(frozen=True, slots=True)
class Try:
    """The network at a quality, and what it loses on both parts of the pictures."""

    quality: float
    net: Net
    attempt: Attempt
    seen: Loss
    held: Loss


def tried(work: Quantization, judge: Judge, quality: float) -> Try:
    """Make it, and run it."""
    net, attempt = work.at(work.division.slope(quality))
    seen, held = judge.losses(net)
    return Try(quality, net, replace(attempt, nbytes=stored_size(net), lost=seen.share), seen, held)
