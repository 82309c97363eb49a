"""LeNet with filters of few weights, by Structured Sparsity Learning (Wen et al., arXiv 1608.03665, table 2).

    python -m benchmarks.papers.ssl_lenet_shapes

The size of a filter is the number of columns of the layer's matrix that are not zero. As the paper measures it, a layer
is faster by as much as its product of matrices is, without rows and columns of zeros (single-threaded, PyTorch's BLAS,
one picture). The last phase sees pictures moved by up to two pixels, as the paper's did not.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.papers.mnist import Mnist
from benchmarks.papers.reproduction import Made, Row, reproduce
from benchmarks.papers.sparsity import COLUMNS, ROWS, Plan, left, matrix

LAYERS = {"conv1": (20, 25, 24 * 24), "conv2": (50, 500, 8 * 8)}
"""Rows and columns of a layer's matrix, and columns of the matrix that it is multiplied with."""


def narrow(filters: int, conv1: int, conv2: int) -> Plan:
    goals = {("conv1", ROWS): filters, ("conv1", COLUMNS): conv1, ("conv2", COLUMNS): conv2}
    return Plan("ssl_lenet", goals, price=0.02, epochs=25, reach=2)


PLAIN = 4 * 431_080


def row(name: str, error: float, filters: int, sizes: tuple[int, int], faster: tuple[float, float]) -> Row:
    paper: dict[str, float] = {"error, %": error, "conv1 filters": filters}
    paper["conv2 filters"] = 50
    for (layer, (rows, columns, _)), size, times in zip(LAYERS.items(), sizes, faster, strict=True):
        kept = paper[f"{layer} filters"] * size / (rows * columns)
        paper |= {f"{layer} filter size": size, f"{layer} FLOP, %": 100 * kept, f"{layer} times as fast": times}
    return Row(name, PLAIN, paper, narrow(filters, *sizes))


TABLE = [row("LeNet 4", 0.8, 2, (21, 41), (2.33, 6.93)), row("LeNet 5", 1.0, 1, (7, 14), (5.19, 10.82))]


def make(data: Mnist, row: Row, seed: int) -> Made:
    """What `reproduce` asks for: ``row.options`` is a `Plan`."""
    net = row.options(data, seed)
    facts: dict[str, float] = {}
    for name, whole in LAYERS.items():
        rows, columns = left(net, name, ROWS), left(net, name, COLUMNS)
        facts |= {f"{name} filters": rows, f"{name} filter size": columns}
        facts[f"{name} FLOP, %"] = 100 * rows * columns / (whole[0] * whole[1])
        facts[f"{name} times as fast"] = faster(dense(matrix(net, name)), whole)
    return Made(net, facts)


def dense(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A matrix without rows and columns of zeros."""
    alive = values[(values != 0).any(axis=1)]
    return alive[:, (alive != 0).any(axis=0)]


def faster(small: npt.NDArray[np.float32], whole: tuple[int, int, int]) -> float:
    """How many times as long the product takes with a matrix that has all rows and columns; both in turns."""
    rows, columns, places = whole
    products = [(torch.rand(rows, columns), torch.rand(columns, places))]
    products.append((torch.from_numpy(np.ascontiguousarray(small)), torch.rand(small.shape[1], places)))
    times = [seconds for _ in range(20) for seconds in (took(*products[0]), -took(*products[1]))]
    return min(t for t in times if t > 0) / min(-t for t in times if t < 0)


def took(left: torch.Tensor, right: torch.Tensor) -> float:
    """Processor seconds of a product, many times."""
    out = torch.empty(left.shape[0], right.shape[1])
    begun = time.process_time()
    for _ in range(500):
        torch.mm(left, right, out=out)
    return time.process_time() - begun


if __name__ == "__main__":
    reproduce("ssl_lenet_shapes", "LeNet, shapes of filters by Structured Sparsity Learning", TABLE, make)
