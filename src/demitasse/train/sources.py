"""What data layers feed: batches by number, each a pure function of that number, so that a run can continue anywhere.

As Caffe reads on: from the first record, around the end to the first again. Where Caffe's random numbers choose (crop,
mirror, shuffling), ours do: from the seed and the number of the batch or epoch, so that they can be had again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from demitasse.datasets.database import Backend, Database
from demitasse.datasets.datum import Datum
from demitasse.datasets.labelled import entries
from demitasse.datasets.pictures import import_cv2
from demitasse.errors import FileError, MissingExtraError, NetError
from demitasse.layers import Graph, layer_type
from demitasse.layers.layertype import blaming, refuse
from demitasse.message import Message
from demitasse.net import Layer
from demitasse.train.transformer import Transformer, transformer

__all__ = ["SOURCES", "Arrays", "Feed", "Source"]

Arrays = dict[str, npt.NDArray[np.float32]]
Picture = npt.NDArray[Any]


@dataclass(eq=False)
class Source:
    """One data layer. ``folder``: where relative paths begin that lead nowhere from the current folder."""

    layer: Layer
    folder: Path
    phase: str
    seed: int = 0

    @cached_property
    def param(self) -> Message:
        """The layer's own parameter message."""
        return self.layer.message.message(layer_type(self.layer.type).field)

    @cached_property
    def transform(self) -> Message:
        """``transform_param``."""
        return self.layer.message.message("transform_param")

    @cached_property
    def prepare(self) -> Transformer:
        """What pictures go through."""
        return transformer(self.transform, self.folder, self.phase)

    usual_size: ClassVar[int] = 0
    """Records in a batch where the file does not say."""

    @cached_property
    def size(self) -> int:
        """Records in a batch. NetError if the file does not say."""
        size = self.param.integer("batch_size", self.usual_size)
        if size < 1:
            refuse(self.layer, f"batch_size is {size}; it must be at least 1")
        return size

    def path(self, name: str) -> Path:
        """A path that the layer names: from the current folder, or from the solver's."""
        given = Path(name)
        return given if given.is_absolute() or given.exists() else self.folder / given

    def random(self, *numbers: int) -> np.random.Generator:
        """Random numbers of their own for every such tuple."""
        return np.random.default_rng([self.seed, *self.layer.name.encode(), *numbers])

    def batch(self, number: int) -> Arrays:
        """The layer's outputs for that batch."""
        raise NotImplementedError

    def stacked(self, number: int, pictures: Iterator[tuple[Picture, int, str]]) -> Arrays:
        """A batch of pictures (channels, height, width), labels and names. NetError names the one that does not fit."""
        random = self.random(number)
        values: list[npt.NDArray[np.float32]] = []
        labels: list[int] = []
        for picture, label, name in pictures:
            try:
                prepared = self.prepare(picture, random)
            except NetError as error:
                refuse(self.layer, f"{name}: {error}")
            if values and prepared.shape != values[0].shape:
                shapes = f"{prepared.shape}, and those before it {values[0].shape}"
                refuse(self.layer, f"{name}: has shape {shapes}: a batch needs one size, give a crop_size")
            values.append(prepared)
            labels.append(label)
        return dict(zip(self.layer.outputs, (np.stack(values), np.array(labels, np.float32)), strict=False))


class DataSource(Source):
    """``Data``: LMDB or LevelDB."""

    @cached_property
    def database(self) -> Database:
        """The database, open."""
        backend: Backend = "LMDB" if self.param.string("backend", "LEVELDB") in ("LMDB", "1") else "LEVELDB"
        return Database(self.path(self.param.string("source")), backend)

    def batch(self, number: int) -> Arrays:
        start = self.param.integer("rand_skip") and int(self.random().integers(self.param.integer("rand_skip")))
        return self.stacked(number, self.pictures(start + number * self.size))

    def pictures(self, place: int) -> Iterator[tuple[Picture, int, str]]:
        """As many as a batch takes, from a place on."""
        colour: bool | None = None
        if self.transform.flag("force_color") or self.transform.flag("force_gray"):
            colour = self.transform.flag("force_color")
        elif self.param.flag("force_encoded_color"):
            colour = True
        for datum in self.datums(place):
            yield datum.picture(colour), datum.label, datum.name

    def datums(self, place: int) -> Iterator[Datum]:
        """From a place on: where the last batch stopped, without looking for it."""
        place %= len(self.database)
        if self._at != place or self._walk is None:
            self._walk, self._at = self.database.datums(place), place
        walk, self._walk = self._walk, None
        for _ in range(self.size):
            self._at = (self._at + 1) % len(self.database)
            yield next(walk)
        self._walk = walk

    _walk: Iterator[Datum] | None = None
    _at: int = -1


