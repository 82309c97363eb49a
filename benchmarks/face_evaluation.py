"""The zoo's face detectors on its annotated photos: average precision and recall, by our executor and by OpenCV.

    python benchmarks/face_evaluation.py

Ten photos with 43 boxes drawn by people, one photo without a face among them. Res10 gives boxes; those of the
ultralight detectors are decoded from their anchors, and MTCNN's three networks are run one after the other, as
``demitasse evaluate`` does it. The zoo's depthwise P-Net is left out: it says "face" nearly everywhere, whichever way
pictures are fed to it. IoU 0.5; precision and recall from the score on that each detector is used with.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from corpus import ZOO, Model, res10
from demitasse.datasets.annotations import Annotated, Annotations
from demitasse.evaluate.anchors import Anchors
from demitasse.evaluate.average_precision import average_precisions, precision_and_recall, tallies
from demitasse.evaluate.cascade import Cascade, CascadeHead, Seen, stage
from demitasse.evaluate.detection import detected, detected_by_cascade
from demitasse.evaluate.detections import Agreement, Boxes, agreement
from demitasse.evaluate.detectors import detector_of
from demitasse.evaluate.models import Subject
from demitasse.evaluate.preprocessing import Stated
from demitasse.evaluate.runtimes import Execution, Executor, OpenCV, Runtime
from demitasse.evaluate.sessions import session
from table import publish

Detect = Callable[[Runtime, Annotations], list[Boxes]]
PROGRAMS = {"OpenCV": OpenCV(Execution()), "executor": Executor(Execution())}


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


def single(net: Subject, stated: Stated = Stated()) -> Detect:  # noqa: B008 - a value, and nobody changes it
    """One network, prepared as stated or as is usual for its head."""

    def detect(runtime: Runtime, truth: Annotations) -> list[Boxes]:
        boxes_of = detector_of(net)
        usual = boxes_of.head.usual if isinstance(boxes_of, Anchors) else Stated()
        asked = "opencv" if runtime.independent else "executor"
        return detected(session(net, stated.over(usual), Execution(), asked), truth, boxes_of)

    return detect


def mtcnn(*networks: Subject, last: Seen) -> Detect:
    """``last``: how the last network is shown pictures."""
    head = CascadeHead(seen=("columns", "columns", last))

    def detect(runtime: Runtime, truth: Annotations) -> list[Boxes]:
        first, second, third = map(stage, networks)
        return detected_by_cascade(Cascade((first, second, third), runtime, head), truth)

    return detect


def main() -> None:
    truth = annotated(ZOO / "data" / "faces")
    first_two = subject("mtcnn_det1"), subject("mtcnn_det2")
    detectors: list[tuple[str, Detect, float]] = [
        ("res10 SSD", single(loaded(res10()), Stated(mean=(104.0, 177.0, 123.0), scale=1.0)), 0.5),
        ("ultralight RFB 320", single(subject("ultralight_face_rfb320")), 0.6),
        ("ultralight slim 320", single(subject("ultralight_face_slim320")), 0.6),
        ("MTCNN", mtcnn(*first_two, subject("mtcnn_det3"), last="columns"), 0.7),
        ("MTCNN, half O-Net", mtcnn(*first_two, subject("mtcnn_det3_half"), last="rows"), 0.7),
    ]
    rows, furthest, unpaired = [], 0.0, 0
    for name, detect, score in detectors:
        both = {}
        for label, runtime in PROGRAMS.items():
            both[label] = detect(runtime, truth)
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
        "photos": len(truth.pictures),
        "faces": truth.boxes,
        "boxes that only one of the two finds": unpaired,
        "largest difference of scores between them": furthest,
    }
    publish("face_evaluation", "Face detectors on annotated photos", rows, summary)


if __name__ == "__main__":
    main()
