"""Everything that ``demitasse compare`` tells about two networks: their outputs beside each other, each network in our
executor beside an independent program, and the first layer where the two networks part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demitasse.errors import NetError
from demitasse.evaluate.anchors import AnchorHead
from demitasse.evaluate.compare import compare_and_keep
from demitasse.evaluate.comparison import Comparison, output_dict
from demitasse.evaluate.models import Model, OnnxFile, Subject, counterparts
from demitasse.evaluate.outputs import OutputError, output_error
from demitasse.evaluate.runtimes import Execution, Executor, Feeds, Runtime, runtimes_for
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.trial import Trial, renamed, translated
from demitasse.layers import infer
from demitasse.runtime import have_torch

__all__ = ["Check", "Divergence", "SideBySide", "side_by_side"]

Progress = Callable[[int, int], None]

TOGETHER = 1 << 26
"""Numbers of blobs that are held at a time while layers are compared; 256 MiB, of both networks twice that."""


@dataclass(frozen=True, slots=True)
class Check:
    """One network in our executor beside an independent program. ``skipped`` says why not."""

    which: str
    executor: str = ""
    beside: str = ""
    outputs: tuple[OutputError, ...] = ()
    skipped: str = ""

    @property
    def worst(self) -> OutputError | None:
        """The output with the largest relative error."""
        return max((e for e in self.outputs if e.kind == "values"), key=lambda error: error.relative, default=None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "network": self.which,
            "executor": self.executor,
            "beside": self.beside,
            "outputs": [output_dict(error) for error in self.outputs],
            "skipped": self.skipped,
        }


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first layer beyond tolerance, in the order of the first network; ``agreed``: how many before it agreed, the
    last of which is ``after``."""

    layer: str
    type: str
    relative: float
    after: str
    agreed: int


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What was found. ``layers``: every layer that both have, with its error on the first set of inputs; up to the
    first beyond tolerance, unless all were asked for. ``walked``: what ran them for that."""

    comparison: Comparison
    tolerance: float
    checks: tuple[Check, ...] = ()
    layers: tuple[OutputError, ...] = ()
    divergence: Divergence | None = None
    walked: str = ""

    @property
    def beyond(self) -> tuple[str, ...]:
        """Names of outputs that are beyond tolerance, or that the second network does not have."""
        far = [error.name for error in self.comparison.beyond(self.tolerance)]
        return (*far, *self.comparison.missing)

    @property
    def doubtful(self) -> tuple[Check, ...]:
        """Networks for which our executor and the independent program differ by more than the tolerance."""
        return tuple(c for c in self.checks if c.worst is not None and not c.worst.within(self.tolerance))

    @property
    def same(self) -> bool:
        """Whether outputs were compared, and all are within tolerance."""
        return not self.comparison.skipped and not self.beyond and not self.doubtful

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        parted = self.divergence
        return {
            "same": self.same,
            "tolerance": self.tolerance,
            "beyond_tolerance": self.beyond,
            "comparison": self.comparison.as_dict(),
            "checks": [check.as_dict() for check in self.checks],
            "layers": [output_dict(error) for error in self.layers],
            "layers_run_in": self.walked,
            "divergence": parted and {name: getattr(parted, name) for name in parted.__slots__},
        }


def side_by_side(
    first: Model,
    second: Model,
    shown: Shown,
    execution: Execution,
    *,
    tolerance: float,
    every: bool = False,
    head: AnchorHead | None = None,
    progress: Progress | None = None,
) -> SideBySide:
    """Compare two networks as far as they can be compared. Errors as for `compare`; what cannot run is in
    ``comparison.skipped``. ``tolerance``: relative error of an output. ``every``: the errors of all layers, even if the
    outputs agree. ``head``: which anchors a detector has, if it is not a known one."""
    said = progress or (lambda done, total: None)
    said(0, 3)
    comparison, ran = compare_and_keep(first, second, shown, execution, strict=False, head=head)
    if ran is None:
        return SideBySide(comparison, tolerance)
    said(1, 3)
    checks = tuple(cross_checks(first, second, ran, execution))
    said(2, 3)
    found = SideBySide(comparison, tolerance, checks)
    if every or found.beyond:
        found = walked(found, first, second, ran, execution, every)
    said(3, 3)
    return found


def cross_checks(first: Model, second: Model, ran: Trial, execution: Execution) -> Iterator[Check]:
    """Our executor beside the independent program that ran, for each network that it can run."""
    if not have_torch():
        return
    names = counterparts(first, second)
    wanted = list(ran.expected[0])
    sides = (("first", first, ran.runtimes[0]), ("second", second, ran.runtimes[1]))
    executor = Executor(execution)
    for which, subject, beside in sides:
        if not isinstance(subject, Subject) or not beside.independent:
            continue
        try:
            if which == "first":
                own = executor.run(subject, ran.fed.feeds, wanted)
                errors = ran.errors(ran.expected, own)
            else:
                feeds = renamed(ran.fed.feeds, first, second)
                keys = [names[name] for name in wanted if name in names]
                errors = ran.errors(ran.found, translated(executor.run(subject, feeds, keys), names))
        except NetError as error:
            yield Check(which, executor.name, beside.name, skipped=str(error))
            continue
        yield Check(which, executor.name, beside.name, errors)


def walked(found: SideBySide, first: Model, second: Model, ran: Trial, execution: Execution, every: bool) -> SideBySide:
    """With the layers of both networks compared one by one, on the first set of inputs."""
    names = counterparts(first, second)
    feeds = ran.fed.feeds[:1]
    for ours, theirs in walkers(first, second, ran, execution):
        errors: list[OutputError] = []
        parted: Divergence | None = None
        try:
            for error in layer_errors(ours, theirs, (first, second), names, feeds):
                if parted is None and not error.within(found.tolerance):
                    after = errors[-1].name if errors else ""
                    kind = type_of(first, second, error.name)
                    parted = Divergence(error.name, kind, error.relative, after, len(errors))
                errors.append(error)
                if parted is not None and not every:
                    break
        except NetError:
            continue
        programs = " and ".join(dict.fromkeys(runtime.name for runtime in (ours, theirs)))
        return SideBySide(found.comparison, found.tolerance, found.checks, tuple(errors), parted, programs)
    return found


def walkers(first: Model, second: Model, ran: Trial, execution: Execution) -> list[tuple[Runtime, Runtime]]:
    """What may run them layer by layer: our executor rather than OpenCV, which does away with layers."""
    ours, theirs = runtimes_for(first, execution), runtimes_for(second, execution)
    return [*([(ours[-1], theirs[-1])] if ours and theirs else []), ran.runtimes]


def layer_errors(
    ours: Runtime, theirs: Runtime, both: tuple[Model, Model], names: Mapping[str, str], feeds: Feeds
) -> Iterator[OutputError]:
    """The error of every layer that both have and that gives numbers of the same shape, in order."""
    first, second = both
    other = renamed(feeds, first, second)
    for group in groups(list(names), first):
        expected = ours.run(first, feeds, group)[0]
        found = translated(theirs.run(second, other, [names[name] for name in group]), names)[0]
        for name in group:
            if name in expected and name in found and expected[name].shape == found[name].shape:
                yield output_error(name, "values", [expected[name]], [found[name]])


def groups(names: Sequence[str], first: Model) -> Iterator[list[str]]:
    """Names that are run together, such that not too much is held at a time."""
    if isinstance(first, OnnxFile):
        yield list(names)
        return
    graph = first.graph
    shapes = dict(zip((layer.name for layer in graph.layers), infer(graph, strict=False).outputs, strict=True))
    group: list[str] = []
    held = 0
    for name in names:
        size = 1
        for length in (shapes.get(name) or (None,))[0] or ():
            size *= max(1, int(length))
        if group and held + size > TOGETHER:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    yield group


def type_of(first: Model, second: Model, name: str) -> str:
    """Type of the layer of that name; empty for a value of an ``.onnx``."""
    subject = first if isinstance(first, Subject) else second
    if not isinstance(subject, Subject):
        return ""
    return next((layer.type for layer in subject.graph.layers if layer.name == name), "")
