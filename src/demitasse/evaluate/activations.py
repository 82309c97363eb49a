"""What blobs of a network look like on pictures: for transforms that take that into account."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.evaluate.models import Subject
from demitasse.evaluate.probes import probes
from demitasse.evaluate.runtimes import Execution
from demitasse.evaluate.shown import Shown, fed
from demitasse.net import Net
from demitasse.runtime import require_torch
from demitasse.transforms.transform import Activations

__all__ = ["DEFAULT", "contributions_on_pictures", "on_pictures"]

DEFAULT = Execution()
"""On the processor, with torch's own choice of threads."""


def on_pictures(shown: Shown | str | os.PathLike[str], execution: Execution = DEFAULT) -> Activations:
    """The `Activations` on pictures, of a folder or as `Shown` says, by our own executor.

    NetError for a network that cannot be run, MissingExtraError without torch.
    """

    pictures = shown if isinstance(shown, Shown) else Shown(Path(shown))

    def activations(net: Net, wanted: Sequence[str]) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        require_torch("looking at activations")
        from demitasse.runtime.network import Network
        from demitasse.runtime.threads import infer

        subject = Subject(net)
        given = fed(pictures, net, subject.inputs)
        network = Network(subject.graph, plugins=execution.plugins)
        for feed in given.feeds:
            with infer(execution.threads or None):
                network.reset()
                found = {name: value.cpu().numpy() for name, value in network(feed, wanted).items()}
            yield found

    return activations


def contributions_on_pictures(shown: Shown, execution: Execution = DEFAULT) -> Activations:
    """What each element of a blob contributes to the outputs on pictures, to first order: its value times the
    derivative by it of the outputs' sum with random signs. Where decisions are made, the outputs are the scores that
    they are made from.

    NetError for a network that cannot be run, MissingExtraError without torch.
    """

    def contributions(net: Net, wanted: Sequence[str]) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        require_torch("looking at activations")
        import torch

        from demitasse.runtime.network import Network
        from demitasse.runtime.threads import threads as on_threads

        subject = Subject(net)
        network = Network(subject.graph, plugins=execution.plugins)
        generator = torch.Generator().manual_seed(shown.seed)
        made = {layer.name: layer.outputs[0] for layer in subject.graph.layers if layer.outputs}
        ends = [made[probe.layer] for probe in probes(subject.graph.layers) if probe.kind == "values"]
        for feed in fed(shown, net, subject.inputs).feeds:
            inputs = {name: torch.from_numpy(np.array(values)).requires_grad_() for name, values in feed.items()}
            with on_threads(execution.threads or None), torch.enable_grad():
                network.reset()
                blobs = network(inputs, [*wanted, *ends])
                total = torch.zeros(())
                for name in ends:
                    signs = torch.randint(0, 2, blobs[name].shape, generator=generator).float() * 2 - 1
                    total = total + (blobs[name] * signs).sum() / blobs[name].detach().norm().clamp_min(1e-20)
                if not total.requires_grad:
                    raise NetError("the outputs do not depend on the inputs in a way that has derivatives")
                values = [blobs[name] for name in wanted]
                known = [value for value in values if value.requires_grad]
                slopes = iter(torch.autograd.grad(total, known, allow_unused=True))
            found = {}
            for name, value in zip(wanted, values, strict=True):
                slope = next(slopes) if value.requires_grad else None
                found[name] = (value * slope if slope is not None else torch.zeros_like(value)).detach().numpy()
            yield found

    return contributions
