"""Pictures from files, as OpenCV decodes them: rows, columns, blue first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.errors import FileError, MissingExtraError

__all__ = ["SUFFIXES", "Picture", "decoded", "import_cv2", "photograph", "photographs", "picture_files"]

Picture = npt.NDArray[np.uint8]
"""Height × width × 3, blue first, as OpenCV reads them; or × 1, grey, from a database of grey pictures."""

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Ends of names that are taken for pictures."""


def picture_files(folder: Path) -> list[Path]:
    """Every picture in a folder, by name. FileError if there are none."""
    if not folder.is_dir():
        raise FileError(f"{folder}: not a folder of pictures")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileError(f"{folder}: no pictures in it (looked for {', '.join(sorted(SUFFIXES))})")
    return paths


def photographs(folder: Path) -> list[tuple[str, Picture]]:
    """Name and pixels of every picture in a folder, by name. FileError if there are none, or one is unreadable."""
    return [(path.name, photograph(path)) for path in picture_files(folder)]


def photograph(path: Path) -> Picture:
    """One picture. FileError if it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    return decoded(data, str(path))


def decoded(data: bytes, name: str) -> Picture:
    """The picture that an encoded file holds. FileError, beginning with ``name``, for what is none."""
    cv2 = import_cv2()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        raise FileError(f"{name}: not a picture") from None
    if pixels is None:
        raise FileError(f"{name}: not a picture that OpenCV can read")
    read: Picture = pixels
    return read


def import_cv2() -> Any:
    """OpenCV, of any age: all of them decode pictures. MissingExtraError if there is none."""
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("opencv-python-headless", "opencv", "reading pictures") from None
    return cv2
