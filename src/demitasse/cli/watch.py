"""What `train` tells of a run while it goes on: lines for people, a log for programs, curves for TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from demitasse.cli.terminal import Progress, Terminal, json_ready
from demitasse.errors import FileError, MissingExtraError

if TYPE_CHECKING:
    from demitasse.train.run import Event
    from demitasse.train.settings import Settings

__all__ = ["Curves", "Watch"]


@dataclass(slots=True)
class Watch:
    """Tells people, the log and the result what happens; ``curves`` too, if there are any. ``last``: the iteration at
    which the run ends."""

    terminal: Terminal
    settings: Settings
    progress: Progress
    log: TextIO | None
    events: list[Event]
    last: int
    curves: Callable[[Event], None] | None = None
    begun: float = field(default_factory=time.monotonic)
    first: int = -1

    def __call__(self, event: Event) -> None:
        """One event of the run."""
        if self.curves is not None:
            self.curves(event)
        kind, iteration = event["event"], event["iteration"]
        if kind == "train":
            if self.first < 0:
                self.first, self.begun = iteration, time.monotonic()
            self.progress(iteration + 1, self.last)
            if not self.settings.display or iteration % self.settings.display:
                return
            loss, rate = event["smoothed"], event["lr"]
            self.terminal.line(f"  iteration {iteration:<8} loss {loss:<10.5g} lr {rate:<9.4g} {self.speed(iteration)}")
        elif kind == "test":
            said = ", ".join(f"{name} {worded(values)}" for name, values in event["outputs"].items())
            self.terminal.line(f"  test {iteration:<13} {said}")
        elif kind == "debug":
            for name, (weight, gradient) in event["magnitudes"].items():
                self.terminal.line(f"    {name:<24} weight {weight:<12.5g} gradient {gradient:.5g}")
        elif kind == "snapshot":
            self.terminal.step("saved", event["files"][0])
        self.events.append(event)
        if self.log is not None:
            self.log.write(json.dumps(json_ready(event)) + "\n")
            self.log.flush()

    def speed(self, iteration: int) -> str:
        """Iterations a second, and how long it will take."""
        done, elapsed = iteration - self.first, time.monotonic() - self.begun
        if done < 1 or elapsed <= 0:
            return ""
        left = (self.last - iteration) * elapsed / done
        return f"{done / elapsed:.1f} it/s, {left / 60:.0f} min left" if left > 90 else f"{done / elapsed:.1f} it/s"


class Curves:
    """Losses, learning rates and tests as TensorBoard's event files. MissingExtraError without TensorBoard."""

    def __init__(self, folder: Path) -> None:
        for module in ("torch.utils.tensorboard", "tensorboardX"):
            try:
                writer = import_module(module).SummaryWriter
                break
            except ImportError:
                continue
        else:
            raise MissingExtraError("tensorboard", "tensorboard", "--tensorboard")
        try:
            self.writer = writer(str(folder))
        except OSError as error:
            raise FileError(f"{folder}: cannot be written to: {error.strerror}") from None

    def __call__(self, event: Mapping[str, Any]) -> None:
        """One event of the run."""
        kind, iteration = event["event"], event["iteration"]
        if kind == "train":
            self.writer.add_scalar("train/loss", event["loss"], iteration)
            self.writer.add_scalar("train/lr", event["lr"], iteration)
        elif kind == "test":
            for name, values in event["outputs"].items():
                if isinstance(values, int | float):
                    self.writer.add_scalar(f"test{event['which']}/{name}", values, iteration)
        elif kind == "done":
            self.writer.close()


def worded(values: Any) -> str:
    """A number, or a few of them."""
    if isinstance(values, list):
        shown = ", ".join(worded(value) for value in values[:4])
        return f"[{shown}{', …' if len(values) > 4 else ''}]"
    return f"{values:.4g}"
