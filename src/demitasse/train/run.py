"""A whole run of a solver, in Caffe's order of events: test, train, display, save; interrupted and continued anywhere.

What happens is told as events, plain dicts with an ``event`` and an ``iteration``: "train" (loss, lr), "test" (which,
outputs by name), "snapshot" (files), with ``debug_info`` "debug" (mean magnitude of each blob of weights before the
update, and of its gradient), and "done".
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from demitasse.atomic import replacing
from demitasse.caffe.read import read_binary
from demitasse.caffe.write import write_caffemodel
from demitasse.errors import FileError, OptionError
from demitasse.layers import build
from demitasse.net import Dense, Layer, Net
from demitasse.train.settings import Settings
from demitasse.train.shaping import Shaping, State
from demitasse.train.snapshots import is_hdf5, read_state, read_weights_hdf5, write_state, write_weights_hdf5
from demitasse.train.solver import Solver
from demitasse.train.sources import Feed
from demitasse.train.world import World

__all__ = ["Event", "Run", "latest_state", "weights_of"]

Event = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Run:
    """A solver with its data. ``prefix``: of the files that are written. ``report`` is told every event.

    ``stop``: set it to end after the iteration at hand, with a snapshot.
    """

    solver: Solver
    feed: Feed
    tests: tuple[Feed, ...]
    prefix: Path
    report: Callable[[Event], None] = lambda event: None
    world: World = field(default_factory=World)
    stop: threading.Event = field(default_factory=threading.Event)
    saved: int = -1
    """The iteration of the last snapshot."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        prefix: Path,
        *,
        weights: Net | None = None,
        device: str = "cpu",
        seed: int = 0,
        world: World | None = None,
        shapings: Sequence[Shaping] = (),
        report: Callable[[Event], None] = lambda event: None,
    ) -> Run:
        """A run of a solver from its beginning, with everything that its data layers read opened."""
        world = world or World()
        graph = build(settings.net, "TRAIN", settings.state.level, settings.state.stages)
        feed = Feed(graph, settings.folder, seed)
        shapes = {name: world.share(shape) for name, shape in feed.shapes.items()}
        solver = Solver(settings, shapes, weights=weights, device=device, seed=seed, world=world, shapings=shapings)
        tests = tuple(
            Feed(build(test.net, "TEST", test.state.level, test.state.stages), settings.folder, seed)
            for test in settings.tests
        )
        check_prefix(prefix)
        return cls(solver, feed, tests, prefix, report, world)

    def __call__(self, iterations: int | None = None) -> Net:
        """Train up to ``max_iter``, or for so many iterations; the network in the end.

        After `stop`, or an error in writing, everything up to the last snapshot is kept. FileError if one cannot be
        written."""
        settings = self.solver.settings
        end = settings.max_iter if iterations is None else self.solver.iteration + iterations
        recent: deque[float] = deque(maxlen=settings.average_loss)
        try:
            while self.solver.iteration < end and not self.stop.is_set():
                iteration = self.solver.iteration
                if self.test_is_due(iteration):
                    self.test()
                losses = self.solver.step(self.batches)
                recent.append(self.world.mean(sum(losses) / len(losses)))
                self.told(iteration, recent[-1], sum(recent) / len(recent))
                if settings.snapshot and self.solver.iteration % settings.snapshot == 0:
                    self.snapshot()
            return self.finished(end)
        finally:
            for feed in (self.feed, *self.tests):
                feed.close()

    def finished(self, end: int) -> Net:
        """What Caffe does last: a snapshot, unless there just was one, and a test."""
        settings = self.solver.settings
        if self.saved != self.solver.iteration and (settings.snapshot_after_train or self.stop.is_set()):
            self.snapshot()
        if self.solver.iteration >= end and settings.test_interval and end % settings.test_interval == 0:
            self.test()
        self.report({"event": "done", "iteration": self.solver.iteration, "stopped": self.stop.is_set()})
        return self.solver.net()

    def batches(self, number: int) -> dict[str, npt.NDArray[np.float32]]:
        """What this process trains on of a batch."""
        return {name: self.world.part(name, values) for name, values in self.feed(number).items()}

    def told(self, iteration: int, loss: float, smoothed: float) -> None:
        """Report an iteration; FileError if it makes no sense to go on."""
        if not np.isfinite(loss):
            raise OptionError(
                f"the loss is {loss} in iteration {iteration}: training has diverged; try a lower base_lr, or "
                "clip_gradients"
            )
        rate = self.solver.last_rate
        self.report({"event": "train", "iteration": iteration, "loss": loss, "smoothed": smoothed, "lr": rate})
        if self.solver.settings.debug_info:
            self.report({"event": "debug", "iteration": iteration, "magnitudes": self.solver.magnitudes})

    def test_is_due(self, iteration: int) -> bool:
        """Whether Caffe tests before this iteration."""
        settings = self.solver.settings
        if not settings.test_interval or iteration % settings.test_interval:
            return False
        return iteration > 0 or settings.test_initialization

    def test(self) -> None:
        """All test nets. Each reads on where its last test stopped."""
        settings = self.solver.settings
        done = self.solver.iteration // settings.test_interval - (0 if settings.test_initialization else 1)
        for which, feed in enumerate(self.tests):
            found = self.solver.test(which, feed, first=done * settings.tests[which].iterations)
            outputs = {name: values.tolist() for name, values in found.items() if values.size <= LISTED}
            self.report({"event": "test", "iteration": self.solver.iteration, "which": which, "outputs": outputs})

    def snapshot(self) -> None:
        """Weights and state, as Caffe names them; of several processes the first one writes."""
        settings = self.solver.settings
        self.saved = self.solver.iteration
        if self.world.rank:
            return
        hdf5 = ".h5" if settings.snapshot_format == "HDF5" else ""
        stem = f"{self.prefix}_iter_{self.solver.iteration}"
        model, state = Path(f"{stem}.caffemodel{hdf5}"), Path(f"{stem}.solverstate{hdf5}")
        net = self.solver.net()
        if hdf5:
            write_weights_hdf5(model, net)
        else:
            with replacing(model) as file:
                write_caffemodel(net, file)
        kept = self.solver.shaping_state()
        if kept:
            with replacing(shaping_path(state)) as file:
                np.savez_compressed(file, **dict(kept))  # type: ignore[arg-type]
        write_state(state, self.solver.state(str(model)))
        self.report({"event": "snapshot", "iteration": self.solver.iteration, "files": [str(model), str(state)]})

    def resume(self, path: Path) -> None:
        """Continue from a solverstate, with the weights that it names, or those beside it."""
        state = read_state(path)
        named = Path(state.learned_net)
        beside = path.parent / named.name
        model = beside if beside.exists() else named
        if not state.learned_net or not model.exists():
            raise FileError(f"{path}: its weights {named.name or '(none named)'} are not there")
        self.solver.restore(state, weights_of(model))
        self.solver.restore_shaping(shaping_of(path))
        self.saved = self.solver.iteration

    @contextmanager
    def stopping_on_interrupt(self) -> Iterator[None]:
        """The first Ctrl-C ends the run after the iteration at hand, a second one at once."""

        def asked(number: int, frame: FrameType | None) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self.stop.set()

        try:
            before = signal.signal(signal.SIGINT, asked)
        except ValueError:  # Not the main thread: whoever runs us there handles signals.
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


