"""Labelled pictures in the forms that people have them: MNIST's idx files, CIFAR's binary batches, a folder for each
class, a list of files. All come as `Datum`s, one after the other, so that a data set need not fit into memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from demitasse.datasets.database import Database
from demitasse.datasets.datum import Datum
from demitasse.datasets.pictures import SUFFIXES
from demitasse.errors import FileError, OptionError

__all__ = ["Form", "classes_of", "entries", "form_of", "labelled", "read_idx"]

Form = Literal["database", "idx", "cifar", "folders", "list"]

CIFAR_PIXELS = 3 * 32 * 32
GZIP = b"\x1f\x8b"


def form_of(path: Path) -> Form:
    """In which form a path holds labelled pictures, told by looking. FileError if in none that is known."""
    if path.is_dir():
        if (path / "data.mdb").exists() or (path / "CURRENT").exists():
            return "database"
        if any(child.is_dir() for child in path.iterdir()):
            return "folders"
        if idx_pairs(path):
            return "idx"
        if list(path.glob("*_batch*.bin")):
            return "cifar"
        raise FileError(f"{path}: holds no database, no folder for each class, no idx files and no CIFAR batches")
    head = start_of(path)
    if head[:2] == b"\0\0" and len(head) > 3 and head[2] == 8:
        return "idx"
    if path.suffix == ".bin":
        return "cifar"
    if b"\0" in head:
        raise FileError(f"{path}: is neither a list of pictures, nor an idx file, nor a CIFAR batch (.bin)")
    return "list"


def labelled(path: Path, *, colour: bool = True, encoded: bool = False, root: str = "") -> Iterator[Datum]:
    """Every picture and its label. ``colour``: files of pictures in three channels, or in one. ``encoded``: as they
    are, undecoded. ``root``: see `entries`. FileError for what cannot be read, OptionError for what does not go
    together."""
    form = form_of(path)
    if encoded and form not in ("folders", "list"):
        raise OptionError(f"{path}: only files of pictures can be kept encoded")
    match form:
        case "database":
            with Database(path) as database:
                yield from islice(database.datums(), len(database))
        case "idx":
            yield from from_idx(path)
        case "cifar":
            yield from from_cifar(path)
        case "folders":
            for label, name in enumerate(classes_of(path)):
                for file in sorted((path / name).iterdir()):
                    if file.suffix.lower() in SUFFIXES:
                        yield from_file(file, label, colour, encoded)
        case "list":
            for file, label in entries(path, root):
                yield from_file(file, label, colour, encoded)


def classes_of(path: Path) -> list[str]:
    """Names of the folders in a folder; their places are the labels."""
    return sorted(child.name for child in path.iterdir() if child.is_dir())


def entries(path: Path, root: str = "") -> list[tuple[Path, int]]:
    """Files and labels of a list, ``NAME LABEL`` a line; names are relative to ``root``, which stands before them as
    it is, to the current folder, or to the list's own. FileError names the line that makes no sense."""
    try:
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    found = []
    for number, line in enumerate(lines, 1):
        name, gap, label = line.rstrip().rpartition(" ")
        if not gap or not label.lstrip("+-").isdigit():
            raise FileError(f"{path}: line {number}: should be a file's name and a label: {line[:80]!r}")
        given = Path(root + name)
        found.append((given if given.is_absolute() or given.exists() else path.parent / given, int(label)))
    if not found:
        raise FileError(f"{path}: the list is empty")
    return found


def from_file(path: Path, label: int, colour: bool, encoded: bool) -> Datum:
    """One file of a picture."""
    try:
        data = Datum(path.read_bytes(), label, str(path))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    pixels = data.picture(colour)  # Decoded in either case: what cannot be is named now, not in the middle of training.
    return data if encoded else Datum(pixels, label, str(path))


def from_idx(path: Path) -> Iterator[Datum]:
    """MNIST's pair of files: given as the pictures' file, or as the folder of one pair."""
    pairs = idx_pairs(path) if path.is_dir() else {path: labels_beside(path)}
    if len(pairs) != 1:
        raise OptionError(f"{path}: holds {len(pairs)} sets: name the file of pictures of one of them")
    pictures, labels = next(iter(pairs.items()))
    values, numbers = read_idx(pictures), read_idx(labels)
    if values.ndim != 3 or numbers.shape != values.shape[:1]:
        raise FileError(f"{pictures}: {values.shape} pictures and {numbers.shape} labels do not go together")
    for i, (picture, label) in enumerate(zip(values, numbers, strict=True)):
        yield Datum(picture[None], int(label), f"{pictures}: picture {i}")


def idx_pairs(folder: Path) -> dict[Path, Path]:
    """Files of pictures, and their files of labels, in a folder."""
    found = [path for path in sorted(folder.glob("*images*idx3*")) if path.is_file()]
    return {path: labels_beside(path) for path in found}


def labels_beside(path: Path) -> Path:
    """The labels of a file of pictures, by MNIST's way of naming. FileError if they are not there."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    beside = path.with_name(name)
    for candidate in (beside, beside.with_name(name.removesuffix(".gz")), beside.with_name(f"{name}.gz")):
        if candidate != path and candidate.exists():
            return candidate
    raise FileError(f"{beside}: there should be labels of that name for {path.name}")


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """An array of bytes in MNIST's form, packed with gzip or not. FileError if it is none, or is cut."""
    data = unpacked(path)
    axes = data[3] if len(data) > 3 else 0
    if data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * axes:
        raise FileError(f"{path}: is not an idx file of bytes")
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i]) for i in range(axes))
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    needed = 1
    for size in shape:
        needed *= size
    if values.size != needed:
        raise FileError(f"{path}: should hold {needed} bytes of {'×'.join(map(str, shape))}, and holds {values.size}")
    return values.reshape(shape)


def from_cifar(path: Path) -> Iterator[Datum]:
    """CIFAR's binary batches: red, green and blue planes, which become blue first. CIFAR-100's fine labels count.

    A folder stands for its training batches; its test batch has to be named."""
    files = [path] if path.is_file() else sorted(f for f in path.glob("*_batch*.bin") if "test" not in f.name)
    for file in files:
        data = np.frombuffer(unpacked(file), np.uint8)
        labels = 2 if file.stem in ("train", "test") else 1
        if not data.size or data.size % (labels + CIFAR_PIXELS):
            raise FileError(f"{file}: {data.size} bytes are no whole number of CIFAR records")
        for i, record in enumerate(data.reshape(-1, labels + CIFAR_PIXELS)):
            planes = record[labels:].reshape(3, 32, 32)[::-1]
            yield Datum(np.ascontiguousarray(planes), int(record[labels - 1]), f"{file}: picture {i}")


def start_of(path: Path) -> bytes:
    """The first bytes of a file, unpacked."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if head[:2] == GZIP:
            with gzip.open(path) as packed:
                head = packed.read(64)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: {getattr(error, 'strerror', None) or 'cannot be read'}") from None
    return head


def unpacked(path: Path) -> bytes:
    """A whole file, unpacked."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == GZIP else data
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: {getattr(error, 'strerror', None) or 'is damaged'}") from None