class ImageSource(Source):
    """``ImageData``: a list of files and labels."""

    usual_size: ClassVar[int] = 1

    @cached_property
    def entries(self) -> list[tuple[Path, int]]:
        """Files and labels. FileError for a list that cannot be read."""
        return entries(self.path(self.param.string("source")), self.param.string("root_folder"))

    def batch(self, number: int) -> Arrays:
        skip = self.param.integer("rand_skip")
        start = (int(self.random().integers(skip)) if skip else 0) + number * self.size
        return self.stacked(number, (self.picture(place) for place in range(start, start + self.size)))

    def picture(self, place: int) -> tuple[Picture, int, str]:
        """The picture at a place, counted on over all epochs."""
        epoch, at = divmod(place, len(self.entries))
        if self.param.flag("shuffle"):
            at = int(self.order(epoch)[at])
        path, label = self.entries[at]
        return self.read(path), label, str(path)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The order of files in an epoch."""
        if self._epoch != epoch:
            self._epoch, self._order = epoch, self.random(epoch).permutation(len(self.entries))
        return self._order

    _epoch: int = -1
    _order: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def read(self, path: Path) -> Picture:
        """One file, in the size and colours that the layer asks for."""
        cv2 = import_cv2()
        if not path.exists():
            raise FileError(f"{path}: there is no such picture")
        colour = cv2.IMREAD_COLOR if self.param.flag("is_color", True) else cv2.IMREAD_GRAYSCALE
        pixels = cv2.imread(str(path), colour)
        if pixels is None:
            raise FileError(f"{path}: not a picture that OpenCV can read")
        height, width = self.param.integer("new_height"), self.param.integer("new_width")
        if height > 0 and width > 0:
            pixels = cv2.resize(pixels, (width, height))
        return np.moveaxis(np.atleast_3d(np.asarray(pixels)), 2, 0)


class HDF5Source(Source):
    """``HDF5Data``: arrays of the outputs' names, file after file."""

    @cached_property
    def files(self) -> list[Path]:
        """The files in the list."""
        path = self.path(self.param.string("source"))
        try:
            names = path.read_text().split()
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
        if not names:
            raise FileError(f"{path}: the list is empty")
        found = [Path(name) for name in names]
        return [file if file.is_absolute() or file.exists() else path.parent / file for file in found]

    @cached_property
    def rows(self) -> list[int]:
        """Rows of each file."""
        return [len(self.arrays(i)[self.layer.outputs[0]]) for i in range(len(self.files))]

    def arrays(self, which: int) -> Arrays:
        """One file's arrays; the last one read is kept. FileError for what is not there."""
        if which != self._which:
            self._arrays, self._which = self.read(self.files[which]), which
        return self._arrays

    _which: int = -1
    _arrays: Arrays

    def read(self, path: Path) -> Arrays:
        """The arrays of a file."""
        try:
            import h5py
        except ImportError:
            raise MissingExtraError("h5py", "train", "HDF5 data") from None
        try:
            with h5py.File(path, "r") as file:
                missing = [name for name in self.layer.outputs if name not in file]
                if missing:
                    raise FileError(f"{path}: has no array {missing[0]!r}; it has {', '.join(file) or 'none'}")
                found = {name: np.asarray(file[name], np.float32) for name in self.layer.outputs}
        except OSError as error:
            raise FileError(f"{path}: {'no such file' if not path.exists() else error}") from None
        if len({len(values) for values in found.values()}) != 1 or not len(next(iter(found.values()))):
            raise FileError(f"{path}: its arrays should be as long as each other, and not empty")
        return found

    def batch(self, number: int) -> Arrays:
        parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in self.layer.outputs}
        for place in range(number * self.size, (number + 1) * self.size):
            which, row = self.place(place)
            arrays = self.arrays(which)
            for name, rows in parts.items():
                rows.append(arrays[name][row])
        return {name: np.stack(rows) for name, rows in parts.items()}

    def place(self, place: int) -> tuple[int, int]:
        """File and row of a place, counted on over all epochs; shuffled, if the layer says so, in files and rows."""
        epoch, at = divmod(place, sum(self.rows))
        shuffle = self.param.flag("shuffle")
        order = self.random(epoch).permutation(len(self.rows)) if shuffle else range(len(self.rows))
        for which in order:
            if at < self.rows[which]:
                return int(which), int(self.random(epoch, which).permutation(self.rows[which])[at]) if shuffle else at
            at -= self.rows[which]
        raise AssertionError(place)


