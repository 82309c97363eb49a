"""What a solver file says, with Caffe's defaults and Caffe's refusals (``SolverParameter``, BVLC Caffe 1.0)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demitasse.caffe.read import net_of, parse_net, read_text
from demitasse.caffe.text import parse
from demitasse.caffe.upgrade import upgrade_net, upgrade_solver
from demitasse.errors import NetError, OptionError
from demitasse.message import Message
from demitasse.net import Net

__all__ = ["POLICIES", "TYPES", "Settings", "TestSettings", "parse_solver", "read_solver"]

TYPES: Final = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
POLICIES: Final = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")


@dataclass(frozen=True, slots=True)
class State:
    """What a net is built for besides its phase: a ``NetState``."""

    level: int = 0
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class TestSettings:
    """One test net: the network, the state that it is built for, and how many batches a test takes."""

    __test__ = False  # the name begins with Test, and it is no test

    net: Net
    state: State
    iterations: int


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """A solver. Names and defaults are those of ``SolverParameter``; ``message`` is the whole file as a tree."""

    net: Net
    state: State
    tests: tuple[TestSettings, ...]
    folder: Path
    message: Message
    type: str
    base_lr: float
    lr_policy: str
    gamma: float
    power: float
    stepsize: int
    stepvalues: tuple[int, ...]
    max_iter: int
    momentum: float
    momentum2: float
    rms_decay: float
    delta: float
    weight_decay: float
    regularization_type: str
    clip_gradients: float
    iter_size: int
    average_loss: int
    test_interval: int
    test_initialization: bool
    display: int
    debug_info: bool
    snapshot: int
    snapshot_prefix: str
    snapshot_diff: bool
    snapshot_format: str
    snapshot_after_train: bool
    random_seed: int


def read_solver(path: str | os.PathLike[str], net: Net | None = None) -> Settings:
    """The solver in a file. Paths in it are relative to the current folder, as for Caffe, or to the solver's own, where
    the first leads nowhere. ``net`` takes the place of the network that the solver names.

    FileError if a file cannot be read, NetError or OptionError for what makes no sense."""
    path = Path(path)
    return parse_solver(read_text(path), str(path), path.parent, net)


def parse_solver(text: bytes, name: str = "<solver>", folder: Path = Path(), net: Net | None = None) -> Settings:
    """The solver in a text. ``name`` begins the messages of errors."""
    root = parse(text, name)
    try:
        root, _ = upgrade_solver(root)
        return settings_of(root, folder, net)
    except OptionError as error:
        raise OptionError(f"{name}: {error}") from None
    except NetError as error:
        raise NetError(f"{name}: {error}") from None


def settings_of(root: Message, folder: Path, net: Net | None) -> Settings:
    """The settings in a solver's tree."""
    train = train_net(root, folder) if net is None else net
    settings = Settings(
        net=train,
        state=state_of(root.message("train_state")),
        tests=tuple(test_nets(root, folder, train)),
        folder=folder,
        message=root,
        type=root.string("type", "SGD"),
        base_lr=root.number("base_lr"),
        lr_policy=root.string("lr_policy"),
        gamma=root.number("gamma"),
        power=root.number("power"),
        stepsize=root.integer("stepsize"),
        stepvalues=root.integers("stepvalue"),
        max_iter=root.integer("max_iter"),
        momentum=root.number("momentum"),
        momentum2=root.number("momentum2", 0.999),
        rms_decay=root.number("rms_decay", 0.99),
        delta=root.number("delta", 1e-8),
        weight_decay=root.number("weight_decay"),
        regularization_type=root.string("regularization_type", "L2"),
        clip_gradients=root.number("clip_gradients", -1.0),
        iter_size=root.integer("iter_size", 1),
        average_loss=root.integer("average_loss", 1),
        test_interval=root.integer("test_interval"),
        test_initialization=root.flag("test_initialization", True),
        display=root.integer("display"),
        debug_info=root.flag("debug_info"),
        snapshot=root.integer("snapshot"),
        snapshot_prefix=root.string("snapshot_prefix"),
        snapshot_diff=root.flag("snapshot_diff"),
        snapshot_format={"0": "HDF5", "1": "BINARYPROTO"}.get(
            found := root.string("snapshot_format", "BINARYPROTO"), found
        ),
        snapshot_after_train=root.flag("snapshot_after_train", True),
        random_seed=root.integer("random_seed", -1),
    )
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """NetError for what Caffe refuses."""
    for value, known, what in (
        (settings.type, TYPES, "type"),
        (settings.lr_policy, POLICIES, "lr_policy"),
        (settings.regularization_type, ("L1", "L2"), "regularization_type"),
        (settings.snapshot_format, ("BINARYPROTO", "HDF5"), "snapshot_format"),
    ):
        if value not in known and not (what == "regularization_type" and not settings.weight_decay):
            raise NetError(f"the solver's {what} is {value!r}, not one of {', '.join(known)}")
    if settings.type in ("AdaGrad", "RMSProp") and settings.momentum:
        raise NetError(f"momentum is {settings.momentum:g}, and {settings.type} has none: leave it out")
    if settings.type == "RMSProp" and not 0 <= settings.rms_decay < 1:
        raise NetError(f"rms_decay is {settings.rms_decay:g}; it must lie in 0 … 1")
    if settings.lr_policy == "step" and settings.stepsize <= 0:
        raise NetError('lr_policy "step" needs a stepsize above 0')
    if settings.iter_size < 1 or settings.average_loss < 1:
        raise NetError("iter_size and average_loss must be at least 1")


