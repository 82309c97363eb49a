"""What blobs of a network look like on pictures: for transforms that take that into account."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demitasse.evaluate.models import Subject
from demitasse.evaluate.shown import Shown, fed
from demitasse.net import Net
from demitasse.runtime import require_torch
from demitasse.transforms.transform import Activations

__all__ = ["on_pictures"]


def on_pictures(shown: Shown | str | os.PathLike[str], threads: int = 0) -> Activations:
    """The `Activations` on pictures, of a folder or as `Shown` says, by our own executor. ``threads`` 0: torch's own
    choice.

    NetError for a network that cannot be run, MissingExtraError without torch.
    """

    pictures = shown if isinstance(shown, Shown) else Shown(Path(shown))

    def activations(net: Net, wanted: Sequence[str]) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        require_torch("looking at activations")
        from demitasse.runtime.network import Network
        from demitasse.runtime.threads import infer

        subject = Subject(net)
        given = fed(pictures, net, subject.inputs)
        network = Network(subject.graph)
        for feed in given.feeds:
            with infer(threads or None):
                network.reset()
                found = {name: value.cpu().numpy() for name, value in network(feed, wanted).items()}
            yield found

    return activations
