"""Caffe's own files in a .demi, to come back byte for byte, unknown fields and training leftovers included.

store("deploy.prototxt", "face.caffemodel", "face.demi")
restore("face.demi", "out/face.prototxt", "out/face.caffemodel")
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from demitasse.atomic import replacing
from demitasse.caffe.match import with_weights
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.read import parse_net, read_text
from demitasse.codec import container
from demitasse.codec.original import Frame, Run
from demitasse.errors import OptionError, VerificationError
from demitasse.net import Net

__all__ = ["check", "is_original", "network", "restore", "store"]

StrPath = str | os.PathLike[str]


def store(
    prototxt: StrPath,
    caffemodel: StrPath,
    path: StrPath,
    metadata: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
) -> None:
    """Keep both files in a .demi, the numbers coded as numbers. ``metadata``: see `Net.metadata`. FileError for files
    that cannot be read."""
    model = Caffemodel.open(caffemodel)
    runs = [Run(run.offset, run.dtype, run.shape) for run in model.runs()]
    container.write_original(path, read_text(Path(prototxt)), model.buffer, runs, metadata, threads=threads)


def is_original(path: StrPath) -> bool:
    """Whether a .demi keeps a caffemodel byte for byte."""
    with container.open(path) as reader:
        return reader.original is not None


def restore(path: StrPath, prototxt: StrPath, caffemodel: StrPath, *, threads: int | None = None) -> None:
    """Both files as they were: what was written is read again, and has the hash of what was stored.

    OptionError for a .demi that does not keep a caffemodel; VerificationError if other bytes came back.
    """
    with container.open(path, threads=threads) as reader:
        if reader.original is None:
            raise OptionError(f"{path}: was not stored without loss: the original caffemodel is not in it")
        with replacing(prototxt) as text, replacing(caffemodel) as weights:
            text.write(reader.text)
            for part in reader.original.unchecked():
                weights.write(part)
            for file, digest in ((text, hashlib.sha256(reader.text).digest()), (weights, reader.original.sha256)):
                file.flush()
                if _sha256(file.name) != digest:
                    raise VerificationError(f"{path}: gives back other files than were stored (sha256)")


def _sha256(path: StrPath) -> bytes:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def check(path: StrPath, prototxt: StrPath, caffemodel: StrPath, *, threads: int | None = None) -> None:
    """Decode a .demi and hold every byte against the files. VerificationError if one differs."""
    model = Caffemodel.open(caffemodel).buffer
    with container.open(path, threads=threads) as reader:
        same = reader.original is not None and reader.text == read_text(Path(prototxt))
        at = 0
        for part in reader.original.parts() if reader.original is not None else ():
            same = same and np.array_equal(
                np.frombuffer(model[at : at + len(part)], np.uint8), np.frombuffer(part, np.uint8)
            )
            at += len(part)
    if not same or at != len(model):
        raise VerificationError(f"{path}: gives back other files than were stored")


def network(text: bytes, original: Frame, name: str) -> Net:
    """The network that the kept files make; the caffemodel is restored in memory. ``name`` begins error messages."""
    data = bytearray(original.size)
    at = 0
    for part in original.parts():
        data[at : at + len(part)] = part
        at += len(part)
    # What the prototxt lacks weights for was no obstacle to storing, and is none now.
    return with_weights(parse_net(text, name), Caffemodel.parse(memoryview(data).toreadonly(), name), missing="keep")
