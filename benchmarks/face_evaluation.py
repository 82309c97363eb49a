"""The zoo's face detectors on its annotated photos: average precision and recall, by our executor and by OpenCV.

    python benchmarks/face_evaluation.py

Ten photos with 43 boxes drawn by people, one photo without a face among them. Res10 gives boxes; those of the
ultralight detectors are decoded from their anchors here, and MTCNN's three networks are run one after the other, as
the authors' own programs do it: the networks do not hold these steps. The zoo's depthwise P-Net is left out: it says
"face" nearly everywhere, whichever way pictures are fed to it. IoU 0.5; precision and recall from the score on that
each detector is used with.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from corpus import ZOO, Model, res10
from demitasse.datasets.annotations import Annotated, Annotations
from demitasse.datasets.pictures import Picture, photograph
from demitasse.evaluate.average_precision import average_precisions, precision_and_recall, tallies
from demitasse.evaluate.detections import Agreement, Boxes, agreement, suppressed
from demitasse.evaluate.detectors import SingleShot
from demitasse.evaluate.models import Subject
from demitasse.evaluate.preprocessing import Preprocessing
from demitasse.evaluate.runtimes import Execution, Executor, OpenCV, Runtime
from table import publish

Floats = npt.NDArray[np.float64]
Seen = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
Detect = Callable[[Runtime, Sequence[Picture]], list[Boxes]]


def annotated(folder: Path) -> Annotations:
    boxes: dict[str, list[list[float]]] = {"no-faces.jpg": []}
    with (folder / "annotations.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            left, top, width, height = (float(row[name]) for name in ("left", "top", "width", "height"))
            boxes.setdefault(row["file"], []).append([left, top, left + width, top + height])
    pictures = [
        Annotated(folder / name, np.array(rows, float).reshape(-1, 4), ("face",) * len(rows), np.zeros(len(rows), bool))
        for name, rows in sorted(boxes.items())
    ]
    return Annotations(tuple(pictures), ("face",), "csv")


def subject(name: str) -> Subject:
    folder = ZOO / "models" / name
    return loaded(Model(name, folder / "deploy.prototxt", folder / f"{name}.caffemodel"))


def loaded(model: Model) -> Subject:
    return Subject(model.load(), model.deploy, model.weights)


def faces(scores: Floats, corners: Floats) -> Boxes:
    """Rows of (1, score, corners)."""
    return np.column_stack([np.ones(len(scores)), scores, corners]).astype(np.float32)


def single_shot(net: Subject) -> Detect:
    prepare = Preprocessing((104.0, 177.0, 123.0))

    def detect(runtime: Runtime, pictures: Sequence[Picture]) -> list[Boxes]:
        feeds = [{"data": prepare(picture, (1, 3, 300, 300))} for picture in pictures]
        output = SingleShot("detection_out")
        found = []
        for picture, values, feed in zip(pictures, runtime.run(net, feeds, output.layers), feeds, strict=True):
            boxes = output.boxes(values, feed, 0.01)
            found.append(in_pixels(boxes, picture))
        return found

    return detect


def in_pixels(boxes: Boxes, picture: Picture) -> Boxes:
    """Corners as shares of the picture, as pixels within it."""
    height, width = picture.shape[:2]
    sides = np.array([width, height, width, height])
    return faces(boxes[:, 1], np.clip(boxes[:, 2:] * sides, 0, sides))


def anchors(height: int = 240, width: int = 320) -> Floats:
    """Of the ultralight detectors: centre and size, as shares of the picture, for each cell of four maps."""
    rows = []
    for stride, sizes in ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256))):
        for row in range(-(-height // stride)):
            for column in range(-(-width // stride)):
                centre = (column + 0.5) * stride / width, (row + 0.5) * stride / height
                rows += [(*centre, size / width, size / height) for size in sizes]
    return np.clip(np.array(rows), 0, 1)


def ultralight(net: Subject) -> Detect:
    prepare = Preprocessing((127.0,), 1 / 128, "rgb")
    places = anchors()

    def detect(runtime: Runtime, pictures: Sequence[Picture]) -> list[Boxes]:
        feeds = [{net.graph.inputs[0]: prepare(picture, (1, 3, 240, 320))} for picture in pictures]
        found = []
        for picture, values in zip(pictures, runtime.run(net, feeds, ["boxes", "scores"]), strict=True):
            moves = values["boxes"].reshape(-1, 4).astype(np.float64)
            centres = places[:, :2] + moves[:, :2] * 0.1 * places[:, 2:]
            half = places[:, 2:] * np.exp(moves[:, 2:] * 0.2) / 2
            scores = values["scores"].reshape(-1, 2)[:, 1]
            boxes = faces(scores, np.hstack([centres - half, centres + half]))[scores >= 0.01]
            found.append(in_pixels(suppressed(boxes, 0.3), picture))
        return found

    return detect


SMALLEST, SHRINK = 20, 0.709
"""MTCNN: pixels of the smallest face, and how much smaller each level of the pyramid is."""


def mtcnn(proposal: Subject, refinement: Subject, output: Subject, seen: Seen) -> Detect:
    """``seen``: how pictures are fed to the last network."""

    def detect(runtime: Runtime, pictures: Sequence[Picture]) -> list[Boxes]:
        found = proposed(runtime, proposal, pictures)
        found = refined(runtime, refinement, pictures, found, Stage(24, "conv5-2", 0.7, in_columns))
        return refined(runtime, output, pictures, found, Stage(48, "conv6-2", 0.5, seen))

    return detect


def in_columns(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """MTCNN was trained in MATLAB: red first, columns before rows."""
    return np.ascontiguousarray(((pixels[..., ::-1] - 127.5) * 0.0078125).transpose(2, 1, 0)[None], np.float32)


def in_rows(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """And its accelerated last network in C++: blue first, as OpenCV has pictures."""
    return np.ascontiguousarray(((pixels - 127.5) * 0.0078125).transpose(2, 0, 1)[None], np.float32)


@dataclass(frozen=True)
class Stage:
    """Side of the network's input, its layer of regressions, the least score, and how pictures are fed."""

    side: int
    regression: str
    least: float
    seen: Seen