SOURCES: Final[dict[str, Callable[[Layer, Path, str, int], Source]]] = {
    "Data": DataSource,
    "HDF5Data": HDF5Source,
    "ImageData": ImageSource,
}
"""What reads for each type of data layer."""


class Feed:
    """All data layers of a network together: batches of all their outputs, read ahead in a thread.

    ``first``: the number of the first batch that will be asked for. NetError for a data layer that nothing reads for.
    """

    AHEAD: Final = 4
    """Batches read before they are asked for."""

    def __init__(self, graph: Graph, folder: Path, seed: int = 0) -> None:
        self.sources = [made(layer, folder, graph.phase, seed) for layer in graph.layers if needs_data(layer)]
        self._ready: dict[int, Arrays | Exception] = {}
        self._condition = threading.Condition()
        self._next = 0
        self._reading = False

    def __call__(self, number: int) -> Arrays:
        """That batch. Fast if it follows the last one asked for."""
        with self._condition:
            if not self._reading or number not in range(self._next - len(self._ready), self._next + 1):
                self._restart(number)
            while number not in self._ready:
                self._condition.wait()
            found = self._ready.pop(number)
            self._condition.notify_all()
        if isinstance(found, Exception):
            raise found
        return found

    def batch(self, number: int) -> Arrays:
        """That batch, read now."""
        out: Arrays = {}
        for source in self.sources:
            with blaming(source.layer):
                out |= source.batch(number)
        return out

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of every output, from the first batch."""
        return {name: values.shape for name, values in self.batch(0).items()}

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._reading = False
            self._condition.notify_all()

    def _restart(self, number: int) -> None:
        self._ready.clear()
        self._next = number
        if not self._reading:
            self._reading = True
            threading.Thread(target=self._read, daemon=True).start()
        self._condition.notify_all()

    def _read(self) -> None:
        while True:
            with self._condition:
                while self._reading and len(self._ready) >= self.AHEAD:
                    self._condition.wait()
                if not self._reading:
                    return
                number = self._next
            found: Arrays | Exception
            try:
                found = self.batch(number)
            except Exception as error:  # It is for whoever asks for the batch.
                found = error
            with self._condition:
                if number != self._next:
                    continue
                self._ready[number] = found
                self._next += 1
                self._reading = self._reading and not isinstance(found, Exception)
                self._condition.notify_all()


def needs_data(layer: Layer) -> bool:
    """Whether a layer brings in data that somebody has to read."""
    return layer_type(layer.type).is_source and layer.type not in ("DummyData", "Input")


def made(layer: Layer, folder: Path, phase: str, seed: int) -> Source:
    """What reads for a data layer. NetError if nothing does."""
    if layer.type not in SOURCES:
        refuse(layer, f"reading {layer.type} is not supported; {', '.join(SOURCES)} are, and Input fed from Python")
    return SOURCES[layer.type](layer, folder, phase, seed)
