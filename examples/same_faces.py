"""Does the small face detector see what the large one saw?

Runs three networks through OpenCV on one photograph: the original files, the .demi handed over in memory, and the
expanded files. Prints their boxes and draws them over one another.

    python same_faces.py deploy.prototxt face.caffemodel face.demi out/ photo.png boxes.png
"""

import sys
from pathlib import Path

import cv2
import numpy as np

import demitasse


def faces(net: cv2.dnn.Net, photo: np.ndarray) -> np.ndarray:
    """Rows of (score, left, top, right, bottom) in pixels, of the faces that the network is at least half sure of."""
    height, width = photo.shape[:2]
    net.setInput(cv2.dnn.blobFromImage(photo, 1.0, (300, 300), (104, 117, 123)))
    rows = net.forward().reshape(-1, 7)
    return rows[rows[:, 2] > 0.5, 2:] * [1, width, height, width, height]


def draw(photo: np.ndarray, boxes: np.ndarray, colour: tuple[int, int, int], thickness: int) -> None:
    """Boxes and their scores onto the photograph."""
    for score, *corners in boxes:
        left, top, right, bottom = (round(float(value)) for value in corners)
        cv2.rectangle(photo, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
        cv2.putText(photo, f"{score:.3f}", (left, bottom + 10 * thickness), 0, 0.5, colour, 1, cv2.LINE_AA)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(a[3:], b[3:]) - np.maximum(a[1:3], b[1:3])
    common = float(np.prod(np.clip(sides, 0, None)))
    return common / float(np.prod(a[3:] - a[1:3]) + np.prod(b[3:] - b[1:3]) - common)


def main(deploy: str, model: str, demi: str, folder: str, photo_path: str, picture: str) -> int:
    """Exit status 0 if all three see the same faces."""
    photo = cv2.imread(photo_path)
    (text,), (weights,) = Path(folder).glob("*.prototxt"), Path(folder).glob("*.caffemodel")
    found = {
        model: faces(cv2.dnn.readNetFromCaffe(deploy, model), photo),
        demi: faces(demitasse.to_opencv(demitasse.load(demi)), photo),
        folder: faces(cv2.dnn.readNetFromCaffe(str(text), str(weights)), photo),
    }
    original, *others = found.values()
    same = all(
        len(boxes) == len(original) and all(overlap(a, b) >= 0.9 for a, b in zip(original, boxes, strict=True))
        for boxes in others
    )
    print(f"{'':17}{'size':>12}   faces: score, and box in pixels")
    for name, boxes in found.items():
        size = Path(name).stat().st_size if Path(name).is_file() else weights.stat().st_size
        seen = "; ".join(f"{score:.3f} ({', '.join(f'{v:.1f}' for v in box)})" for score, *box in boxes)
        print(f"{name:17}{size:>12,}   {seen or 'none'}")
    draw(photo, original, (0, 200, 0), 5)
    draw(photo, others[0], (0, 0, 255), 2)
    cv2.imwrite(picture, photo)
    print(f"{picture}: green the original's boxes, red those of {demi}")
    print("the same faces" if same else "NOT the same faces")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
