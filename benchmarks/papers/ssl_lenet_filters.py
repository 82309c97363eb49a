"""LeNet with fewer filters, by Structured Sparsity Learning (Wen et al., arXiv 1608.03665, table 1).

    python -m benchmarks.papers.ssl_lenet_filters

Filters are counted in the plain network that is left, which holds no others.
"""

from __future__ import annotations

from benchmarks.papers.mnist import Mnist
from benchmarks.papers.reproduction import Made, Row, reproduce
from benchmarks.papers.sparsity import ROWS, Plan, left


def few(conv1: int, conv2: int) -> Plan:
    return Plan("ssl_lenet", {("conv1", ROWS): conv1, ("conv2", ROWS): conv2})


PLAIN = 4 * 431_080

TABLE = [
    Row("LeNet 2", PLAIN, {"error, %": 0.8, "conv1 filters": 5, "conv2 filters": 19}, few(5, 19)),
    Row("LeNet 3", PLAIN, {"error, %": 1.0, "conv1 filters": 3, "conv2 filters": 12}, few(3, 12)),
]


def make(data: Mnist, row: Row, seed: int) -> Made:
    """What `reproduce` asks for: ``row.options`` is a `Plan`."""
    net = row.options(data, seed)
    return Made(net, {f"{name} filters": left(net, name, ROWS) for name in ("conv1", "conv2")})


if __name__ == "__main__":
    reproduce("ssl_lenet_filters", "LeNet, filters by Structured Sparsity Learning", TABLE, make)
