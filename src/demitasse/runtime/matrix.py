"""The matrix that InfogainLoss reads from a file: a blob as Caffe writes it (binaryproto)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from demitasse.caffe.blob import read_blob
from demitasse.caffe.wire import BYTES, Reader, Record
from demitasse.errors import DemitasseError
from demitasse.layers.layertype import refuse
from demitasse.net import Layer

__all__ = ["matrix_of"]


def matrix_of(layer: Layer, source: str) -> torch.Tensor:
    """The blob in the file that the layer names. NetError if it cannot be read."""
    path = Path(source)
    try:
        data = path.read_bytes()
        blob = read_blob(Reader(memoryview(data), source), Record(0, BYTES, 0, 0, len(data)), "the matrix")
        values = np.array(blob.array(), np.float32)
    except (OSError, ValueError, DemitasseError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        refuse(layer, f'its matrix "{source}" cannot be read: {why}')
    return torch.from_numpy(values)
