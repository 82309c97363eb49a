"""What a plan is for: a quality, a size, a loss on pictures, a speed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from demitasse.errors import OptionError

__all__ = ["Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One of ``quality`` (decibels of signal to noise at the outputs), ``nbytes`` (of the .demi, at most) and ``drop``
    (share that may be lost on pictures, see `demitasse.plan.loss`); and ``speedup`` (times fewer multiplications)
    beside any of them.

    OptionError for two at once, and for what is no such number.
    """

    quality: float | None = None
    nbytes: int | None = None
    drop: float | None = None
    speedup: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("quality", "nbytes", "drop") if getattr(self, name) is not None]
        if len(given) > 1:
            raise OptionError(f"{' and '.join(given)} are targets of their own: give one")
        if self.quality is not None and not math.isfinite(self.quality):
            raise OptionError(f"quality is a number of decibels, and is {self.quality}")
        if self.nbytes is not None and self.nbytes < 1:
            raise OptionError(f"a file has at least 1 byte, and {self.nbytes} are wanted")
        if self.drop is not None and not 0 <= self.drop < 1:
            raise OptionError(f"a drop is a share from 0 to 1, and is {self.drop}")
        if self.speedup is not None and not 1 <= self.speedup < math.inf:
            raise OptionError(f"a speedup is 1 or more, and is {self.speedup}")
