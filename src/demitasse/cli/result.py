"""A network that a command leaves behind: which files ``-o`` asks for, and what was written, read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from demitasse import files
from demitasse.cli.model import Source, form
from demitasse.errors import VerificationError
from demitasse.evaluate.models import Subject
from demitasse.evaluate.weights import identical
from demitasse.net import Net

__all__ = ["result_files", "write_and_read"]


def result_files(output: str, given: Source) -> list[Path]:
    """The files to write: one ``.demi``, or a prototxt and a caffemodel called as the one that was given."""
    if form(output) == "demi":
        return [Path(output)]
    stem = given.files[-1].stem
    return [Path(output) / f"{stem}.prototxt", Path(output) / f"{stem}.caffemodel"]


def write_and_read(net: Net, paths: Sequence[Path], output: str) -> Subject:
    """Write a network to the paths that stand for `result_files`, and read it again. VerificationError, which names the
    ``output``, if other weights come back."""
    if len(paths) == 1:
        files.save_container(net, paths[0])
        found = Subject(files.load(paths[0], missing="keep"))
    else:
        files.save_pair(net, *paths)
        found = Subject(files.load(*paths, missing="keep"), *paths)
    if not identical(net, found.net):
        raise VerificationError(f"{output}: other weights were read than were written")
    return found