def proposed(runtime: Runtime, net: Subject, pictures: Sequence[Picture]) -> list[Boxes]:
    """The first network, over a pyramid: a box wherever a cell of its map says so."""
    feeds, whose = [], []
    for i, picture in enumerate(pictures):
        scale, side = 12 / SMALLEST, min(picture.shape[:2]) * 12 / SMALLEST
        while side >= 12:
            height, width = (int(np.ceil(size * scale)) for size in picture.shape[:2])
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
            feeds.append({"data": in_columns(small)})
            whose.append((i, scale))
            scale, side = scale * SHRINK, side * SHRINK
    found: list[list[Boxes]] = [[np.empty((0, 6), np.float32)] for _ in pictures]
    for (i, scale), values in zip(whose, runtime.run(net, feeds, ["prob1", "conv4-2"]), strict=True):
        scores, moves = values["prob1"][0, 1].T, values["conv4-2"][0].transpose(2, 1, 0)
        rows, columns = np.nonzero(scores >= 0.6)
        start = np.stack([columns, rows], 1) * 2
        corners = np.hstack([(start + 1) / scale, (start + 12) / scale])
        boxes = faces(scores[rows, columns], moved(corners, moves[rows, columns]))
        found[i].append(suppressed(boxes, 0.5))
    return [suppressed(np.concatenate(each), 0.7) for each in found]


def moved(corners: Floats, moves: npt.NDArray[np.float32]) -> Floats:
    """Corners shifted by shares of the box's sides."""
    sides = corners[:, 2:] - corners[:, :2]
    return corners + moves * np.hstack([sides, sides])


