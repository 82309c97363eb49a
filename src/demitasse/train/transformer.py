"""What ``transform_param`` does to a picture on its way into a network (``src/caffe/data_transformer.cpp``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.datasets.mean import read_mean
from demitasse.errors import NetError
from demitasse.layers.layertype import text
from demitasse.message import Message

__all__ = ["Transformer", "transformer"]


@dataclass(frozen=True, slots=True, eq=False)
class Transformer:
    """Mean, scale, crop and mirror. ``mean``: a picture (channels, height, width), or a value a channel (channels, 1,
    1), or ``None``. ``training``: crops lie anywhere, else in the middle; pictures are mirrored in both phases."""

    scale: float = 1.0
    mirror: bool = False
    crop: int = 0
    mean: npt.NDArray[np.float32] | None = None
    training: bool = False

    def __call__(self, picture: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[np.float32]:
        """float32 (channels, height, width) of a picture in that order of axes. NetError if it does not fit."""
        height, width = picture.shape[1:]
        top, left, rows, columns = 0, 0, height, width
        if self.crop:
            if height < self.crop or width < self.crop:
                raise NetError(f"a crop of {self.crop} does not fit into a picture of {text((height, width))}")
            rows = columns = self.crop
            room = height - rows, width - columns
            top, left = (
                (int(random.integers(room[0] + 1)), int(random.integers(room[1] + 1)))
                if self.training
                else (room[0] // 2, room[1] // 2)
            )
        mirrored = self.mirror and bool(random.integers(2))
        window = (slice(None), slice(top, top + rows), slice(left, left + columns))
        values = picture[window].astype(np.float32)
        if self.mean is not None:
            values -= self.mean_for(picture.shape)[window]
        if self.scale != 1.0:
            values *= np.float32(self.scale)
        return np.ascontiguousarray(values[:, :, ::-1]) if mirrored else values

    def mean_for(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The mean at every place of a picture. NetError if it is that of others."""
        mean = self.mean
        if mean is None:
            return np.zeros(shape, np.float32)
        if mean.shape[1:] == (1, 1) and mean.shape[0] in (1, shape[0]):
            return np.broadcast_to(mean, shape)
        if mean.shape != shape:
            raise NetError(f"the mean picture is {text(mean.shape)}, and a picture is {text(shape)}")
        return mean


def transformer(param: Message, folder: Path, phase: str) -> Transformer:
    """What a ``transform_param`` says. FileError for a mean that cannot be read, NetError for contradictions."""
    values = param.numbers("mean_value")
    mean: npt.NDArray[np.float32] | None = None
    if "mean_file" in param:
        if values:
            raise NetError("transform_param has both mean_file and mean_value; it may have only one of them")
        mean = read_mean(folder / param.string("mean_file"))
    elif values:
        mean = np.array(values, np.float32).reshape(-1, 1, 1)
    return Transformer(
        scale=param.number("scale", 1.0),
        mirror=param.flag("mirror"),
        crop=param.integer("crop_size"),
        mean=mean,
        training=phase == "TRAIN",
    )
