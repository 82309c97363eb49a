"""What a comparison found: differences in weights and in outputs, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demitasse.evaluate.outputs import OutputError
from demitasse.evaluate.weights import WeightError, decibels

__all__ = ["Comparison"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found. ``skipped`` says why outputs were not compared; it is empty if they were."""

    weights: tuple[WeightError, ...]
    unmatched: tuple[str, ...]
    outputs: tuple[OutputError, ...] = ()
    runtime: str = ""
    pictures: str = ""
    prepared: str = ""
    skipped: str = ""

    @property
    def weight_snr(self) -> float | None:
        """Signal to noise over all matrices and kernels in dB; infinite for equal ones. Layers in ``unmatched`` do not
        count; ``None`` if that leaves nothing.

        Vectors do not count where there are matrices: the variances of one BatchNorm can outweigh a whole network.
        """
        matrices = [error for error in self.weights if len(error.shape) > 1]
        counted = matrices or self.weights
        if self.unmatched and not counted:
            return None
        return decibels(sum(error.signal for error in counted), sum(error.noise for error in counted))

    @property
    def measured(self) -> tuple[OutputError, ...]:
        """The outputs that are judged as numbers."""
        return tuple(error for error in self.outputs if error.kind == "values")

    @property
    def snr(self) -> float | None:
        """Signal to noise at the outputs in dB, every output counted alike; ``None`` if none was compared."""
        shares = [error.relative**2 for error in self.measured]
        return decibels(len(shares), sum(shares)) if shares else None

    @property
    def worst(self) -> OutputError | None:
        """The output with the least signal to noise; ``None`` if none was compared."""
        return min(self.measured, key=lambda error: error.snr, default=None)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON; decibels are null where there is no noise, and ``exact`` is true then."""
        return {
            "weights": {
                "snr_db": self.weight_snr,
                "exact": not self.unmatched and all(error.noise == 0 for error in self.weights),
                "unmatched": self.unmatched,
                "tensors": [
                    {"layer": e.layer, "index": e.index, "snr_db": e.snr, "largest": e.largest, "exact": e.noise == 0}
                    for e in self.weights
                ],
            },
            "snr_db": self.snr,
            "outputs": [output_dict(error) for error in self.outputs],
            "compared": not self.skipped,
            "skipped": self.skipped,
            "runtime": self.runtime,
            "pictures": self.pictures,
            "preprocessing": self.prepared,
        }


def output_dict(error: OutputError) -> dict[str, Any]:
    """One output for JSON."""
    out: dict[str, Any] = {"layer": error.name, "kind": error.kind}
    if error.boxes is not None:
        return out | {"boxes": {name: getattr(error.boxes, name) for name in error.boxes.__slots__}}
    out |= {"snr_db": error.snr, "exact": error.noise == 0, "relative": error.relative, "largest": error.largest}
    if error.kind == "classes":
        out |= {"top1_same": error.top1, "top1_of": error.decisions}
    return out
