"""``demitasse dataset``: labelled pictures into an LMDB that data layers read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from demitasse.cli.options import debugging, json_output, quiet, seed
from demitasse.cli.terminal import Terminal
from demitasse.datasets.database import Database, write_database
from demitasse.datasets.datum import Datum
from demitasse.datasets.labelled import classes_of, form_of, labelled
from demitasse.datasets.pictures import import_cv2
from demitasse.errors import FileError, OptionError
from demitasse.report.quantities import size

__all__ = ["command"]

LARGEST_SHUFFLE = 1 << 31
"""Bytes of pictures that are shuffled in memory; a list of files is the way for more."""


@click.command("dataset")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR", help="LMDB to make.")
@click.option("--resize", metavar="WxH", help="Scale every picture to that size.")
@click.option("--gray", is_flag=True, help="Files of pictures in one channel.")
@click.option("--encoded", is_flag=True, help="Keep files of pictures as they are, undecoded.")
@click.option("--shuffle", is_flag=True, help="In an order drawn from --seed.")
@click.option(
    "--mean", "mean_file", type=click.Path(path_type=Path), help="Also write the mean picture (.binaryproto)."
)
@seed
@json_output
@quiet
@debugging
def command(
    source: Path,
    output: Path,
    resize: str | None,
    gray: bool,
    encoded: bool,
    shuffle: bool,
    mean_file: Path | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Turn labelled pictures into an LMDB that Caffe's data layers read.

    SOURCE is a folder with a folder for each class, a list of files (NAME LABEL a line), MNIST's idx pictures (their
    labels beside them), CIFAR's binary batches, or another LMDB or LevelDB.
    """
    if encoded and (resize or gray):
        raise OptionError("--encoded keeps files as they are: --resize and --gray have no meaning with it")
    if encoded and mean_file:
        raise OptionError("--mean needs pictures of one size, decoded: leave --encoded out")
    terminal = Terminal(quiet, as_json)
    datums = labelled(source, colour=not gray, encoded=encoded)
    if resize:
        datums = resized(datums, parsed(resize))
    if shuffle:
        datums = shuffled(datums, seed)
    mean = Mean(mean_file) if mean_file else None
    count = write_database(output, some(datums, source) if mean is None else mean.watching(some(datums, source)))
    with Database(output) as database:
        if len(database) != count:
            raise FileError(f"{output}: {count} records were written, and {len(database)} are there")
    form = form_of(source)
    classes = classes_of(source) if form == "folders" else []
    nbytes = (output / "data.mdb").stat().st_size
    terminal.step("wrote", f"{output} · {count} pictures · {size(nbytes)}")
    for label, name in enumerate(classes[:20]):
        terminal.line(f"    {label:<5} {name}")
    terminal.result(
        {"command": "dataset", "source": source, "form": form, "output": output, "pictures": count, "bytes": nbytes}
        | {"classes": classes}
    )
    return 0


def some(datums: Iterator[Datum], source: Path) -> Iterator[Datum]:
    """The same. FileError if there are none."""
    datum = next(datums, None)
    if datum is None:
        raise FileError(f"{source}: has no pictures")
    yield datum
    yield from datums


def parsed(given: str) -> tuple[int, int]:
    """Width and height of ``WxH``."""
    width, _, height = given.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise OptionError(f"--resize {given}: should be width and height, such as 256x256")
    return int(width), int(height)


def resized(datums: Iterator[Datum], wanted: tuple[int, int]) -> Iterator[Datum]:
    """Every picture in that size."""
    cv2 = import_cv2()

    for datum in datums:
        picture = np.ascontiguousarray(np.moveaxis(datum.picture(), 0, 2))
        scaled = np.asarray(cv2.resize(picture, wanted)).reshape(wanted[1], wanted[0], -1)
        yield Datum(np.ascontiguousarray(np.moveaxis(scaled, 2, 0)), datum.label, datum.name)


def shuffled(datums: Iterator[Datum], seed: int) -> Iterator[Datum]:
    """All of them in another order. OptionError if they are too many to be held."""
    held: list[Datum] = []
    nbytes = 0
    for datum in datums:
        held.append(datum)
        nbytes += len(datum.values) if isinstance(datum.values, bytes) else datum.values.nbytes
        if nbytes > LARGEST_SHUFFLE:
            raise OptionError("there are too many pictures to shuffle: shuffle a list of files, or let ImageData do it")
    for i in np.random.default_rng(seed).permutation(len(held)):
        yield held[i]


class Mean:
    """Sums pictures on their way, and writes their mean as Caffe's compute_image_mean does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.total: Any = None

    def watching(self, datums: Iterator[Datum]) -> Iterator[Datum]:
        """The same pictures; the mean is written behind the last, so that there is no database without it. FileError
        if one is of another size."""
        for datum in datums:
            picture = datum.picture()
            if self.total is None:
                self.total = np.zeros(picture.shape, np.float64)
            if picture.shape != self.total.shape:
                shapes = f"{picture.shape}, and the first {self.total.shape}"
                raise FileError(f"{datum.name}: has shape {shapes}: a mean needs one size, give --resize")
            self.total += picture
            self.count += 1
            yield datum
        self.write()

    def write(self) -> None:
        """The mean's file."""
        from demitasse.datasets.mean import write_mean

        write_mean(self.path, (self.total / max(1, self.count)).astype(np.float32))
