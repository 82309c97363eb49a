"""Networks from files and to files: a prototxt with a caffemodel, or one .demi. The glue between formats.

    net = load("deploy.prototxt", "face.caffemodel")
    save(net, "face.demi")
    save(load("face.demi"), "out.prototxt", "out.caffemodel")

An output appears whole or not at all, and never takes the place of a file that the network was read from.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from demitasse import originals
from demitasse.atomic import replacing_all
from demitasse.caffe.read import parse_net, read_net
from demitasse.caffe.write import buffers, prototxt, write_caffemodel
from demitasse.codec import container
from demitasse.errors import ContainerError, FileError, OptionError
from demitasse.layers import build
from demitasse.net import Dense, Net, Note, Tensor

__all__ = ["load", "save", "to_bytes"]

StrPath = str | os.PathLike[str]

_SNIFFED: Final = 4096
"""Bytes that tell a text from weights."""

_FOREIGN: Final = {
    b"\x89HDF\r\n": "an HDF5 file; only the binary form of a caffemodel can be read",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: fetch it with 'git lfs pull'",
    b"<!DOCTYPE": "an HTML page, not a model: the download went wrong",
    b"<html": "an HTML page, not a model: the download went wrong",
    b"\xff\xfe": "a text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "a text in UTF-16: save it as UTF-8",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\x1f\x8b": "a gzip archive: unpack it first",
}


def load(*paths: StrPath, phase: str | None = None, missing: str = "error") -> Net:
    """The network in a prototxt and a caffemodel, in a .demi, or in a prototxt alone (then without weights).

    Weights are matched by layer name, and stay in the file until they are used. Layers are in file order; ``phase``
    ("TRAIN" or "TEST") keeps those of one phase only. ``missing="keep"``: layers that the caffemodel lacks stay without
    weights instead of being a WeightsError. FileError for what cannot be read, NetError for what makes no sense as a
    network.
    """
    net = load_files([Path(path) for path in paths], missing)
    return net if phase is None else build(net, phase).net


def load_files(files: Sequence[Path], missing: str) -> Net:
    """The network in these files, told apart by their content."""
    if missing not in ("error", "keep"):
        raise OptionError(f'missing must be "error" or "keep", and is {missing!r}')
    kinds = [content(path) for path in files]
    match kinds:
        case ["demi"]:
            return load_container(files[0])
        case ["text"]:
            return read_net(files[0])
        case ["text", "weights"]:
            return read_net(files[0], files[1], missing=missing)
        case ["weights", "text"]:
            raise FileError(f"{files[0]} holds weights and {files[1]} is a prototxt: give the prototxt first")
        case ["weights"]:
            raise FileError(f"{files[0]} holds weights only: give the prototxt before it")
        case ["text", "text"]:
            raise FileError(f"{files[1]} is a text, not a caffemodel: give a prototxt and its caffemodel")
        case ["weights", "weights"]:
            raise FileError(f"{files[0]} is not a prototxt: give a prototxt and its caffemodel")
        case [_, _]:
            raise FileError(f"{files[kinds.index('demi')]} holds a whole network: give it alone")
    raise OptionError(f"load() takes a prototxt and a caffemodel, or one .demi, and got {len(files)} files")


def save(net: Net, *paths: StrPath) -> None:
    """Writes a prototxt and a caffemodel, or one .demi. FileError if that is impossible; nothing is left half-written.

    Of a pair both appear or neither, as far as a file system allows: both are complete on the disk before the first
    takes its name.
    """
    files = [Path(path) for path in paths]
    if len(files) == 1 and files[0].suffix == ".demi":
        check_outputs(net, files)
        save_container(net, files[0])
    elif len(files) == 2 and ".demi" not in (files[0].suffix, files[1].suffix):
        check_outputs(net, files)
        save_pair(net, *files)
    else:
        raise OptionError(
            "save() takes a prototxt and a caffemodel, or one name that ends in .demi, and got "
            + (", ".join(map(str, files)) or "none")
        )


def to_bytes(net: Net) -> tuple[bytes, bytes]:
    """The prototxt and the caffemodel in memory, for a runtime that reads them from there.

    float64 weights become float32: OpenCV reads no others.
    """
    return buffers(net.with_layers(layer.with_tensors(map(single, layer.tensors)) for layer in net.layers))


def single(tensor: Tensor) -> Tensor:
    """The tensor in no more than single precision."""
    return Dense(tensor.array().astype(np.float32)) if tensor.dtype == np.float64 else tensor


def save_pair(net: Net, text: Path, weights: Path) -> None:
    """A prototxt and a caffemodel."""
    with replacing_all(text, weights) as (first, second):
        first.write(prototxt(net))
        write_caffemodel(net, second)


def save_container(net: Net, path: Path) -> None:
    """A .demi."""
    layers: list[tuple[str, Sequence[Tensor]]] = [(layer.name, layer.tensors) for layer in net.layers if layer.tensors]
    container.write(path, prototxt(net), layers, net.metadata)


def load_container(path: Path, *, threads: int | None = None) -> Net:
    """The network in a .demi; its tensors are decoded when they are used, on so many threads (all cores by default)."""
    reader = container.open(path, threads=threads)
    note = Note("read", "", path.name, {"files": [str(path.resolve())]})
    if reader.original is not None:
        original = originals.network(reader.text, reader.original, str(path)).noting(note)
        return replace(original, metadata=reader.metadata)
    net = parse_net(reader.text, str(path))
    waiting: dict[str, deque[Sequence[Tensor]]] = defaultdict(deque)
    for name, tensors in reader.layers:
        waiting[name].append(tensors)
    layers = [
        layer.with_tensors(waiting[layer.name].popleft()) if waiting.get(layer.name) else layer for layer in net.layers
    ]
    lost = [name for name, left in waiting.items() if left]
    if lost:
        raise ContainerError(f'{path}: weights for layer "{lost[0]}", which its own prototxt does not have')
    return replace(net, layers=tuple(layers), metadata=reader.metadata).noting(note)


def content(path: Path) -> str:
    """What a file seems to be, by its first bytes: "demi", "text" or "weights". FileError if it is nothing of ours."""
    with blaming(path, "read"):
        if path.is_dir():
            raise FileError(f"{path}: is a folder; name the file in it")
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
    if container.is_container(path):
        return "demi"
    if not start:
        raise FileError(f"{path}: the file is empty")
    for magic, what in _FOREIGN.items():
        if start.lstrip()[: len(magic)] == magic:
            raise FileError(f"{path}: is {what}")
    return "weights" if is_binary(start) else "text"


@contextmanager
def blaming(path: Path, done: str) -> Iterator[None]:
    """What the system says about a file as a FileError: it cannot be ``done`` (read, written)."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise FileError(f"{path}: cannot be {done}: {reason}") from None


def is_binary(start: bytes) -> bool:
    """Whether bytes are no text: a caffemodel has lengths and tags among its names, a prototxt only white space."""
    return any(byte < 32 and byte not in b"\t\n\v\f\r" for byte in start)


def check_outputs(net: Net, paths: Sequence[Path]) -> None:
    """FileError for an output that is an input, a folder, in no folder, or named twice."""
    inputs = [Path(file) for note in net.report if note.step == "read" for file in note.data.get("files", ())]
    seen: set[str] = set()
    for path in paths:
        with blaming(path, "written"):
            if (target := os.path.realpath(path)) in seen:
                raise FileError(f"{path} is named twice: the prototxt and the caffemodel need a file each")
            seen.add(target)
            if path.is_dir():
                raise FileError(f"{path}: is a folder; name the file in it")
            if not path.parent.is_dir():
                raise FileError(f"{path}: cannot be written: there is no folder {path.parent}")
            if path.exists() and any(one.exists() and path.samefile(one) for one in inputs):
                raise FileError(f"{path}: the network was read from this file; choose another name")
