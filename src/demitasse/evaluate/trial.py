"""Two networks run on the same inputs, each by a program that can, and what they gave at the same places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError, VerificationError
from demitasse.evaluate.anchors import AnchorHead, Anchors, with_usual
from demitasse.evaluate.detectors import Made, SingleShot, detector_of
from demitasse.evaluate.models import Model, OnnxFile, Subject, counterparts
from demitasse.evaluate.outputs import OutputError, boxes_error, output_error
from demitasse.evaluate.probes import Probe, probes
from demitasse.evaluate.runtimes import Execution, Feeds, Results, Runtime, runtimes_for
from demitasse.evaluate.shown import Fed, Shown, fed

__all__ = ["Trial", "complete", "pairs", "run_original", "trial", "translated"]

NO_RUNTIME = (
    "neither OpenCV nor PyTorch is installed: pip install 'demitasse[opencv]' or pip install 'demitasse[torch]'"
)
NO_ONNXRUNTIME = "ONNX Runtime is not installed: pip install 'demitasse[onnx]'"


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What ran, on what, and what came out. ``found`` has the names of the first network; ``notes``: what was tried
    before, and why it did not work. ``missing``: what the second has no counterpart of."""

    runtimes: tuple[Runtime, Runtime]
    fed: Fed
    probes: Sequence[Probe]
    detector: Made | None
    expected: Results
    found: Results
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What ran them."""
        return " and ".join(dict.fromkeys(runtime.name for runtime in self.runtimes))

    @property
    def independent(self) -> bool:
        """Whether something that shares no code with ours took part."""
        return any(runtime.independent for runtime in self.runtimes)

    def errors(self, expected: Results | None = None, found: Results | None = None) -> tuple[OutputError, ...]:
        """One for each place that both gave; or that other runs on the same inputs gave."""
        a, b = self.expected if expected is None else expected, self.found if found is None else found
        return tuple(compared(self.probes, self.detector, self.fed.feeds, a, b))


def trial(
    first: Model,
    second: Model,
    shown: Shown,
    execution: Execution,
    *,
    strict: bool,
    head: AnchorHead | None = None,
) -> Trial:
    """Run both. NetError if nothing can, or they have nothing in common; with ``strict`` VerificationError if what runs
    the first does not run the second. ``head``: which anchors a detector has, if it is not a known one."""
    check_inputs(first, second)
    caffe = first if isinstance(first, Subject) else second if isinstance(second, Subject) else None
    places = probes(caffe.graph.layers) if caffe is not None else plain_probes(first)
    boxes = made_boxes(first, head)
    if isinstance(boxes, Anchors):
        net = first.net if isinstance(first, Subject) else None
        shown = replace(shown, stated=with_usual(shown.stated, net, boxes.head))
    names = counterparts(first, second)
    if isinstance(first, OnnxFile) and caffe is not None:
        back = {theirs: ours for ours, theirs in names.items()}
        places = tuple(Probe(back[p.layer], p.kind, p.axis) for p in places if p.layer in back)
    wanted = list(dict.fromkeys([*(place.layer for place in places), *(boxes.layers if boxes else ())]))
    notes: list[str] = []
    for ours, theirs in pairs(first, second, execution):
        try:
            given, expected = run_original(ours, first, shown, wanted)
        except NetError as error:
            notes.append(str(error))
            continue
        try:
            raw = theirs.run(second, renamed(given.feeds, first, second), [names[n] for n in wanted if n in names])
        except NetError as error:
            if strict:
                raise VerificationError(f"{theirs.name} runs the original and not the result: {error}") from None
            notes.append(str(error))
            continue
        found = translated(raw, names)
        missing = tuple(name for name in expected[0] if name not in found[0])
        if len(missing) == len(expected[0]):
            raise NetError(f"they have no output in common: {', '.join(expected[0])}, and {', '.join(raw[0])}")
        return Trial((ours, theirs), given, places, boxes, expected, found, missing, tuple(notes))
    raise NetError("; ".join(dict.fromkeys(notes)) or missing_runtime(first, second))


def made_boxes(first: Model, head: AnchorHead | None) -> Made | None:
    """How boxes are made from outputs, if they are; anchors that nobody knows are no error where none are asked for."""
    try:
        found = detector_of(first, head)
    except NetError:
        if head is not None:
            raise
        return None
    return None if isinstance(found, SingleShot) else found


def pairs(first: Model, second: Model, execution: Execution) -> Iterator[tuple[Runtime, Runtime]]:
    """What may run the two, best first: the same program for both where they are of one kind."""
    mine, theirs = runtimes_for(first, execution), runtimes_for(second, execution)
    if isinstance(first, OnnxFile) == isinstance(second, OnnxFile):
        yield from zip(mine, theirs, strict=True)
    else:
        yield from ((a, b) for a in mine for b in theirs)


def missing_runtime(first: Model, second: Model) -> str:
    """What to install."""
    onnx = any(isinstance(each, OnnxFile) and not runtimes_for(each, Execution()) for each in (first, second))
    return NO_ONNXRUNTIME if onnx else NO_RUNTIME


def run_original(runtime: Runtime, first: Model, shown: Shown, wanted: Sequence[str]) -> tuple[Fed, Results]:
    """What was fed, and what came out. NetError if it cannot run.

    A batch of one is enough, unless a Reshape has the batch size built in.
    """
    net = first.net if isinstance(first, Subject) else None
    batch = max((shape[0] for shape in first.inputs.values() if len(shape) == 4), default=1)
    given = fed(shown, net, first.inputs)
    try:
        return given, runtime.run(first, given.feeds, wanted)
    except NetError as error:
        if batch == 1 or getattr(error, "stage", "run") != "run" or shown.arrays is not None:
            raise
        given = fed(shown, net, first.inputs, batch)
        return given, runtime.run(first, given.feeds, wanted)


def check_inputs(first: Model, second: Model) -> None:
    """NetError unless both take the same inputs, whatever their batch sizes and (of ONNX) names."""
    ours, theirs = first.inputs, second.inputs
    onnx = isinstance(first, OnnxFile) or isinstance(second, OnnxFile)
    same_names = set(ours) == set(theirs) or (onnx and len(ours) == len(theirs))
    one = [ours[name][1:] for name in ours] if same_names else []
    other = [theirs[name if name in theirs else list(theirs)[i]][1:] for i, name in enumerate(ours)] if one else []
    if not same_names or [len(a) for a in one] != [len(b) for b in other] or not all(map(fits, one, other)):
        raise NetError(f"they take different inputs: {described(ours)}, and {described(theirs)}")


def fits(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether sizes beyond the batch are the same; 1 stands for any size in an ``.onnx``."""
    return all(a == b or 1 in (a, b) for a, b in zip(one, other, strict=True))


