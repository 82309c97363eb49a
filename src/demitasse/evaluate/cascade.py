"""MTCNN's cascade (Zhang et al., "Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks",
2016): a network looks for faces in a pyramid of a picture, two more look at what it found.

The steps between the networks are in none of them. They are done here as the authors' own program does them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import Picture
from demitasse.errors import NetError
from demitasse.evaluate.detections import Boxes, suppressed
from demitasse.evaluate.models import Model, Subject
from demitasse.evaluate.runtimes import Runtime
from demitasse.layers import infer
from demitasse.runtime.opencv import import_opencv

__all__ = ["SEEN", "Cascade", "CascadeHead", "Stage", "stage"]

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

Seen = Literal["columns", "rows"]
"""How a network was shown pictures: columns before rows and red first, as MATLAB has them, or as OpenCV has them."""

SEEN: dict[Seen, Callable[[Array], Array]] = {
    "columns": lambda pixels: pixels[..., ::-1].transpose(2, 1, 0),
    "rows": lambda pixels: pixels.transpose(2, 0, 1),
}

STRIDE = 2
"""Pixels between two places that the first network looks at."""

WITHIN, ACROSS = 0.5, 0.7
"""Overlap above which the worse of two boxes goes: on one level of the pyramid, and everywhere else."""


@dataclass(frozen=True, slots=True)
class CascadeHead:
    """``smallest``: pixels of the smallest face; ``factor``: how much smaller each level of the pyramid is; ``least``:
    scores from which each of the three networks believes in a face; ``seen``: how each is shown pictures."""

    smallest: float = 20.0
    factor: float = 0.709
    least: tuple[float, float, float] = (0.6, 0.7, 0.5)
    seen: tuple[Seen, Seen, Seen] = ("columns", "columns", "columns")


@dataclass(frozen=True, slots=True)
class Stage:
    """One network: its input, the side of a picture that it looks at, and its layers of probabilities and shifts."""

    model: Model
    input: str
    side: int
    scores: str
    shifts: str


def stage(model: Model) -> Stage:
    """A network as a stage. NetError if it does not give two probabilities and four shifts for a square."""
    (name, shape), *more = model.inputs.items()
    if isinstance(model, Subject) and not more and len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3]:
        blobs = infer(model.graph).blobs
        ends = [layer for layer in model.graph.layers if set(layer.outputs) & set(model.graph.outputs)]
        channels = {layer.name: (blobs[layer.outputs[0]] or (0, 0))[1] for layer in ends}
        scores = [layer.name for layer in ends if layer.type == "Softmax" and channels[layer.name] == 2]
        shifts = [layer.name for layer in ends if layer.type != "Softmax" and channels[layer.name] == 4]
        if len(scores) == len(shifts) == 1:
            return Stage(model, name, shape[2], scores[0], shifts[0])
    raise NetError(
        "three networks are taken for MTCNN's cascade, each of which reads a square of three channels and gives a "
        f"Softmax of two classes and four numbers; this one reads {name} {'×'.join(map(str, shape))}"
    )


@dataclass(frozen=True, slots=True)
class Cascade:
    """Three networks, the first one for all places of a picture, and what runs them."""

    stages: tuple[Stage, Stage, Stage]
    runtime: Runtime
    head: CascadeHead

    def boxes(self, picture: Picture) -> Boxes:
        """Rows of (1, score, left, top, right, bottom) in pixels, which may lie outside of the picture."""
        found = self.proposed(picture)
        for which in (1, 2):
            found = self.refined(picture, found, which)
        return found

    def proposed(self, picture: Picture) -> Boxes:
        """What the first network finds in the pyramid of a picture."""
        first, head = self.stages[0], self.head
        scales, feeds = [], []
        scale = first.side / head.smallest
        while min(picture.shape[:2]) * scale >= first.side:
            height, width = (int(np.ceil(size * scale)) for size in picture.shape[:2])
            feeds.append({first.input: self.shown([resized(picture, height, width)], 0)})
            scales.append(scale)
            scale *= head.factor
        runs = self.runtime.run(first.model, feeds, (first.scores, first.shifts)) if feeds else []
        found = [np.empty((0, 6), np.float32)]
        for scale, values in zip(scales, runs, strict=True):
            scores, shifts = values[first.scores][0, 1], values[first.shifts][0].transpose(1, 2, 0)
            if head.seen[0] == "columns":
                scores, shifts = scores.T, shifts.transpose(1, 0, 2)
            rows, columns = np.nonzero(scores >= head.least[0])
            start = np.stack([columns, rows], 1) * STRIDE
            corners = np.hstack([(start + 1) / scale, (start + first.side) / scale])
            boxes = faces(scores[rows, columns], shifted(corners, shifts[rows, columns]))
            found.append(suppressed(boxes, WITHIN))
        return suppressed(np.concatenate(found), ACROSS)

    def refined(self, picture: Picture, boxes: Boxes, which: int) -> Boxes:
        """What a later network makes of the boxes of the one before, made square and brought to one size."""
        if not len(boxes):
            return boxes
        own = self.stages[which]
        squares = square(boxes[:, 2:].astype(np.float64))
        cuts = [resized(cut(picture, box), own.side, own.side) for box in squares]
        feed = {own.input: self.shown(cuts, which)}
        (values,) = self.runtime.run(own.model, [feed], (own.scores, own.shifts))
        scores = values[own.scores].reshape(len(boxes), 2)[:, 1]
        found = faces(scores, shifted(squares, values[own.shifts].reshape(len(boxes), 4)))
        return suppressed(found[scores >= self.head.least[which]], ACROSS)

    def shown(self, pictures: Sequence[Array], which: int) -> Array:
        """Pictures of one size as a batch."""
        turned = [SEEN[self.head.seen[which]]((pixels - 127.5) * 0.0078125) for pixels in pictures]
        return np.ascontiguousarray(np.stack(turned), np.float32)


def faces(scores: npt.NDArray[np.float32], corners: Floats) -> Boxes:
    """Rows of (1, score, corners)."""
    return np.column_stack([np.ones(len(scores)), scores, corners]).astype(np.float32)


def shifted(corners: Floats, shifts: Array) -> Floats:
    """Corners shifted by shares of the box's sides."""
    sides = corners[:, 2:] - corners[:, :2]
    return corners + shifts * np.hstack([sides, sides])


def square(corners: Floats) -> Floats:
    """Boxes with the longer side for both."""
    sides = corners[:, 2:] - corners[:, :2]
    longer = sides.max(axis=1, keepdims=True)
    start = np.round(corners[:, :2] + (sides - longer) / 2)
    return np.hstack([start, start + np.round(longer)])


def cut(picture: Picture, box: Floats) -> Picture:
    """A box of a picture, black where it lies outside."""
    left, top, right, bottom = (int(value) for value in box)
    height, width = picture.shape[:2]
    out = np.zeros((max(1, bottom - top), max(1, right - left), 3), np.uint8)
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = picture[rows, columns]
        out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = inside
    return out


def resized(picture: Picture, height: int, width: int) -> Array:
    """The picture at another size, by area."""
    cv2 = import_opencv("resizing pictures")
    found: Array = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return found
