"""The mean picture of a training set: ``mean.binaryproto`` of Caffe's compute_image_mean, or a numpy array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from demitasse.atomic import replacing
from demitasse.caffe.blob import read_blob
from demitasse.caffe.encode import encode, field_header
from demitasse.caffe.wire import BYTES, Reader, Record
from demitasse.errors import DemitasseError, FileError
from demitasse.message import Message

__all__ = ["read_mean", "write_mean"]


def read_mean(path: Path) -> npt.NDArray[np.float32]:
    """Channels × height × width, blue first as in the file. FileError for what is no mean picture."""
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            data = path.read_bytes()
            blob = read_blob(Reader(memoryview(data), str(path)), Record(0, BYTES, 0, 0, len(data)), "the mean")
            values = blob.array()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except (EOFError, ValueError, DemitasseError) as error:
        raise FileError(f"{path}: not a mean picture: {error}") from None
    if values.ndim == 4 and len(values) == 1:
        values = values[0]
    if values.ndim != 3 or not values.size or not np.issubdtype(values.dtype, np.floating):
        raise FileError(f"{path}: a mean picture is channels × height × width, and this is {values.shape}")
    return np.ascontiguousarray(values, np.float32)


def write_mean(path: Path, values: npt.NDArray[np.float32]) -> None:
    """A mean of shape (channels, height, width) as Caffe's tools write it: one picture in a blob."""
    channels, height, width = values.shape
    sizes = Message.of(("num", 1), ("channels", channels), ("height", height), ("width", width))
    data = np.ascontiguousarray(values, "<f4").tobytes()
    with replacing(path) as file:
        file.write(encode(sizes, "BlobProto") + field_header(5, len(data)) + data)