def described(inputs: Mapping[str, tuple[int, ...]]) -> str:
    """``data 1×3×24×24``."""
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in inputs.items())


def renamed(feeds: Feeds, first: Model, second: Model) -> Feeds:
    """The same inputs under the names of the second."""
    if set(first.inputs) == set(second.inputs):
        return feeds
    names = dict(zip(first.inputs, second.inputs, strict=True))
    return [{names[name]: values for name, values in feed.items()} for feed in feeds]


def translated(raw: Results, names: Mapping[str, str]) -> Results:
    """What the second gave, under the names of the first."""
    return [{name: run[other] for name, other in names.items() if other in run} for run in raw]


def plain_probes(first: Model) -> tuple[Probe, ...]:
    """Every output of an ``.onnx``, as numbers."""
    return (
        tuple(Probe(name, "values", known=False) for name in first.signature.outputs)
        if isinstance(first, OnnxFile)
        else ()
    )


def compared(
    places: Sequence[Probe], regions: Made | None, feeds: Feeds, expected: Results, found: Results
) -> Iterator[OutputError]:
    """One error for each place that both gave, and for the boxes that are made from several of them."""
    kinds = {place.layer: place for place in places}
    for name in expected[0]:
        place = kinds.get(name, Probe(name, "values"))
        if name in found[0] and place.kind != "regions":
            values = [run[name] for run in expected], [run[name] for run in found]
            yield judged(place, *values)
    if regions is not None and all(complete(regions, runs[0], feeds[0]) for runs in (expected, found)):
        boxes = [
            [regions.boxes(run, feed) for run, feed in zip(runs, feeds, strict=True)] for runs in (expected, found)
        ]
        yield boxes_error(f"{regions.scores}, {regions.regressions}", *boxes)


def judged(place: Probe, expected: list[npt.NDArray[np.float32]], found: list[npt.NDArray[np.float32]]) -> OutputError:
    """One place; of one whose layer is not known, what the numbers look like."""
    kind = place.kind
    if kind == "values" and not place.known and all(map(distribution, expected)):
        kind = "classes"
    return output_error(place.layer, kind, expected, found, place.axis)


def distribution(values: npt.NDArray[np.float32]) -> bool:
    """Whether rows are probabilities."""
    return (
        values.ndim == 2
        and values.shape[1] > 1
        and bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))
    )


def complete(regions: Made, values: Mapping[str, object], feed: Mapping[str, object]) -> bool:
    """Whether everything is there that boxes are made from."""
    return all(name in values or name in feed for name in regions.layers)
