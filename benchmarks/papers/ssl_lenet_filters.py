"""LeNet with fewer filters, by Structured Sparsity Learning (Wen et al., arXiv 1608.03665, table 1).

    python -m benchmarks.papers.ssl_lenet_filters

Filters are counted in the plain network that is left, which holds no others. The last phase sees pictures moved by up
to two pixels, as the paper's did not. What is aimed at is smaller than the paper's networks.
"""

from __future__ import annotations

from benchmarks.papers.mnist import Mnist
from benchmarks.papers.reproduction import Made, Row, reproduce
from benchmarks.papers.sparsity import ROWS, Plan, left

COUNTED = {"conv1 filters": ("conv1", ROWS), "conv2 filters": ("conv2", ROWS)}


def row(name: str, error: float, paper: tuple[int, int], goals: tuple[int, int]) -> Row:
    plan = Plan("ssl_lenet", dict(zip(COUNTED.values(), goals, strict=True)), reach=2)
    return Row(name, 4 * 431_080, {"error, %": error, **dict(zip(COUNTED, paper, strict=True))}, plan)


TABLE = [row("LeNet 2", 0.8, (5, 19), goals=(4, 15)), row("LeNet 3", 1.0, (3, 12), goals=(3, 9))]


def make(data: Mnist, row: Row, seed: int) -> Made:
    """What `reproduce` asks for: ``row.options`` is a `Plan`."""
    net = row.options(data, seed)
    return Made(net, {column: left(net, *of) for column, of in COUNTED.items()})


if __name__ == "__main__":
    reproduce("ssl_lenet_filters", "LeNet, filters by Structured Sparsity Learning", TABLE, make)
