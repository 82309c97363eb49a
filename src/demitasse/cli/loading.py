"""The network in the files that a command was given."""

from __future__ import annotations

from demitasse import files
from demitasse.cli.model import Source
from demitasse.evaluate.compare import Subject
from demitasse.net import Net

__all__ = ["load", "named", "subject"]


def load(given: Source) -> Net:
    """Read it, whatever the form."""
    if given.demi is not None:
        return files.load(given.demi)
    return files.load(*given.files)


def subject(net: Net, given: Source) -> Subject:
    """The network with its own plain files, if it has them: those are what a comparison runs."""
    return Subject(net, given.prototxt, given.caffemodel)


def named(net: Net, given: Source) -> str:
    """What to call it: its own name, or the file's."""
    return net.name or str(given.files[-1].stem)
