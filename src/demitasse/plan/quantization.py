"""A network quantised at one slope, and as large as it then is: what every search tries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from demitasse import files
from demitasse.caffe.write import prototxt
from demitasse.net import Net
from demitasse.plan.fidelity import Fidelity
from demitasse.plan.rates import Rates
from demitasse.transforms.allocation import Allocation
from demitasse.transforms.division import Division
from demitasse.transforms.quantize import Progress, Quantize
from demitasse.transforms.sensitivity import Sensitivity

__all__ = ["Attempt", "Quantization", "stored_size"]

DECODABLE: Final = 1 << 24
"""Weights of a tensor beyond which it is not decoded as a whole."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried: the ``slope``, the ``snr`` in decibels at the outputs (measured on generated pictures, or, where
    the network cannot be run, expected), the bytes of the file (0: not written for that), and what was ``lost`` on
    pictures, where that was measured."""

    slope: float
    snr: float
    nbytes: int = 0
    lost: float | None = None


@dataclass(frozen=True)
class Quantization:
    """Everything that tries of one network share. ``rates`` are learnt on the way."""

    net: Net
    known: Sensitivity
    allocation: Allocation = "sensitivity"
    threads: int = 1
    progress: Progress | None = field(default=None, repr=False)

    @cached_property
    def division(self) -> Division:
        """How steps follow from a slope."""
        return Division.of(self.net, self.known, self.allocation)

    @cached_property
    def fidelity(self) -> Fidelity | None:
        """How close results are; None if the network cannot be run, or not in the memory that it takes as a file."""
        if any(tensor.size > DECODABLE for layer in self.net.layers for tensor in layer.tensors):
            return None
        return Fidelity.of(self.net)

    @cached_property
    def rates(self) -> Rates:
        """What steps cost, before any file was written."""
        return Rates.of(self.division, self.known, prototxt(self.net), self.threads)

    def recipe(self, steps: Mapping[str, float]) -> Quantize:
        """The transform."""
        return Quantize(
            steps=steps,
            sensitivity=self.known,
            allocation=self.allocation,
            threads=self.threads,
            progress=self.progress,
        )

    def at(self, slope: float) -> tuple[Net, Attempt]:
        """The network at a slope."""
        net = self.recipe(self.division.steps(slope))(self.net)
        return net, Attempt(slope, self.division.quality(slope) if self.fidelity is None else self.fidelity.snr(net))

    def tried(self, slope: float) -> tuple[Net, Attempt]:
        """The same, and how large its file is."""
        net, attempt = self.at(slope)
        return net, replace(attempt, nbytes=stored_size(net))


def stored_size(net: Net) -> int:
    """Bytes of a .demi with this network."""
    with TemporaryDirectory(prefix="demitasse-") as folder:
        path = Path(folder) / "x.demi"
        files.save_container(net, path)
        return path.stat().st_size
