"""MNIST in memory: 55,000 pictures to train on, 5,000 held out for every choice, 10,000 that are looked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demitasse.datasets.labelled import read_idx

__all__ = ["HELD_OUT", "Digits", "Mnist"]

HELD_OUT = 5000

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Digits:
    """``images``: n×1×28×28, 0 to 1. ``labels``: n, as Caffe has them, in floats."""

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, seed: int) -> Callable[[int], Mapping[str, Array]]:
        """What `Solver.step` takes: the batch of any number, each epoch in an order of its own."""
        each = len(self) // size
        orders: dict[int, npt.NDArray[np.intp]] = {}

        def batch(number: int) -> Mapping[str, Array]:
            epoch, place = divmod(number, each)
            if epoch not in orders:
                orders.clear()
                orders[epoch] = np.random.default_rng((seed, epoch)).permutation(len(self))
            chosen = orders[epoch][place * size : (place + 1) * size]
            return {"data": self.images[chosen], "label": self.labels[chosen]}

        return batch


@dataclass(frozen=True)
class Mnist:
    """The three parts. What is held out is the same in every program and for every seed."""

    train: Digits
    held_out: Digits
    test: Digits

    @classmethod
    def load(cls, folder: Path) -> Mnist:
        """From the four idx files of a folder, packed with gzip or not. Ends the program if they are not there."""
        train, test = digits(folder, "train"), digits(folder, "t10k")
        order = np.random.default_rng(0).permutation(len(train))
        apart, rest = np.sort(order[:HELD_OUT]), np.sort(order[HELD_OUT:])
        return cls(
            Digits(train.images[rest], train.labels[rest]), Digits(train.images[apart], train.labels[apart]), test
        )


def digits(folder: Path, part: str) -> Digits:
    images = read_idx(found(folder, f"{part}-images-idx3-ubyte"))
    labels = read_idx(found(folder, f"{part}-labels-idx1-ubyte"))
    return Digits(images[:, None].astype(np.float32) / 255, labels.astype(np.float32))


def found(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise SystemExit(f"{folder}: there is no {name} or {name}.gz; say where MNIST is with --mnist DIR")
