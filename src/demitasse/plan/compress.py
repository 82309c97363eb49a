"""What to do to a network so that it becomes small.

    smaller = compress(load("deploy.prototxt", "face.caffemodel"))

Pictures go through the network, and tell how much its outputs suffer from an error of each weight: unlabelled images of
what it is for (``images``), or, as no data is needed, generated ones with the statistics of photographs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from demitasse.errors import NetError
from demitasse.evaluate.activations import on_pictures
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.shown import Shown
from demitasse.net import Net, Note
from demitasse.plan.calibration import sensitivity
from demitasse.plan.curve import around
from demitasse.plan.drop import within_loss
from demitasse.plan.loss import Judge
from demitasse.plan.quality import at_quality
from demitasse.plan.quantization import Attempt, Quantization, stored_size
from demitasse.plan.result import Plan, tensor_plans
from demitasse.plan.size import within_bytes
from demitasse.plan.structure import Measure, Structure, faster, multiplications, smaller
from demitasse.plan.target import Target
from demitasse.runtime import have_torch
from demitasse.transforms.allocation import Allocation
from demitasse.transforms.quantize import Progress, Quantize
from demitasse.transforms.sensitivity import Sensitivity
from demitasse.transforms.transform import Activations

__all__ = ["QUALITY", "compress", "planned"]

QUALITY: Final = 44.0
"""Decibels of signal to noise at the outputs, by default, as measured on generated pictures."""


def compress(
    net: Net,
    quality: float | None = None,
    *,
    nbytes: int | None = None,
    drop: float | None = None,
    speedup: float | None = None,
    images: Shown | str | os.PathLike[str] | None = None,
    allocation: Allocation = "sensitivity",
    threads: int = 1,
    progress: Progress | None = None,
) -> Net:
    """The network with quantised weights, ready to be stored small. Notes in its report say what was done.

    One of ``quality``: signal to noise at the outputs in dB (default `QUALITY`); ``nbytes``: of the .demi, at most;
    ``drop``: share that may be lost on pictures (`demitasse.plan.loss`), those in the folder ``images`` or generated
    ones; what errors cost is learnt from such images, too, whatever the target. ``speedup``: times fewer
    multiplications, first. ``allocation``: "uniform" for one absolute step for the whole network. ``progress`` is told
    how many weights are done, and of how many. The same network, options and images give the same result on every
    machine, whatever ``threads``. OptionError for a target that cannot be reached.
    """
    target = Target(quality, nbytes, drop, speedup)
    shown = images if isinstance(images, Shown) else Shown(None if images is None else Path(images))
    return planned(net, target, shown=shown, allocation=allocation, threads=threads, progress=progress).net


def planned(
    net: Net,
    target: Target,
    *,
    shown: Shown | None = None,
    keep_structure: bool = False,
    curve: bool = False,
    allocation: Allocation = "sensitivity",
    threads: int = 1,
    progress: Progress | None = None,
) -> Plan:
    """The plan for a target, carried out. ``keep_structure``: nothing is removed, even if the outputs do not depend on
    it. ``curve``: predict what other targets would have come to. Other options and errors as in `compress`."""
    shown = shown or Shown()
    structure = Structure((), net) if keep_structure else smaller(net)
    if target.speedup is not None:
        structure = sped_up(net, structure, target.speedup, shown, threads)
    known, notes = Sensitivity(), list(structure.refused)
    try:
        known = sensitivity(structure.net, shown, held_out=target.drop is not None)
    except NetError as error:
        notes.append(Note("quantize", "", f"sensitivities are not known, all weights count alike: {error}"))
    work = Quantization(structure.net, known, allocation, threads, progress)
    loss = None
    if target.nbytes is not None:
        found, attempts = within_bytes(work, target.nbytes)
    elif target.drop is not None:
        found, attempts, loss = within_loss(work, Judge.of(net, shown, threads), target.drop)
    else:
        found, attempts = at_quality(work, QUALITY if target.quality is None else target.quality)
    slope = attempts[-1].slope
    recipe = (*structure.steps, Quantize(steps=work.division.steps(slope), allocation=allocation))
    tensors = tensor_plans(work, found, slope)
    others: tuple[Attempt, ...] = ()
    if curve:
        attempts[-1] = replace(attempts[-1], nbytes=attempts[-1].nbytes or stored_size(found))
        others = around(work, attempts[-1])
    return Plan(recipe, found.noting(*notes), structure.net, tensors, tuple(attempts), loss, structure.error, others)


def sped_up(net: Net, structure: Structure, speedup: float, shown: Shown, threads: int) -> Structure:
    """What is left to be saved after what costs nothing, saved."""
    left = speedup * multiplications(structure.net) / multiplications(net)
    if left <= 1:
        return structure
    measure: Measure | None
    try:
        measure = Judge.of(net, shown, threads).error
    except NetError:
        measure = None
    found = faster(structure.net, left, measure, on_pictures_for(shown))
    return replace(found, steps=(*structure.steps, *found.steps), refused=(*structure.refused, *found.refused))


def on_pictures_for(shown: Shown) -> Mapping[str, Activations]:
    """Activations for transforms, on the pictures given or generated ones; on one thread, since sums depend on it."""
    if not have_torch():
        return {}
    return {"activations" if shown.folder is not None else "generated": on_pictures(shown, Execution(threads=1))}