def refined(
    runtime: Runtime, net: Subject, pictures: Sequence[Picture], found: Sequence[Boxes], stage: Stage
) -> list[Boxes]:
    """A later network, on what an earlier one found, made square and brought to one size."""
    kept = [i for i, boxes in enumerate(found) if len(boxes)]
    squares = {i: square(found[i][:, 2:].astype(np.float64)) for i in kept}
    feeds = [{"data": np.concatenate([cut(pictures[i], box, stage) for box in squares[i]])} for i in kept]
    out: list[Boxes] = [np.empty((0, 6), np.float32) for _ in pictures]
    for i, values in zip(kept, runtime.run(net, feeds, ["prob1", stage.regression]), strict=True):
        scores = values["prob1"][:, 1]
        boxes = faces(scores, moved(squares[i], values[stage.regression]))[scores >= stage.least]
        out[i] = suppressed(boxes, 0.7)
    return out


def square(corners: Floats) -> Floats:
    """Boxes with the longer side for both."""
    sides = corners[:, 2:] - corners[:, :2]
    longer = sides.max(axis=1, keepdims=True)
    start = np.round(corners[:, :2] + (sides - longer) / 2)
    return np.hstack([start, start + np.round(longer)])


def cut(picture: Picture, box: Floats, stage: Stage) -> npt.NDArray[np.float32]:
    """A box of a picture, black where it lies outside, at the size of a network."""
    left, top, right, bottom = (int(value) for value in box)
    height, width = picture.shape[:2]
    out = np.zeros((max(1, bottom - top), max(1, right - left), 3), np.uint8)
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = picture[rows, columns]
        out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = inside
    small = cv2.resize(out, (stage.side, stage.side), interpolation=cv2.INTER_AREA)
    return stage.seen(small.astype(np.float32))


def main() -> None:
    truth = annotated(ZOO / "data" / "faces")
    pictures = [photograph(each.path) for each in truth.pictures]
    first_two = subject("mtcnn_det1"), subject("mtcnn_det2")
    detectors: list[tuple[str, Detect, float]] = [
        ("res10 SSD", single_shot(loaded(res10())), 0.5),
        ("ultralight RFB 320", ultralight(subject("ultralight_face_rfb320")), 0.6),
        ("ultralight slim 320", ultralight(subject("ultralight_face_slim320")), 0.6),
        ("MTCNN", mtcnn(*first_two, subject("mtcnn_det3"), in_columns), 0.7),
        ("MTCNN, half O-Net", mtcnn(*first_two, subject("mtcnn_det3_half"), in_rows), 0.7),
    ]
    rows, furthest, unpaired = [], 0.0, 0
    for name, detect, score in detectors:
        both = {}
        for label, runtime in (("OpenCV", OpenCV(Execution())), ("executor", Executor(Execution()))):
            both[label] = detect(runtime, pictures)
            made = tallies(truth, both[label], "voc")
            precision, recall = (float(value[0]) for value in precision_and_recall(made, score))
            rows.append(
                {
                    "detector": name,
                    "run by": label,
                    "AP at IoU 0.5": float(average_precisions(made[0], "voc")[0]),
                    "AP, 11 points": float(average_precisions(made[0], "voc07")[0]),
                    "from score": score,
                    "precision": precision,
                    "recall": recall,
                }
            )
        sure = {label: [each[each[:, 1] >= score] for each in boxes] for label, boxes in both.items()}
        pairs = zip(sure["OpenCV"], sure["executor"], strict=True)
        agreed = sum((agreement(one, other) for one, other in pairs), Agreement(0, 0, 0))
        furthest = max(furthest, agreed.worst_score)
        unpaired += agreed.expected - agreed.matched + agreed.added
    summary = {
        "photos": len(pictures),
        "faces": truth.boxes,
        "boxes that only one of the two finds": unpaired,
        "largest difference of scores between them": furthest,
    }
    publish("face_evaluation", "Face detectors on annotated photos", rows, summary)


if __name__ == "__main__":
    main()
