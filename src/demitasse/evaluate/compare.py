"""Two networks side by side: the weights, and the outputs that another implementation gives for them.

    compare(original, smaller, images="photos/").worst

Networks run in OpenCV, or, where it cannot run them and torch is installed, in our own executor; an ``.onnx`` runs in
ONNX Runtime. The comparison says which it was. What nothing can run is not compared, and the comparison says so.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from demitasse.errors import MissingExtraError, NetError
from demitasse.evaluate.anchors import AnchorHead
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.models import Model, OnnxFile, Subject, model
from demitasse.evaluate.preprocessing import Stated, remembered
from demitasse.evaluate.runtimes import Execution, runtimes_for
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.trial import Trial, run_original, trial
from demitasse.evaluate.weights import WeightError, weight_errors
from demitasse.net import Net
from demitasse.runtime.opencv import have_opencv

__all__ = ["OnnxFile", "Shown", "Subject", "compare", "compare_and_keep", "runs"]

NO_OPENCV = "OpenCV is not installed: pip install 'demitasse[opencv]'"


def compare(
    original: Net | Model | str | os.PathLike[str],
    candidate: Net | Model | str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | Shown | None = None,
    run: bool = True,
    threads: int = 0,
    timeout: float = 600.0,
    execution: Execution | None = None,
) -> Comparison:
    """Compare weights, and outputs on pictures: of a folder, or generated if ``images`` is ``None``.

    A network, or the name of an ``.onnx``. ``run``: outputs, too. ``threads``: 0 for each program's own choice.
    ``timeout``: seconds for each network in OpenCV. ``execution`` takes the place of both, and has more to say.
    FileError for pictures that cannot be read, OptionError for a mean that does not fit, VerificationError if what
    runs the original does not run the candidate. Networks that nothing can run, that take different
    inputs or have no output in common are no error: ``skipped`` says so.
    """
    shown = images if isinstance(images, Shown) else Shown(None if images is None else Path(images))
    how = execution if execution is not None else Execution(threads, timeout)
    found, _ = compare_and_keep(model(original), model(candidate), shown if run else None, how, strict=True)
    return found


def compare_and_keep(
    first: Model,
    second: Model,
    shown: Shown | None,
    execution: Execution,
    *,
    strict: bool,
    head: AnchorHead | None = None,
) -> tuple[Comparison, Trial | None]:
    """`compare`, and the outputs themselves. ``shown`` ``None``: weights only. Without ``strict``, what the better
    program cannot run for both, another one does. ``head``: see `trial`."""
    weights: tuple[WeightError, ...] = ()
    unmatched: tuple[str, ...] = ()
    if isinstance(first, Subject) and isinstance(second, Subject):
        weights, unmatched = weight_errors(first.net, second.net)
    found = Comparison(weights, unmatched)
    if shown is None:
        return replace(found, skipped="not asked for"), None
    if broken := [error for error in weights if not math.isfinite(error.signal)]:
        where = f'layer "{broken[0].layer}", blob {broken[0].index}'
        return replace(found, skipped=f"{where} holds weights that are not finite numbers"), None
    try:
        ran = trial(first, second, recalled(shown, first, second), execution, strict=strict, head=head)
    except (NetError, MissingExtraError) as error:
        return replace(found, skipped=str(error)), None
    return replace(
        found,
        outputs=ran.errors(),
        runtime=ran.name,
        pictures=ran.fed.words,
        prepared=ran.fed.prepared,
        independent=ran.independent,
        missing=ran.missing,
        notes=ran.notes,
    ), ran


def recalled(shown: Shown, first: Model, second: Model) -> Shown:
    """With what the second network remembers of preparing pictures, if nobody else says anything."""
    mine, theirs = (remembered(each.net) if isinstance(each, Subject) else Stated() for each in (first, second))
    return replace(shown, stated=shown.stated.over(theirs)) if theirs and not mine else shown


def runs(subject: Model, execution: Execution) -> tuple[str, str]:
    """The first program that runs a network on one generated picture, or nothing; and why better ones do not."""
    reasons: list[str] = [] if have_opencv() or isinstance(subject, OnnxFile) else [NO_OPENCV]
    for program in runtimes_for(subject, execution):
        try:
            run_original(program, subject, Shown(count=1), ())
            return program.name, "; ".join(reasons)
        except NetError as error:
            reasons.append(str(error))
    return "", "; ".join(dict.fromkeys(reasons))
