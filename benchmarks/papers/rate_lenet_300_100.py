"""LeNet-300-100 trained for bytes, beside the best that was published for it.

With a teacher and two thirds of the pictures slightly deformed; Deep Compression's own row has neither.

    python -m benchmarks.papers.rate_lenet_300_100 [--keep DIR]
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.papers.reproduction import Row, reproduce
from benchmarks.papers.small import Leg, Recipe, trained

PLAIN = 4 * (784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10)


def recipe(nbytes: int) -> Recipe:
    return Recipe("lenet_300_100", "ip3", (Leg(110, nbytes, falling=True),), plain=1 / 3)


ROWS = [
    Row("400x", PLAIN, {"error, %": 1.9, "ratio": 124.0, "bytes": PLAIN // 124}, recipe(2520)),
    Row("270x", PLAIN, {"error, %": 1.9, "ratio": 124.0, "bytes": PLAIN // 124}, recipe(3780)),
]
"""The published row is entropy-penalised reparameterisation's (Oktay et al., arXiv 1906.06624)."""


def main() -> None:
    with TemporaryDirectory(prefix="lessons-") as folder:
        title = "LeNet-300-100 on MNIST, trained for bytes (teacher, deformed pictures)"
        reproduce("papers_rate_lenet_300_100", title, ROWS, partial(trained, Path(folder)))


if __name__ == "__main__":
    main()
