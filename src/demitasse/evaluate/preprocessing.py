"""What happens to a picture before the network sees it: size, mean, scale.

A deploy prototxt does not say. In order: what the caller gives, the ``transform_param`` of a data layer if the file has
one, what the network's family is known to use, the mean of ImageNet. For comparing a network with its own smaller
self any input in the right range will do, so a wrong guess here costs little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError, OptionError
from demitasse.evaluate.pictures import Picture
from demitasse.net import Net
from demitasse.runtime.opencv import import_opencv

__all__ = ["Preprocessing", "preprocessing"]

IMAGENET = (104.0, 117.0, 123.0)

FAMILIES: tuple[tuple[str, tuple[float, ...], float], ...] = (
    (r"\blenet|mnist", (0.0,), 1 / 256),
    (r"srcnn|vdsr|waifu|super.?res|qr_sr", (0.0,), 1 / 255),
    (r"^[prol]net$|mtcnn|slim|rfb", (127.5,), 1 / 128),
    (r"mobilenet.*ssd|mobilenet.*yolo", (127.5,), 1 / 127.5),
    (r"mobilenet|shufflenet|densenet", (103.94, 116.78, 123.68), 0.017),
    (r"cifar", (113.9, 123.0, 125.3), 1.0),
)
"""Pattern of the network's name, mean (blue first), scale: as their authors publish them."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """``(pixel - mean) * scale``, mean per channel with blue first, or one for all."""

    mean: tuple[float, ...] = IMAGENET
    scale: float = 1.0
    source: str = field(default="default", compare=False)

    def __str__(self) -> str:
        mean = ", ".join(f"{value:g}" for value in self.mean)
        return f"(pixel - {mean if len(self.mean) == 1 else f'({mean})'}) × {self.scale:g}"

    def __call__(self, picture: Picture, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The picture as a batch of one, ``(1, channels, height, width)``; grey for one channel.

        More than three channels repeat the picture. OptionError if the mean does not fit the channels."""
        _, channels, height, width = shape
        if len(self.mean) not in (1, channels):
            raise OptionError(f"--mean has {len(self.mean)} values, and the network's input has {channels} channels")
        pixels = resized(picture, height, width).astype(np.float32)
        if channels == 1:
            pixels = pixels @ np.array([0.114, 0.587, 0.299], np.float32)[:, None]
        planes = np.moveaxis(pixels, -1, 0)
        planes = np.concatenate([planes] * -(-channels // len(planes)))[:channels]
        mean = np.array(self.mean, np.float32).reshape(-1, 1, 1)
        return np.ascontiguousarray(((planes - mean) * np.float32(self.scale))[None])


def resized(picture: Picture, height: int, width: int) -> Picture:
    """The picture at another size, aspect ratio not kept (as Caffe's own data layers do)."""
    if picture.shape[:2] == (height, width):
        return picture
    cv2 = import_opencv("resizing pictures")
    shrinks = picture.shape[0] > height
    out: Picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return out


def preprocessing(
    net: Net, channels: int, mean: tuple[float, ...] | None = None, scale: float | None = None
) -> Preprocessing:
    """What to do with pictures for this network; ``mean`` and ``scale`` given win over what is known."""
    known = from_data_layer(net) or from_family(net, channels) or Preprocessing()
    if channels != 3 and len(known.mean) != 1:
        known = Preprocessing((0.0,), 1 / 255, "default")
    if mean is None and scale is None:
        return known
    return Preprocessing(
        known.mean if mean is None else mean, known.scale if scale is None else scale, "as given by option"
    )


def from_data_layer(net: Net) -> Preprocessing | None:
    """``transform_param`` of the last data layer that has one."""
    found = None
    for layer in net.layers:
        if layer.inputs:
            continue
        try:
            options = layer.message.message("transform_param")
            mean, scale = options.numbers("mean_value"), options.number("scale", 1.0)
        except NetError:
            continue
        if options and "mean_file" not in options:
            found = Preprocessing(mean or (0.0,), scale, f"transform_param of {layer.name}")
    return found


def from_family(net: Net, channels: int) -> Preprocessing | None:
    """What networks of that name use."""
    for pattern, mean, scale in FAMILIES:
        if re.search(pattern, net.name, re.IGNORECASE) and len(mean) in (1, channels):
            return Preprocessing(mean, scale, f"usual for {net.name}")
    return None
