"""Pictures with boxes: VOC's XML, COCO's JSON, WIDER FACE's text. Corners in pixels, (left, top, right, bottom), the
right and the bottom outside of the box, as width and height are added to left and top.

VOC's corners are those of the first and the last pixel, counted from 1: they are turned into this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from demitasse.errors import FileError

__all__ = ["VOC_CLASSES", "Annotated", "Annotations", "read_annotations"]

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on

FACE = "face"

ENTITY = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """One picture. ``corners``: float64 ``(n, 4)``; ``labels``: a class's name for each box; ``ignored``: boxes that
    count neither if they are found nor if they are not (difficult, a crowd, invalid)."""

    path: Path
    corners: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    ignored: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """All pictures, by their order in the file or by name. ``classes``: names of the labels 1, 2, … of a detector."""

    pictures: tuple[Annotated, ...]
    classes: tuple[str, ...]
    form: str

    @property
    def boxes(self) -> int:
        """Boxes that count."""
        return sum(int((~picture.ignored).sum()) for picture in self.pictures)


def read_annotations(path: Path, root: Path | None = None, classes: Sequence[str] = ()) -> Annotations:
    """A COCO ``.json``, a folder of VOC's ``.xml`` (or the folder above ``Annotations``, or a list of names in its
    ``ImageSets``), or WIDER FACE's ``.txt``. ``root``: where the pictures are, if not where the form has them.
    ``classes``: names of the labels from 1 on, if not the form's own. FileError for what cannot be made sense of."""
    if not path.exists():
        raise FileError(f"{path}: there is no such file or folder")
    if path.suffix == ".json":
        found = coco(path, root)
    elif path.is_dir() or is_voc_list(path):
        found = voc(path, root)
    else:
        found = wider(path, root)
    if not found.pictures:
        raise FileError(f"{path}: no picture is annotated in it")
    return found if not classes else Annotations(found.pictures, tuple(classes), found.form)


def picture(path: Path, rows: Sequence[tuple[str, Sequence[float], bool]]) -> Annotated:
    """A picture from rows of label, corners and whether to ignore."""
    corners = np.array([row[1] for row in rows], np.float64).reshape(-1, 4)
    return Annotated(path, corners, tuple(row[0] for row in rows), np.array([row[2] for row in rows], np.bool_))


def is_voc_list(path: Path) -> bool:
    """Whether a text lies where VOC has its lists of names."""
    return path.suffix == ".txt" and "ImageSets" in path.parts and voc_folder(path) is not None


def voc_folder(path: Path) -> Path | None:
    """The folder with ``Annotations`` above a list of names."""
    return next((folder for folder in path.parents if (folder / "Annotations").is_dir()), None)


def voc(path: Path, root: Path | None) -> Annotations:
    """VOC: one XML for each picture."""
    if path.is_dir():
        inner = path / "Annotations"
        folder = inner if inner.is_dir() else path
        files = sorted(folder.glob("*.xml"))
    else:
        above = voc_folder(path) or path.parent
        folder = above / "Annotations"
        files = [folder / f"{line.split()[0]}.xml" for line in path.read_text().splitlines() if line.strip()]
    if not files:
        raise FileError(f"{path}: holds no VOC annotations (.xml)")
    beside = folder.parent / "JPEGImages"
    pictures = root or (beside if beside.is_dir() else folder)
    found = tuple(voc_picture(file, pictures) for file in files)
    names = {label for each in found for label in each.labels}
    return Annotations(found, VOC_CLASSES if names <= set(VOC_CLASSES) else tuple(sorted(names)), "VOC")


def voc_picture(path: Path, root: Path) -> Annotated:
    """One XML."""
    try:
        data = path.read_bytes()
        if ENTITY.search(data):
            raise FileError(f"{path}: declares entities, which annotations do not need")
        tree = ElementTree.fromstring(data)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except ElementTree.ParseError as error:
        raise FileError(f"{path}: not XML: {error}") from None
    rows = []
    for item in tree.iter("object"):
        box = item.find("bndbox")
        try:
            corners = [float((box.findtext(name) if box is not None else None) or "") for name in CORNERS]
        except ValueError:
            raise FileError(f"{path}: an object without a bndbox of four numbers") from None
        label = (item.findtext("name") or "").strip()
        left, top, right, bottom = corners
        rows.append((label, (left - 1, top - 1, right, bottom), (item.findtext("difficult") or "0").strip() == "1"))
    name = tree.findtext("filename") or f"{path.stem}.jpg"
    return picture(root / name.strip(), rows)


CORNERS = ("xmin", "ymin", "xmax", "ymax")


def coco(path: Path, root: Path | None) -> Annotations:
    """COCO: one JSON for all pictures."""
    try:
        said = json.loads(path.read_bytes())
        names = {int(each["id"]): str(each["name"]) for each in said["categories"]}
        rows: dict[int, list[tuple[str, Sequence[float], bool]]] = {int(each["id"]): [] for each in said["images"]}
        for each in said["annotations"]:
            left, top, width, height = (float(value) for value in each["bbox"])
            corners = (left, top, left + width, top + height)
            rows[int(each["image_id"])].append((names[int(each["category_id"])], corners, bool(each.get("iscrowd"))))
        files = {int(each["id"]): str(each["file_name"]) for each in said["images"]}
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise FileError(f"{path}: not COCO's annotations: {why}") from None
    folder = root or path.parent
    found = tuple(picture(folder / files[key], rows[key]) for key in rows)
    return Annotations(found, tuple(names[key] for key in sorted(names)), "COCO")


def wider(path: Path, root: Path | None) -> Annotations:
    """WIDER FACE: name, number of boxes, and a line for each (left, top, width, height, attributes)."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except UnicodeDecodeError:
        raise FileError(f"{path}: is neither COCO's JSON, nor a folder of VOC's XML, nor WIDER FACE's text") from None
    folder = root or path.parent
    return Annotations(tuple(wider_pictures(path, lines, folder)), (FACE,), "WIDER")


def wider_pictures(path: Path, lines: Sequence[str], folder: Path) -> Iterator[Annotated]:
    """One picture after the other. FileError names the line that makes no sense."""
    at = 0
    while at < len(lines):
        name = lines[at].strip()
        at += 1
        if not name:
            continue
        number = lines[at].strip() if at < len(lines) else ""
        if not number.isdecimal():
            raise FileError(f"{path}: line {at + 1}: should be the number of boxes of {name}")
        at += 1
        rows = []
        for _ in range(int(number)):
            rows.append(wider_box(path, at, lines[at] if at < len(lines) else ""))
            at += 1
        # The original has a line of zeros where there is no box.
        if not rows and at < len(lines) and lines[at].split() and set(lines[at].split()) == {"0"}:
            at += 1
        yield picture(folder / name, rows)


def wider_box(path: Path, at: int, line: str) -> tuple[str, Sequence[float], bool]:
    """One box; invalid ones, and those without area, are to be ignored."""
    parts = line.split()
    try:
        left, top, width, height = (float(part) for part in parts[:4])
    except ValueError:
        raise FileError(f"{path}: line {at + 1}: should begin with left, top, width and height of a box") from None
    invalid = (len(parts) > 7 and parts[7] == "1") or width <= 0 or height <= 0
    return FACE, (left, top, left + width, top + height), invalid
