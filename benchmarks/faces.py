"""The res10 face detector, size against faces: what each quality keeps, on every photo of the zoo, through OpenCV.

    python benchmarks/faces.py [--quality DB ...]

A box of the original with a score of at least 0.5 is kept if a box of the result with a score of at least 0.5 covers it
at IoU 0.9 or more; a box of the result that so covers none of the original's is added.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import demitasse as dm
from corpus import ZOO, res10
from demitasse.evaluate.detections import Agreement, Boxes, agreement, boxes_of
from measuring import command
from table import publish


def detections(net: Any, photo: npt.NDArray[np.uint8]) -> Boxes:
    net.setInput(cv2.dnn.blobFromImage(photo, 1.0, (300, 300), (104.0, 177.0, 123.0)))
    return boxes_of(net.forward())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", type=float, nargs="*", default=[])
    qualities = parser.parse_args().quality
    model = res10()
    photos = [cv2.imread(str(path)) for path in sorted((ZOO / "data" / "faces").glob("*.jpg"))]
    original = cv2.dnn.readNetFromCaffe(str(model.deploy), str(model.weights))
    expected = [detections(original, photo) for photo in photos]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for quality in [None, *qualities]:
            stored = Path(folder) / "face.demi"
            chosen = [] if quality is None else ["--quality", quality]
            command("compress", model.deploy, model.weights, "-o", stored, "--no-run", "-q", *chosen)
            net = dm.to_opencv(dm.load(stored))
            pairs = zip(expected, photos, strict=True)
            found = sum((agreement(boxes, detections(net, photo)) for boxes, photo in pairs), Agreement(0, 0, 0))
            size = stored.stat().st_size
            rows.append(
                {
                    "quality, dB": "default" if quality is None else f"{quality:g}",
                    "bytes": size,
                    "times smaller": model.size / size,
                    "faces": found.expected,
                    "lost": found.expected - found.matched,
                    "added": found.added,
                    "least overlap": found.worst_overlap,
                    "largest score change": found.worst_score,
                }
            )
            stored.unlink()
    summary = {f"default, {key}": rows[0][key] for key in ("times smaller", "lost", "added")}
    publish("faces", f"res10 face detector on {len(photos)} photos", rows, summary)


if __name__ == "__main__":
    main()
