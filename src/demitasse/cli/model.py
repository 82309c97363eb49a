"""Which files a command was given, told by looking into them, and under which name something may be written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demitasse.cli.terminal import Terminal
from demitasse.errors import FileError, OptionError
from demitasse.files import content
from demitasse.net import Net

__all__ = ["Source", "check_output", "form", "kind", "mention_slips", "slips_in_words", "source"]

Form = Literal["demi", "folder"]


@dataclass(frozen=True, slots=True)
class Source:
    """A network's files: a prototxt, with or without a caffemodel, or one ``.demi``."""

    prototxt: Path | None = None
    caffemodel: Path | None = None
    demi: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that are there."""
        return tuple(path for path in (self.prototxt, self.caffemodel, self.demi) if path is not None)

    @property
    def bytes(self) -> int:
        """Size of what holds the weights (of the prototxt, if there are none), as it lies on the disk."""
        return self.files[-1].stat().st_size

    def __str__(self) -> str:
        return str(self.files[-1])


def kind(path: Path) -> str:
    """What a file is: "demi", "text", "weights", or "onnx". FileError for what is nothing of these."""
    found = content(path)
    if found == "weights":
        with path.open("rb") as file:
            # A ModelProto begins with its ir_version, a number; a caffemodel's first field is a name.
            return "onnx" if file.read(1) == b"\x08" else found
    return found


def source(paths: Sequence[Path], *, weights: bool = True) -> Source:
    """The files of ``DEPLOY MODEL``, ``FILE.demi``, or a folder with a prototxt and a caffemodel. ``weights``: a
    prototxt alone is not enough.

    OptionError says what is missing or in the wrong order, FileError what is no file that can be read.
    """
    if len(paths) == 1 and paths[0].is_dir():
        paths = pair_in(paths[0])
    kinds = [kind(path) for path in paths]
    if "onnx" in kinds:
        raise OptionError(f"{paths[kinds.index('onnx')]} is an ONNX model: only compare and evaluate take those")
    match kinds:
        case ["demi"]:
            return Source(demi=paths[0])
        case ["text", "weights"]:
            return Source(prototxt=paths[0], caffemodel=paths[1])
        case ["text"] if not weights:
            return Source(prototxt=paths[0])
        case ["text"]:
            raise OptionError(f"{paths[0]} says what the network is; its weights are missing: give DEPLOY MODEL")
        case ["weights"]:
            raise OptionError(f"{paths[0]} holds weights; the prototxt is missing: give DEPLOY MODEL")
        case ["weights", "text"]:
            raise OptionError(f"{paths[0]} holds weights and {paths[1]} is a prototxt: DEPLOY comes first, then MODEL")
        case ["text", "text"]:
            raise OptionError(f"{paths[1]} is a text, not weights: give DEPLOY MODEL")
        case ["weights", "weights"]:
            raise OptionError(f"{paths[0]} is not a prototxt: give DEPLOY MODEL")
        case [_, _]:
            raise OptionError("a .demi holds the whole network: give it alone")
    raise OptionError(f"{len(paths)} files given: a network is DEPLOY MODEL, one FILE.demi, or a folder")


def pair_in(folder: Path) -> list[Path]:
    """The one prototxt and the one caffemodel in a folder, as ``-o DIR/`` leaves them. FileError if there are not."""
    pair = []
    for suffix in (".prototxt", ".caffemodel"):
        paths = [path for path in sorted(folder.iterdir()) if path.suffix == suffix]
        if len(paths) != 1:
            raise FileError(
                f"{folder}: a folder is taken for one prototxt and one caffemodel; it has {len(paths)} {suffix}"
            )
        pair += paths
    return pair


def form(output: str) -> Form:
    """What the output's name asks for. OptionError names what there is, for a name that asks for something else."""
    if not output:
        raise OptionError("-o is empty: it takes NAME.demi, or a folder for plain Caffe files (. for this one)")
    suffix = Path(output).suffix.lower()
    if output.endswith(("/", os.sep)) or Path(output).is_dir():
        return "folder"
    if suffix == ".demi":
        return "demi"
    if suffix in ("", "."):
        return "folder"
    if suffix in (".prototxt", ".caffemodel"):
        raise OptionError(f"{output}: name a folder for the prototxt and the caffemodel, such as out/")
    if suffix == ".onnx":
        hint = "use demitasse export; -o takes NAME.demi or a folder"
        raise OptionError(f"{output}: cannot write .onnx files here: {hint}")
    raise OptionError(f"{output}: cannot write {suffix} files; -o takes NAME.demi, or a folder for plain Caffe files")


def check_output(targets: Sequence[Path], given: Source) -> None:
    """OptionError if something would be written over an input, FileError if it cannot be written at all."""
    for target in targets:
        for path in given.files:
            if target.exists() and target.samefile(path):
                raise OptionError(f"{target} is an input: inputs are never changed, choose another name")
        if target.is_dir():
            raise FileError(f"{target}: is a folder")
        if target.exists() and not target.is_file():
            raise FileError(f"{target}: cannot be written: it is a pipe or a device, not a file")
        folder = target.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise FileError(f"{folder}: is not a folder")
        if not os.access(folder, os.W_OK):
            raise FileError(f"{target}: cannot be written: permission denied in {folder}")


def mention_slips(net: Net, terminal: Terminal) -> None:
    """Says which fields of the prototxt are unknown and look like known ones misspelt."""
    for text in slips_in_words(net):
        terminal.note(text)


def slips_in_words(net: Net) -> list[str]:
    """What reading had to say of fields that are probably misspelt."""
    found = [note for note in net.report if note.step == "read" and "meant" in note.data]
    return [f'layer "{note.layer}": {note.text}' if note.layer else note.text for note in found]
