"""What to do to a network so that it becomes small.

    smaller = compress(load("deploy.prototxt", "face.caffemodel"))

No data is needed: generated pictures with the statistics of photographs go through the network, and tell how much its
outputs suffer from an error of each weight.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from demitasse.errors import NetError
from demitasse.evaluate.shown import Shown
from demitasse.net import Net, Note
from demitasse.plan.calibration import sensitivity
from demitasse.plan.drop import within_loss
from demitasse.plan.loss import Judge
from demitasse.plan.quantization import Quantization
from demitasse.plan.result import Plan, tensor_plans
from demitasse.plan.size import within_bytes
from demitasse.plan.target import Target
from demitasse.transforms.allocation import Allocation
from demitasse.transforms.quantize import Progress, Quantize
from demitasse.transforms.sensitivity import Sensitivity

__all__ = ["QUALITY", "compress", "planned"]

QUALITY: Final = 41.0
"""Decibels of signal to noise at the outputs, by default. On photographs it comes out 3 to 8 dB better than asked for.

At 40 dB the res10 face detector finds the same faces on all photos that were tried, at 38 dB one of 160 moves.
"""


def compress(
    net: Net,
    quality: float | None = None,
    *,
    nbytes: int | None = None,
    drop: float | None = None,
    images: Shown | str | os.PathLike[str] | None = None,
    allocation: Allocation = "sensitivity",
    threads: int = 1,
    progress: Progress | None = None,
) -> Net:
    """The network with quantised weights, ready to be stored small. Notes in its report say what was done.

    ``quality``: signal to noise at the outputs in dB (default `QUALITY`), on photographs about what comes out; or
    ``nbytes``: of the .demi, at most; or ``drop``: share that may be lost on pictures (`demitasse.plan.loss`), those in
    the folder ``images`` or generated ones. ``allocation``: "uniform" for one absolute step for the whole network.
    ``progress`` is told how many weights are done, and of how many. The same network and options give the same result
    on every machine, whatever ``threads``. OptionError for a target that cannot be reached.
    """
    target = Target(quality, nbytes, drop)
    shown = images if isinstance(images, Shown) else Shown(None if images is None else Path(images))
    return planned(net, target, shown=shown, allocation=allocation, threads=threads, progress=progress).net


def planned(
    net: Net,
    target: Target,
    *,
    shown: Shown | None = None,
    allocation: Allocation = "sensitivity",
    threads: int = 1,
    progress: Progress | None = None,
) -> Plan:
    """The plan for a target, carried out. Options and errors as in `compress`."""
    known, notes = Sensitivity(), list[Note]()
    try:
        known = sensitivity(net)
    except NetError as error:
        notes.append(Note("quantize", "", f"sensitivities are not known, all weights count alike: {error}"))
    work = Quantization(net, known, allocation, threads, progress)
    loss = None
    if target.nbytes is not None:
        found, attempts = within_bytes(work, target.nbytes)
    elif target.drop is not None:
        judge = Judge.of(net, shown or Shown(), threads)
        found, attempts, loss = within_loss(work, judge, target.drop)
    else:
        found, attempt = work.at(work.division.slope(QUALITY if target.quality is None else target.quality))
        attempts = [attempt]
    slope = attempts[-1].slope
    quantised = Quantize(steps=work.division.steps(slope), allocation=allocation)
    return Plan((quantised,), found.noting(*notes), net, tensor_plans(work, found, slope), tuple(attempts), loss)
