"""What a comparison found: differences in weights and in outputs, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demitasse.evaluate.outputs import OutputError
from demitasse.evaluate.weights import WeightError, decibels

__all__ = ["Comparison", "output_dict"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found. ``skipped`` says why outputs were not compared; it is empty if they were.

    ``runtime``: what ran the networks; ``independent``: whether that shares no code with ours. ``notes``: why a better
    one did not. ``unmatched``: layers whose weights differ in number or shape; ``missing``: layers whose outputs should
    have been compared, and which the candidate has no counterpart of.
    """

    weights: tuple[WeightError, ...]
    unmatched: tuple[str, ...]
    outputs: tuple[OutputError, ...] = ()
    runtime: str = ""
    pictures: str = ""
    prepared: str = ""
    skipped: str = ""
    independent: bool = True
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

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
        """The outputs that are judged as numbers: what comes before probabilities; those only where there is nothing
        else."""
        values = tuple(error for error in self.outputs if error.kind == "values")
        return values or tuple(error for error in self.outputs if error.kind == "classes")

    @property
    def snr(self) -> float | None:
        """Signal to noise at the outputs in dB, every output counted alike; ``None`` if none was compared."""
        shares = [error.relative**2 for error in self.measured]
        return decibels(len(shares), sum(shares)) if shares else None

    @property
    def worst(self) -> OutputError | None:
        """The output with the least signal to noise; ``None`` if none was compared."""
        return min(self.measured, key=lambda error: error.snr, default=None)

    def beyond(self, tolerance: float) -> tuple[OutputError, ...]:
        """The outputs that are further apart than a relative error of ``tolerance``: judged as numbers, boxes only
        where nothing else was compared."""
        return tuple(error for error in self.measured or self.outputs if not error.within(tolerance))

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
            "independent": self.independent,
            "missing": self.missing,
            "notes": self.notes,
            "pictures": self.pictures,
            "preprocessing": self.prepared,
        }


def output_dict(error: OutputError) -> dict[str, Any]:
    """One output for JSON."""
    out: dict[str, Any] = {"layer": error.name, "kind": error.kind}
    if error.boxes is not None:
        boxes = {name: getattr(error.boxes, name) for name in error.boxes.__slots__}
        return out | {"boxes": boxes | {"score_drift": error.boxes.score_drift}}
    out |= {"snr_db": error.snr, "exact": error.noise == 0, "relative": error.relative, "largest": error.largest}
    out |= {"cosine": error.cosine, "psnr_db": error.psnr}
    if error.kind == "classes":
        out |= {"top1_same": error.top1, "top5_same": error.top5, "top1_of": error.decisions}
    return out
