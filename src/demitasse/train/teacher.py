"""What a network that teaches another one is asked for: at which blobs, what it gives there, and how far off that is.

Compared is what a decision is made from: logits, the scores and locations that a DetectionOutput reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from demitasse.errors import NetError
from demitasse.evaluate.probes import Probe, probes
from demitasse.layers import Graph, build
from demitasse.net import Net
from demitasse.runtime.network import Network
from demitasse.runtime.operation import Operation
from demitasse.runtime.schedule import brings_data

__all__ = ["Teacher", "decided_by", "relative_error", "taught_at"]

Blobs = Mapping[str, torch.Tensor]


class Teacher:
    """A network in use (phase TEST), to be asked and never changed. NetError for one that cannot be run."""

    def __init__(self, net: Net, device: str = "cpu", plugins: Mapping[str, Operation] | None = None) -> None:
        self.graph = build(net)
        self.network = Network(self.graph, device=device, plugins=plugins)
        self.sources = {name for layer in self.graph.layers if brings_data(layer) for name in layer.outputs}

    def __call__(self, inputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, torch.Tensor]:
        """What it gives for these inputs, of which it takes those that are its own. NetError if one is not there."""
        given = {name: values for name, values in inputs.items() if name in self.sources}
        with torch.no_grad():
            self.network.reset()
            return {name: values.detach() for name, values in self.network(given, names).items()}


def taught_at(small: Graph, original: Graph) -> tuple[str, ...]:
    """Blobs, of the same name in both networks, that say what the original decides from. NetError if there are none."""
    places = {layer.name: layer for layer in original.layers}
    known = {name for layer in small.layers for name in layer.outputs}
    found = [places[probe.layer].outputs[0] for probe in probes(original.layers) if judged(probe)]
    missing = [name for name in found if name not in known]
    if missing or not found:
        what = f'no blob "{missing[0]}", which the original decides from' if missing else "nothing to be measured at"
        raise NetError(f"the smaller network has {what}: both need the same outputs")
    return tuple(dict.fromkeys(found))


def judged(probe: Probe) -> bool:
    """Whether a probe compares numbers."""
    return probe.kind == "values"


def decided_by(original: Graph) -> Iterator[tuple[str, int]]:
    """Blobs that a Softmax at the end makes probabilities of, each with the axis of its classes."""
    places = {layer.name: layer for layer in original.layers}
    for probe in probes(original.layers):
        if probe.kind == "classes" and places[probe.layer].type == "Softmax":
            yield places[probe.layer].inputs[0], probe.axis


def relative_error(found: Blobs, wanted: Blobs, names: Sequence[str]) -> torch.Tensor:
    """Squared relative error, the mean over blobs. NetError where shapes differ."""
    terms = []
    for name in names:
        check_shapes(name, found[name], wanted[name])
        terms.append(((found[name] - wanted[name]) ** 2).sum() / (wanted[name] ** 2).sum().clamp_min(1e-12))
    return torch.stack(terms).mean()


def check_shapes(name: str, found: torch.Tensor, wanted: torch.Tensor) -> None:
    """NetError unless both networks give a blob the same shape."""
    if found.shape != wanted.shape:
        raise NetError(f'blob "{name}" is {tuple(found.shape)} here and {tuple(wanted.shape)} in the original')
