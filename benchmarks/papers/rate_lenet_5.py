"""Caffe's LeNet-5 (20-50-500) trained for bytes, beside the best that was published for it.

With a teacher and two thirds of the pictures slightly deformed. Training begins with the whole network; after two
epochs its smaller units are pruned, later what dies leaves.

    python -m benchmarks.papers.rate_lenet_5 [--keep DIR]
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.papers.reproduction import Row, reproduce
from benchmarks.papers.small import Leg, Recipe, trained

PLAIN = 4 * (25 * 20 + 20 + 20 * 25 * 50 + 50 + 800 * 500 + 500 + 500 * 10 + 10)


LIVE = {"conv1": 10, "conv2": 24, "ip1": 100}
"""Units that stay after the first leg, in which the whole network learns."""


def recipe(nbytes: int) -> Recipe:
    return Recipe("lenet5", "ip2", (Leg(2, 12_000, units=LIVE), Leg(60, nbytes, falling=True)), plain=1 / 3)


ROWS = [
    Row("600x", PLAIN, {"error, %": 0.9, "ratio": 606.0, "bytes": PLAIN // 606}, recipe(2660)),
]


def main() -> None:
    with TemporaryDirectory(prefix="lessons-") as folder:
        title = "LeNet-5 on MNIST, trained for bytes (teacher, deformed pictures)"
        reproduce("papers_rate_lenet_5", title, ROWS, partial(trained, Path(folder)))


if __name__ == "__main__":
    main()
