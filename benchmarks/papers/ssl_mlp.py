"""A multilayer perceptron with fewer neurons, by Structured Sparsity Learning (Wen et al., arXiv 1608.03665).

    python -m benchmarks.papers.ssl_mlp

Neurons of the hidden layers are counted in the plain network that is left. Pixels are those that it reads, which are
columns of its first matrix that are not zero: a network's input keeps its size. The last phase sees pictures moved by
up to a pixel, as the paper's did not. What is aimed at is smaller than the paper's networks.
"""

from __future__ import annotations

from benchmarks.papers.mnist import Mnist
from benchmarks.papers.reproduction import Made, Row, reproduce
from benchmarks.papers.sparsity import COLUMNS, ROWS, Plan, left

COUNTED = {"pixels": ("ip1", COLUMNS), "ip1 neurons": ("ip1", ROWS), "ip2 neurons": ("ip2", ROWS)}


def row(name: str, error: float, paper: tuple[int, int, int], goals: tuple[int, int, int]) -> Row:
    plan = Plan(
        "ssl_mlp", dict(zip(COUNTED.values(), goals, strict=True)), dense=1700, rate=0.05, price=0.002,
        tuning=0.05, tuning_decay=0.0002, epochs=30, reach=1,
    )  # fmt: skip
    return Row(name, PLAIN, {"error, %": error, **dict(zip(COUNTED, paper, strict=True))}, plan)


PLAIN = 4 * (784 * 500 + 500 + 500 * 300 + 300 + 300 * 10 + 10)

TABLE = [
    row("MLP 2", 1.34, (469, 294, 166), goals=(434, 174, 78)),
    row("MLP 3", 1.53, (434, 174, 78), goals=(400, 120, 50)),
]


def make(data: Mnist, row: Row, seed: int) -> Made:
    """What `reproduce` asks for: ``row.options`` is a `Plan`."""
    net = row.options(data, seed)
    return Made(net, {column: left(net, *of) for column, of in COUNTED.items()})


if __name__ == "__main__":
    reproduce("ssl_mlp", "MLP 784-500-300-10, neurons by Structured Sparsity Learning", TABLE, make)