def train_net(root: Message, folder: Path) -> Net:
    """The network to train. NetError unless it is given exactly once."""
    names = [name for name in ("train_net", "train_net_param", "net", "net_param") if name in root]
    if len(names) != 1:
        said = " and ".join(names) if names else "no network"
        raise NetError(f"the solver names {said}; it needs one of net, net_param, train_net, train_net_param")
    return named_net(root, names[0], folder)[0]


def test_nets(root: Message, folder: Path, train: Net) -> list[TestSettings]:
    """The networks to test, in Caffe's order: test_net_param, test_net, then the training net as often as test_iter
    asks for more."""
    explicit = [
        *(named_net(root, "test_net_param", folder) if "test_net_param" in root else ()),
        *(named_net(root, "test_net", folder) if "test_net" in root else ()),
    ]
    iterations = root.integers("test_iter")
    general = "net" in root or "net_param" in root
    if len(iterations) < len(explicit) or (not general and len(iterations) != len(explicit)):
        raise NetError(f"the solver has {len(iterations)} test_iter for {len(explicit)} test nets; each needs one")
    nets = explicit + [train] * (len(iterations) - len(explicit))
    states = root.messages("test_state")
    if states and len(states) != len(nets):
        raise NetError(f"the solver has {len(states)} test_state for {len(nets)} test nets; each needs one, or none")
    if nets and root.integer("test_interval") <= 0:
        raise NetError("the solver has test_iter, and test_interval is not above 0")
    return [
        TestSettings(net, state_of(states[i]) if states else State(), count)
        for i, (net, count) in enumerate(zip(nets, iterations, strict=True))
    ]


def state_of(message: Message) -> State:
    """Level and stages of a ``NetState``; the phase is the solver's business."""
    return State(message.integer("level"), message.strings("stage"))


def named_net(root: Message, name: str, folder: Path) -> list[Net]:
    """The networks under a field: written there, or paths to files."""
    if name.endswith("_param"):
        return [net_of(upgrade_net(message)[0]) for message in root.messages(name)]
    paths = [located(path, folder) for path in root.strings(name)]
    return [parse_net(read_text(path), str(path)) for path in paths]


def located(path: str, folder: Path) -> Path:
    """A path that a solver names: from the current folder, or, where nothing is there, from the solver's own or the
    nearest folder above it that has it."""
    given = Path(path)
    if given.is_absolute() or given.exists():
        return given
    for base in (folder, *folder.resolve().parents):
        if (base / given).exists():
            return base / given
    beside = folder / given.name
    return beside if beside.exists() else given
