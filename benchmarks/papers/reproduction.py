"""What every reproduction of a paper's table does around its training.

A program hands `reproduce` the rows of the paper and a function that trains one network from a seed. Each row is
trained with three seeds, one single-threaded process for each core. Then, for every network: a .demi is written,
`demitasse expand` makes plain Caffe files of it, and OpenCV, which shares no code with what trained, is right or wrong
about the 10,000 pictures of the test set. Sizes are of the .demi on the disk, prototxt and all.

    python -m benchmarks.papers.PROGRAM [--mnist DIR] [--keep DIR]
    python -m benchmarks.papers.PROGRAM --tune [--seeds 10]

With ``--tune`` errors are of the 5,000 pictures held out, the test set stays shut, and nothing is recorded: for
choices.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from benchmarks.corpus import ZOO
from benchmarks.papers.mnist import Digits, Mnist
from benchmarks.table import publish

import demitasse as dm
from demitasse.caffe.read import read_net
from demitasse.train.settings import Settings, parse_solver

__all__ = ["Make", "Made", "Row", "network", "reproduce", "solver_settings"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Row:
    """A row of a paper. ``paper``: what it says, by column: "error, %", "bytes", "ratio", or others that `Made.facts`
    has, too. ``plain``: bytes of the network's weights in float32. ``options``: for the function that trains ours."""

    name: str
    plain: int
    paper: Mapping[str, Any]
    options: Any = None


@dataclass(frozen=True)
class Made:
    """A trained network, all phases or only as it is used. ``facts``: figures for the table, numbers by column."""

    net: dm.Net
    facts: Mapping[str, Any] = field(default_factory=dict)


Make = Callable[[Mnist, Row, int], Made]
"""Trains the network of a row from a seed. A function at the top of its module: other processes call it."""


def network(name: str) -> dm.Net:
    """One of the prototxts beside this file, by name: data and label are fed."""
    return read_net(HERE / f"{name}.prototxt")


def solver_settings(text: str, net: dm.Net) -> Settings:
    """A solver's text for that network."""
    return parse_solver(text.encode(), net=net)


def reproduce(program: str, title: str, rows: Sequence[Row], make: Make) -> None:
    """All of it: options, training, checks, table, and ``results/PROGRAM.json``."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--mnist", type=Path, default=ZOO / "data" / "mnist", help="folder of the four idx files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the networks; by default they are not kept")
    parser.add_argument("--rows", nargs="+", help="only these")
    parser.add_argument("--tune", action="store_true", help="errors of pictures held out; nothing is recorded")
    options = parser.parse_args()
    Mnist.load(options.mnist)
    chosen = [row for row in rows if not options.rows or row.name in options.rows]
    jobs = [(row, seed) for row in chosen for seed in options.seeds]
    with TemporaryDirectory(prefix="papers-") as temporary:
        folder = options.keep or Path(temporary)
        work = partial(outcome, make, options.mnist, folder, options.tune)
        if options.processes > 1:
            with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
                done = list(pool.map(work, *zip(*jobs, strict=True)))
        else:
            done = [work(*job) for job in jobs]
    found = {row.name: [one for (of, _), one in zip(jobs, done, strict=True) if of is row] for row in chosen}
    table = [line for row in chosen for line in lines(row, found[row.name])]
    if options.tune:
        for line in table:
            print(line)
        return
    publish(program, title, table, {"seeds": found, "minutes of one core": sum(one["seconds"] for one in done) / 60})


def outcome(make: Make, mnist: Path, folder: Path, tune: bool, row: Row, seed: int) -> dict[str, Any]:
    """One network from one seed: trained, written, expanded, evaluated."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data = Mnist.load(mnist)
    begun = time.process_time()
    made = make(data, row, seed)
    seconds = time.process_time() - begun
    target = folder / f"{row.name.replace(' ', '_')}-{seed}"
    target.mkdir(parents=True, exist_ok=True)
    stored = target / "network.demi"
    dm.save(dm.Strip(inputs={"data": (1, 1, 28, 28)})(made.net), stored)
    subprocess.run([sys.executable, "-m", "demitasse", "expand", stored, "-o", target / "plain", "-q"], check=True)
    size = stored.stat().st_size
    error = error_of(target / "plain", data.held_out if tune else data.test)
    found = {"seed": seed, "error, %": error, "bytes": size, "ratio": row.plain / size, **made.facts}
    print({"row": row.name, **found, "held out": tune, "seconds": seconds}, flush=True)
    return {**found, "seconds": seconds}


def error_of(folder: Path, digits: Digits) -> float:
    """Per cent of pictures that OpenCV's idea of the network in a folder of Caffe files is wrong about."""
    (text,), (weights,) = folder.glob("*.prototxt"), folder.glob("*.caffemodel")
    net = cv2.dnn.readNetFromCaffe(str(text), str(weights))
    wrong = 0
    for first in range(0, len(digits), 500):
        net.setInput(digits.images[first : first + 500], "data")
        scores = net.forward().reshape(-1, 10)
        wrong += int((scores.argmax(1) != digits.labels[first : first + 500]).sum())
    return 100 * wrong / len(digits)


def lines(row: Row, seeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The paper's row; ours on average; and the worst of each column, whichever seed it is of."""
    measured = dict.fromkeys(key for one in seeds for key in one if key not in ("seed", "seconds"))
    columns = list(row.paper | measured)

    def summary(whose: str, of: Callable[[str, Sequence[float]], Any]) -> dict[str, Any]:
        values = {key: [one[key] for one in seeds if key in one] for key in columns}
        shown = {key: of(key, found) if are_numbers(found) else "" for key, found in values.items()}
        return {"row": row.name, "whose": whose, **shown}

    paper = {"row": row.name, "whose": "paper", **{key: row.paper.get(key, "") for key in columns}}
    return [
        paper,
        summary(f"ours, mean of {len(seeds)}", lambda key, values: float(np.mean(values))),
        summary("ours, worst", lambda key, values: min(values) if key in LARGER_IS_BETTER else max(values)),
    ]


def are_numbers(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, int | float) for value in values)


LARGER_IS_BETTER = {"ratio", "conv1 times as fast", "conv2 times as fast"}
