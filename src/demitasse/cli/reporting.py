"""``--report DIR``: a command that wrote a network leaves a report of it, as data, as a page, and its recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from demitasse.atomic import replacing_all
from demitasse.cli.terminal import Terminal, json_ready
from demitasse.errors import FileError, MissingExtraError
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.samples import Sample, samples
from demitasse.evaluate.shown import Shown, prepared_for
from demitasse.evaluate.trial import Trial
from demitasse.net import Net
from demitasse.report.document import document
from demitasse.report.inspection import Inspection
from demitasse.report.look import inspect_net
from demitasse.report.page import page
from demitasse.report.stored import stored_bytes
from demitasse.transforms.recipe import dump_steps
from demitasse.version import version

__all__ = ["Side", "check_report", "report_folder", "write_report"]

F = TypeVar("F", bound=Callable[..., Any])

report_folder: Callable[[F], F] = click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for a report: report.json, and report.html with charts and pictures.",
)


@dataclass(frozen=True, slots=True)
class Side:
    """A network and the bytes of the files that it takes; ``demi``: the file, if it is one."""

    net: Net
    file_bytes: int
    demi: Path | None = None

    def inspected(self, threads: int) -> Inspection:
        """Layer by layer."""
        stored = stored_bytes(self.demi) if self.demi is not None else None
        return inspect_net(self.net, file_bytes=self.file_bytes, stored=stored, threads=threads)


def check_report(folder: Path | None) -> None:
    """Before the work is done: MissingExtraError or FileError if there could be no report after it."""
    if folder is None:
        return
    for module, package in (("vl_convert", "vl-convert-python"), ("jinja2", "jinja2")):
        if find_spec(module) is None:
            raise MissingExtraError(package, "report", "--report")
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder}: not a folder: --report names one for report.json and report.html")


def write_report(
    folder: Path,
    result: Mapping[str, Any],
    before: Side,
    after: Side,
    comparison: Comparison | None,
    trial: Trial | None,
    shown: Shown,
    terminal: Terminal,
    threads: int,
) -> None:
    """Write the report into the folder, which is made if it is not there. FileError if that cannot be done."""
    seen = seen_by(before.net, trial, shown)
    found = document(result, before.inspected(threads), after.inspected(threads), comparison, seen, version=version())
    ready = json_ready(found)
    texts = {"report.json": json.dumps(ready, ensure_ascii=False, indent=2) + "\n", "report.html": page(found, seen)}
    if result.get("recipe"):
        texts["recipe.yaml"] = dump_steps(ready["result"]["recipe"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: cannot be made: {error.strerror}") from None
    with replacing_all(*(folder / name for name in texts)) as files:
        for file, text in zip(files, texts.values(), strict=True):
            file.write(text.encode())
    terminal.step("report", str(folder / "report.html"))


def seen_by(net: Net, trial: Trial | None, shown: Shown) -> tuple[Sample, ...]:
    """What came out for the first pictures; nothing where none were shown."""
    if trial is None or shown.arrays is not None or shown.random or not trial.fed.names:
        return ()
    channels = next(values.shape[1] for values in trial.fed.feeds[0].values() if values.ndim == 4)
    return samples(trial, prepared_for(shown, net, channels))