LISTED = 1000
"""Values of an output that are told at most: losses and accuracies are, maps of features are not."""


def shaping_path(state: Path) -> Path:
    """Where what shapes the weights (masks, steps) is kept, beside a solverstate."""
    return state.with_name(state.name.partition(".solverstate")[0] + ".shaping.npz")


def shaping_of(state: Path) -> State:
    """What lies beside a solverstate; nothing if nothing does. FileError if it cannot be read."""
    path = shaping_path(state)
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise FileError(f"{path}: cannot be read: {error}") from None


def weights_of(path: Path) -> Net:
    """The layers of a caffemodel in either of Caffe's forms, by name."""
    if not is_hdf5(path):
        return read_binary(path)
    found = read_weights_hdf5(path)
    return Net("", tuple(Layer(name, "", tensors=tuple(map(Dense, blobs))) for name, blobs in found.items()))


def latest_state(prefix: Path) -> Path:
    """The solverstate of that prefix with the most iterations. FileError if there is none."""
    states: dict[int, Path] = {}
    folder = prefix.parent
    for path in folder.iterdir() if folder.is_dir() else ():
        stem, _, kind = path.name.partition(".")
        number = stem.removeprefix(f"{prefix.name}_iter_")
        if stem != number and number.isdigit() and kind in ("solverstate", "solverstate.h5"):
            states[int(number)] = path
    if not states:
        raise FileError(f"{prefix}_iter_*.solverstate: there is no snapshot to continue from")
    return states[max(states)]


def check_prefix(prefix: Path) -> None:
    """FileError, before anything is trained, if nothing can be written there in the end."""
    try:
        prefix.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{prefix.parent}: cannot be made: {error.strerror}") from None
    if not os.access(prefix.parent, os.W_OK):
        raise FileError(f"{prefix.parent}: cannot be written to: permission denied")
