"""How torch is to work for a while: without gradients, on some number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from demitasse.errors import OptionError

__all__ = ["infer", "threads"]


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """That many threads inside torch's operations, and as many as before afterwards. ``None`` changes nothing."""
    if number is None:
        yield
        return
    if number < 1:
        raise OptionError(f"threads is {number}; it must be at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def infer(number: int | None = None) -> Iterator[None]:
    """No gradients, and that many threads."""
    with threads(number), torch.inference_mode():
        yield
