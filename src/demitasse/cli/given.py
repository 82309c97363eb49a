"""Networks to look at side by side, out of the files that a command was given: told apart by what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demitasse import files
from demitasse.cli.model import Source, kind, mention_slips, source
from demitasse.cli.terminal import Terminal
from demitasse.errors import OptionError
from demitasse.evaluate.models import Model, OnnxFile, Subject
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.weights import check_finite
from demitasse.report.quantities import count, size
from demitasse.runtime import require_torch

__all__ = ["Given", "executing", "one_or_cascade", "two"]


@dataclass(frozen=True, slots=True)
class Given:
    """One network: an ``.onnx``, or whatever `Source` is."""

    source: Source | None = None
    onnx: Path | None = None

    def load(self, terminal: Terminal, label: str) -> Model:
        """The network, announced. NetError if weights are not numbers."""
        if self.onnx is not None:
            found = OnnxFile(self.onnx)
            outputs = ", ".join(found.signature.outputs)
            terminal.step(label, f"{self.onnx.name} · ONNX · {size(self.onnx.stat().st_size)} · gives {outputs}")
            return found
        given = self.source or Source()
        net = files.load(*given.files)
        where = given.files[-1]
        check_finite(net, where)
        about = f"{net.name} · {where.name}" if net.name else where.name
        terminal.step(label, f"{about} · {count(net.parameters)} parameters · {size(given.bytes)}")
        mention_slips(net, terminal)
        return Subject(net, given.prototxt, given.caffemodel)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from."""
        return (self.onnx,) if self.onnx is not None else (self.source or Source()).files


def two(paths: Sequence[Path]) -> tuple[Given, Given]:
    """The two networks in two to four paths: each is DEPLOY MODEL, one FILE.demi, one FILE.onnx, or a folder with
    a prototxt and a caffemodel; a second MODEL alone goes with the DEPLOY before it. OptionError for anything else."""
    found = split(paths)
    if len(found) != 2:
        number = "one network" if len(found) == 1 else f"{len(found)} networks"
        raise OptionError(
            f"{number} given: two are needed, each as DEPLOY MODEL, FILE.demi or FILE.onnx "
            "(DEPLOY MODEL MODEL: both of one prototxt)"
        )
    return found[0], found[1]


def one_or_cascade(paths: Sequence[Path]) -> list[Given]:
    """The network in one or two paths, or the three of a cascade. OptionError for anything else."""
    found = split(paths)
    if len(found) not in (1, 3):
        raise OptionError(
            f"{len(found)} networks given: one is needed, as DEPLOY MODEL, FILE.demi or FILE.onnx, or a cascade's 3"
        )
    return found


def split(paths: Sequence[Path]) -> list[Given]:
    """Networks, in order."""
    found: list[Given] = []
    deploy: Path | None = None
    complete = True
    for path in paths:
        what = "folder" if path.is_dir() else kind(path)
        if not complete and what != "weights":
            raise OptionError(f"{deploy} says what the network is; its weights should come next, and {path} are none")
        if what == "text":
            deploy, complete = path, False
        elif what == "weights":
            if deploy is None:
                raise OptionError(f"{path} holds weights; the prototxt is missing: give DEPLOY MODEL")
            found.append(Given(source([deploy, path])))
            complete = True
        elif what == "onnx":
            found.append(Given(onnx=path))
        else:
            found.append(Given(source([path])))
    if not complete:
        raise OptionError(f"{deploy} says what the network is; its weights are missing: give DEPLOY MODEL")
    return found


def executing(threads: int | None, device: str, seed: int, plugins: Sequence[Path] = ()) -> Execution:
    """How to run networks. MissingExtraError for what only our executor can do, without torch; NetError for a device
    that there is not."""
    operations: Mapping[str, Any] = {}
    if device != "cpu":
        require_torch("--device")
        from demitasse.runtime.network import available

        available(device)
    if plugins:
        require_torch("--plugin")
        from demitasse.runtime.plugins import load_plugins

        operations = load_plugins(*plugins)
    return Execution(threads or 0, device=device, seed=seed, plugins=operations)
