"""The processes that train together: one, or as many as ``torchrun`` has started (DistributedDataParallel).

The batch of the file is the batch of all of them: each takes its part, and gradients are averaged, so that losses are
those of one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from demitasse.errors import OptionError

__all__ = ["World", "joined"]


@dataclass(frozen=True, slots=True)
class World:
    """``rank``: of this process, from 0, of ``size``."""

    rank: int = 0
    size: int = 1

    def share(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of this process's part of a batch."""
        return (shape[0] // self.size, *shape[1:]) if shape else shape

    def part(self, name: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """This process's part of a blob. OptionError if the blob cannot be divided evenly."""
        if self.size == 1:
            return values
        if not values.ndim or len(values) % self.size:
            rows = len(values) if values.ndim else 1
            raise OptionError(f'"{name}": a batch of {rows} cannot be divided among {self.size} processes evenly')
        each = len(values) // self.size
        return values[self.rank * each : (self.rank + 1) * each]

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64)
        torch.distributed.all_reduce(total)
        return float(total[0]) / self.size


@contextmanager
def joined(device: str = "cpu") -> Iterator[World]:
    """The processes that ``torchrun`` started, connected for as long as the block runs; this one alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield World()
        return
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield World(torch.distributed.get_rank(), size)
    finally:
        torch.distributed.destroy_process_group()
