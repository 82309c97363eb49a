"""``demitasse train``: a Caffe solver file, run on PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO

import click
import numpy as np

from demitasse import files
from demitasse.cli.options import Bytes, Real, debugging, device, json_output, quiet, seed, threads, worker_threads
from demitasse.cli.shaping import Wishes, shaping
from demitasse.cli.terminal import Terminal
from demitasse.cli.watch import Curves, Watch
from demitasse.errors import FileError, OptionError, VerificationError
from demitasse.evaluate.weights import identical
from demitasse.net import Net
from demitasse.report.quantities import count, ratio, size
from demitasse.runtime import require_torch
from demitasse.transforms.strip import Strip

if TYPE_CHECKING:
    from demitasse.train.rate import Rate
    from demitasse.train.run import Event, Run
    from demitasse.train.settings import Settings
    from demitasse.train.world import World

__all__ = ["command"]

LATEST = "latest"

Shapes = Mapping[str, tuple[int, ...]]


@click.command("train")
@click.argument("solver", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for snapshots and the log (default: where the solver's snapshot_prefix says).",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Start from these weights, by layer name: .caffemodel, .caffemodel.h5 or .demi.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value=LATEST,
    metavar="[STATE]",
    help="Continue from a .solverstate; from the latest one if none is named.",
)
@shaping
@click.option(
    "--target-size",
    type=Bytes(),
    metavar="SIZE",
    help="Also train for bytes: a .demi of that size (27KB, 5MB) beside the last snapshot.",
)
@click.option(
    "--ratio",
    type=Real(1, min_open=True),
    metavar="R",
    help="The same, as the size of the plain weights over R.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write curves there, for TensorBoard, which has to be installed.",
)
@click.option("--iterations", type=click.IntRange(1), metavar="N", help="Train for N iterations, not to max_iter.")
@device
@seed
@json_output
@threads
@quiet
@debugging
def command(**options: Any) -> int:
    """Train a network as Caffe would, from its solver file.

    Data layers are read as they stand (LMDB, LevelDB, lists of pictures, HDF5). Snapshots are Caffe's own: weights and
    a solverstate. Ctrl-C ends after the iteration at hand, with a snapshot; --resume continues to the same weights as
    a run that was never interrupted. Losses and accuracies are appended to PREFIX_log.jsonl, a JSON object a line.

    What makes the network smaller meanwhile is said by options, or in more detail by a recipe. Where weights get few
    values (--clusters, --bits, --target-size), a .demi is written beside the last snapshot, which has them exactly.

    With torchrun (torchrun --nproc-per-node=2 -m demitasse train …) each process takes its part of every batch.
    """
    return Request(**options)()


@dataclass(slots=True)
class Request:
    """The options, by name."""

    solver: Path
    output: Path | None
    weights: tuple[Path, ...]
    resume: str | None
    wishes: Wishes
    target_size: int | None
    ratio: float | None
    tensorboard: Path | None
    iterations: int | None
    device: str
    seed: int
    as_json: bool
    threads: int | None
    quiet: bool
    events: list[Event] = field(default_factory=list)

    def __call__(self) -> int:
        """Do it. The exit status."""
        require_torch("training")
        from demitasse.runtime.threads import threads
        from demitasse.train.settings import read_solver
        from demitasse.train.world import joined

        if self.resume and self.weights:
            raise OptionError("--resume continues with the snapshot's own weights: leave --weights out")
        settings = read_solver(self.solver)
        if self.iterations is None and settings.max_iter < 1:
            raise OptionError(f"{self.solver}: has no max_iter: say how long with --iterations N")
        with threads(worker_threads(self.threads)), joined(self.device) as world:
            return self.train(settings, world)

    def train(self, settings: Settings, world: World) -> int:
        """The run itself."""
        from demitasse.train.run import Run

        terminal = Terminal(self.quiet or world.rank > 0, self.as_json and not world.rank)
        prefix = self.prefix(settings)
        state = self.state(prefix) if self.resume else None  # before a folder is made for snapshots
        started = self.started()
        shapings = [*self.wishes(), *self.rates(settings)]
        curves = None if self.tensorboard is None or world.rank else Curves(self.tensorboard)
        run = Run.of(
            settings, prefix, weights=started, device=self.device, seed=self.seed, world=world, shapings=shapings
        )
        if state is not None:
            run.resume(state)
            terminal.step("resumed", f"at iteration {run.solver.iteration}")
        parameters = sum(parameter.values.numel() for parameter in run.solver.learned)
        terminal.step("read", f"{settings.net.name or self.solver} · {count(parameters)} parameters · {settings.type}")
        with run.stopping_on_interrupt(), terminal.progress("train") as progress, self.log(prefix, world) as log:
            run.report = Watch(terminal, settings, progress, log, self.events, self.last(run, settings), curves)
            net = run(self.iterations)
        shapes = run.feed.shapes
        found: dict[str, Any] = {}
        if run.solver.shapings and not world.rank:
            found = {"density": density(net)}
            terminal.step("weights", f"{100 * found['density']:.3g} % are not zero")
        if any(one.coded for one in run.solver.shapings) and not world.rank:
            found |= self.stored(net, shapes, prefix, terminal)
        terminal.result({"command": "train", "solver": self.solver, "prefix": prefix, "events": self.events, **found})
        if run.stop.is_set():
            again = f"demitasse train {self.solver} --resume"
            terminal.note(f"interrupted after {run.solver.iteration} iterations; `{again}` continues")
            return 130
        return 0

    @property
    def wants_bytes(self) -> bool:
        """Whether a size is asked for."""
        return self.target_size is not None or self.ratio is not None

    def rates(self, settings: Settings) -> list[Rate]:
        """Training for bytes, if a size is asked for: what is left of it once everything but weights is stored."""
        from demitasse.train.rate import Rate

        if not self.wants_bytes:
            return []
        if self.target_size is not None and self.ratio is not None:
            raise OptionError("--target-size and --ratio are two ways to say the same: give one")
        if self.iterations is not None:
            raise OptionError("--target-size needs to know how long the whole run is: set max_iter, not --iterations")
        from demitasse.layers import build, infer
        from demitasse.train.sources import Feed

        graph = build(settings.net, "TRAIN", settings.state.level, settings.state.stages)
        shapes = Feed(graph, settings.folder).shapes
        plain = 4 * (infer(graph, shapes).parameter_count or 0)
        wanted = self.target_size if self.target_size is not None else round(plain / (self.ratio or 1))
        with TemporaryDirectory(prefix="demitasse-") as folder:
            empty = Path(folder) / "empty.demi"
            files.save_container(deployed(settings.net, shapes), empty)
            rest = empty.stat().st_size
        if wanted <= rest:
            raise OptionError(f"{wanted} bytes are too few: without any weights the file has {rest} already")
        return [Rate(wanted - rest)]

    def stored(self, net: Net, shapes: Shapes, prefix: Path, terminal: Terminal) -> dict[str, Any]:
        """The trained network as a .demi, without what died in it, read again."""
        from demitasse.train.rate import GRID
        from demitasse.train.settled import settled

        path = Path(f"{prefix}.demi")
        whole = deployed(net, shapes)
        small = settled(whole, GRID)
        files.save_container(small, path)
        if not identical(small, files.load(path)):
            raise VerificationError(f"{path}: other weights were read than were written")
        nbytes = path.stat().st_size
        times = 4 * whole.parameters / nbytes
        terminal.step("stored", f"{path} · {size(nbytes)} · {ratio(times, 1)} smaller than its plain weights")
        return {"demi": path, "bytes": nbytes, "ratio": times}

    def last(self, run: Run, settings: Settings) -> int:
        """The iteration at which the run ends."""
        return settings.max_iter if self.iterations is None else run.solver.iteration + self.iterations

    def prefix(self, settings: Settings) -> Path:
        """What the names of snapshots begin with."""
        given = Path(settings.snapshot_prefix or self.solver.stem)
        return self.output / given.name if self.output is not None else given

    def state(self, prefix: Path) -> Path:
        """The solverstate to continue from."""
        from demitasse.train.run import latest_state

        return latest_state(prefix) if self.resume == LATEST else Path(str(self.resume))

    def started(self) -> Net | None:
        """The weights to start from; of several files the later ones win."""
        from demitasse.train.run import weights_of

        layers = [
            layer
            for path in self.weights
            for layer in weight_layers(path, files.load(path) if files.content(path) == "demi" else weights_of(path))
        ]
        return Net("", tuple({layer.name: layer for layer in layers}.values())) if layers else None

    @contextmanager
    def log(self, prefix: Path, world: World) -> Iterator[TextIO | None]:
        """The file of events, appended to."""
        if world.rank:
            yield None
            return
        path = Path(f"{prefix}_log.jsonl")
        try:
            with path.open("a", encoding="utf-8") as out:
                yield out
        except OSError as error:
            raise FileError(f"{path}: cannot be written: {error.strerror}") from None


def density(net: Net) -> float:
    """The share of weights, biases apart, that are not zero."""
    matrices = [one.array() for layer in net.layers for one in layer.tensors if len(one.shape) > 1]
    return sum(np.count_nonzero(one) for one in matrices) / max(1, sum(one.size for one in matrices))


def deployed(net: Net, shapes: Shapes) -> Net:
    """The network that is used, without what only training needs; inputs are one of what was trained on."""
    outputs = {name for layer in net.layers if not layer.inputs for name in layer.outputs}
    pictures = {name: (1, *shape[1:]) for name, shape in shapes.items() if name in outputs and len(shape) > 1}
    return Strip(inputs=pictures)(net)


def weight_layers(path: Path, net: Net) -> tuple[Any, ...]:
    """The layers of a file of weights that hold any. FileError if none does."""
    layers = tuple(layer for layer in net.layers if layer.tensors)
    if not layers:
        raise FileError(f"{path}: holds no weights")
    return layers
