"""Boxes from a head of anchors: for each anchor scores and a regression, and nothing in the network that applies them.

Which anchors those are is not in the file, only how many. A head that is known by its numbers is recognised, any other
has to be described.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.evaluate.detections import Boxes, suppressed
from demitasse.evaluate.preprocessing import Stated, preprocessing
from demitasse.net import Net

__all__ = ["HEADS", "AnchorHead", "Anchors", "Shapes", "Sides", "Squash", "outputs_in", "recognised", "with_usual"]

Values = Mapping[str, npt.NDArray[np.float32]]
Shapes = Mapping[str, tuple[int | None, ...]]
Floats = npt.NDArray[np.float64]

Sides = tuple[float, float]
"""Width and height of an anchor, in pixels of the network's input."""

Squash = Literal["none", "softmax", "sigmoid"]
"""What makes probabilities of scores, if the network has not done it."""


NOTHING = Stated()


@dataclass(frozen=True, slots=True)
class AnchorHead:
    """Which anchors there are, and what regressions mean.

    ``cells``: for each map, finest first, the pixels between its cells and the anchors of each cell; maps follow each
    other, cells in reading order. ``variances``: what regressions of the centre and of the (logarithmic) sides are
    multiplied by, as in SSD. ``clip``: anchors are cut to the picture. ``background``: the first score is that of no
    object. ``overlap``: above which of two boxes of one label the worse one goes. ``boxes``, ``scores``: the layers, if
    they are not to be found by their shapes. ``usual``: how pictures are prepared if nobody says.
    """

    cells: tuple[tuple[int, tuple[Sides, ...]], ...]
    variances: tuple[float, float] = (0.1, 0.2)
    clip: bool = False
    background: bool = True
    overlap: float = 0.3
    squash: Squash = "none"
    boxes: str = ""
    scores: str = ""
    usual: Stated = NOTHING

    def anchors(self, height: int, width: int) -> Floats:
        """Rows of centre and sides, as shares of a picture of that size."""
        maps = []
        for stride, sides in self.cells:
            y, x = np.mgrid[: -(-height // stride), : -(-width // stride)].astype(np.float64)
            centres = (np.stack([x, y], -1)[:, :, None, :] + 0.5) * stride
            centres = np.broadcast_to(centres, (*x.shape, len(sides), 2))
            maps.append(np.concatenate([centres, np.broadcast_to(np.array(sides), centres.shape)], -1).reshape(-1, 4))
        found: Floats = np.concatenate(maps) / [width, height, width, height]
        return found.clip(0, 1) if self.clip else found

    def count(self, height: int, width: int) -> int:
        """Anchors in a picture of that size."""
        return sum(-(-height // stride) * -(-width // stride) * len(sides) for stride, sides in self.cells)


def squares(*sizes: float) -> tuple[Sides, ...]:
    """Anchors as wide as high."""
    return tuple((size, size) for size in sizes)


HEADS: Mapping[str, AnchorHead] = {
    "ultralight": AnchorHead(
        (
            (8, squares(10, 16, 24)),
            (16, squares(32, 48)),
            (32, squares(64, 96)),
            (64, squares(128, 192, 256)),
        ),
        clip=True,
        usual=Stated(mean=(127.0,), scale=1 / 128, order="rgb"),
    ),
}
"""Known heads. ``ultralight``: Linzaer's Ultra-Light-Fast-Generic-Face-Detector-1MB, RFB and slim."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """An `AnchorHead` in a network: layers of regressions and scores, one row an anchor, and the input of pictures."""

    regressions: str
    scores: str
    picture: str
    head: AnchorHead

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose outputs `boxes` needs."""
        return (self.regressions, self.scores)

    def boxes(self, values: Values, feed: Values, threshold: float = 0.5) -> Boxes:
        """Rows (label, score, left, top, right, bottom), corners as shares of the picture, of at least that score.

        Labels begin at 1. NetError if the layers do not give a row for each anchor.
        """
        height, width = feed[self.picture].shape[2:]
        places = self.head.anchors(height, width)
        number = len(places)
        moves, scores = values[self.regressions], values[self.scores]
        if moves.size != 4 * number or scores.size % number:
            raise NetError(
                f"{self.regressions} {moves.shape} and {self.scores} {scores.shape} are not the head that is "
                f"described: it has {number} anchors in a picture of {height}×{width}"
            )
        each = moves.reshape(number, 4).astype(np.float64)
        centres = places[:, :2] + each[:, :2] * self.head.variances[0] * places[:, 2:]
        half = places[:, 2:] * np.exp(np.minimum(each[:, 2:] * self.head.variances[1], 20)) / 2
        corners = np.hstack([centres - half, centres + half])
        chances = squashed(scores.reshape(number, -1).astype(np.float64), self.head.squash)
        chances = chances[:, 1:] if self.head.background else chances
        which, label = np.nonzero(chances >= threshold)
        rows = np.column_stack([label + 1, chances[which, label], corners[which]])
        return suppressed(rows.astype(np.float32), self.head.overlap)


def squashed(scores: Floats, how: Squash) -> Floats:
    """Probabilities, classes along the last axis."""
    if how == "sigmoid":
        return 1 / (1 + np.exp(-scores))
    if how == "softmax":
        powers: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
        return shares
    return scores


def outputs_in(outputs: Shapes) -> tuple[str, str, int] | None:
    """The outputs that give four numbers and a few scores for each of many anchors, and how many these are; ``None``
    if the outputs are anything else."""
    rows = {name: shape for name, shape in outputs.items() if len(shape) == 3}
    if len(rows) != 2 or len(outputs) != 2:
        return None
    for boxes, scores in (tuple(rows), tuple(rows)[::-1]):
        number, classes = rows[boxes][1], rows[scores][2]
        # Of two outputs of four columns the one whose name says so holds the boxes.
        named = "box" in boxes.lower() or "loc" in boxes.lower() or classes != 4
        if rows[boxes][2] == 4 and number and number == rows[scores][1] and classes and named:
            return boxes, scores, number
    return None


def with_usual(stated: Stated, net: Net | None, head: AnchorHead) -> Stated:
    """What is stated of preparing pictures, and the head's usual way where nothing else is known of the network."""
    known = preprocessing(net if net is not None else Net("", ()), 3)
    return stated.over(head.usual) if known.source == "default" else stated


def recognised(number: int, height: int, width: int) -> AnchorHead | None:
    """The known head with that number of anchors in a picture of that size."""
    return next((head for head in HEADS.values() if head.count(height, width) == number), None)
