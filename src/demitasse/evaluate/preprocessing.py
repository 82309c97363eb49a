"""What happens to a picture before the network sees it: size, order of channels, mean, scale.

A deploy prototxt does not say. In order: what the caller states, what a .demi remembers, the ``transform_param`` of a
data layer if the file has one, what the network's family is known to use, the mean of ImageNet. For comparing a network
with its own smaller self any input in the right range will do, so a wrong guess there costs little; for evaluating it
on labels it costs everything, so the result says what was used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import Picture
from demitasse.errors import NetError, OptionError
from demitasse.evaluate.fit import RESIZES, Fit, Resize, fitting
from demitasse.net import Net

__all__ = ["KEY", "ORDERS", "Order", "Preprocessing", "Stated", "preprocessing", "remembered", "remembering"]

Order = Literal["bgr", "rgb"]
"""Blue first, as OpenCV reads pictures and Caffe's own networks expect them, or red first."""

ORDERS: tuple[Order, ...] = ("bgr", "rgb")

KEY = "preprocessing"
"""In `Net.metadata`."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Stated:
    """What somebody says about it; ``None``: nothing. See `Preprocessing`."""

    mean: tuple[float, ...] | None = None
    scale: float | None = None
    order: Order | None = None
    resize: Resize | None = None
    size: tuple[int, int] | None = None
    mean_picture: npt.NDArray[np.float32] | None = None

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return any(getattr(self, each.name) is not None for each in fields(self))

    def over(self, other: Stated) -> Stated:
        """This, and where this says nothing, the other. A mean of either kind replaces one of the other kind."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        mine = {name: value for name, value in mine.items() if value is not None}
        if "mean" in mine or "mean_picture" in mine:
            other = replace(other, mean=None, mean_picture=None)
        return replace(other, **mine)

    def as_dict(self) -> dict[str, Any]:
        """For a .demi: what is said, as JSON values; of a mean picture the mean of each channel."""
        mean = self.mean
        if self.mean_picture is not None:
            planes = self.mean_picture[::-1] if self.order == "rgb" else self.mean_picture
            mean = tuple(round(float(value), 4) for value in planes.mean(axis=(1, 2)))
        said = {"mean": mean, "scale": self.scale, "order": self.order, "resize": self.resize, "size": self.size}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in said.items() if v is not None}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """``(pixel - mean) * scale``, mean per channel of the network's input, or one for all.

    ``size``: (height, width) to which a picture is brought before the middle of it is taken; ``None``: the network's.
    ``mean_picture``: channels × height × width, takes the place of ``mean``. ``source``: who says so.
    """

    mean: tuple[float, ...] = IMAGENET
    scale: float = 1.0
    order: Order = "bgr"
    resize: Resize = "stretch"
    size: tuple[int, int] | None = None
    mean_picture: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    source: str = field(default="default", compare=False)

    def __str__(self) -> str:
        mean = ", ".join(f"{value:g}" for value in self.mean)
        said = "mean picture" if self.mean_picture is not None else mean if len(self.mean) == 1 else f"({mean})"
        text = f"(pixel - {said}) × {self.scale:g}"
        parts = [text, *(["red first"] if self.order == "rgb" else [])]
        if self.resize != "stretch" or self.size is not None:
            parts.append(self.resize + (f" from {self.size[0]}×{self.size[1]}" if self.size is not None else ""))
        return ", ".join(parts)

    def fit(self, picture: Picture, shape: tuple[int, ...]) -> Fit:
        """How the picture gets to the size of an input ``(n, channels, height, width)``."""
        return fitting((picture.shape[0], picture.shape[1]), (shape[2], shape[3]), self.resize, self.size)

    def __call__(self, picture: Picture, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The picture as a batch of one, ``(1, channels, height, width)``; grey for one channel.

        More than three channels repeat the picture. OptionError if the mean does not fit the channels."""
        channels = shape[1]
        pixels, inside = self.fit(picture, shape)(picture)
        if channels == 1 and pixels.shape[2] == 3:
            pixels = pixels @ np.array([0.114, 0.587, 0.299], np.float32)[:, None]
        planes = np.moveaxis(pixels, -1, 0)
        if self.order == "rgb":
            planes = planes[::-1]
        planes = np.concatenate([planes] * -(-channels // len(planes)))[:channels]
        values = np.where(inside, (planes - self.subtracted(shape)) * np.float32(self.scale), np.float32(0))
        return np.ascontiguousarray(values[None], np.float32)

    def pixels(self, values: npt.NDArray[np.float32]) -> Picture:
        """What a person would see of an input ``(n, channels, height, width)``: its first picture, blue first."""
        planes = values[0] / np.float32(self.scale or 1.0) + self.subtracted(values.shape)
        planes = np.repeat(planes[:1], 3, axis=0) if len(planes) < 3 else planes[:3]
        if self.order == "rgb":
            planes = planes[::-1]
        return np.ascontiguousarray(np.moveaxis(np.clip(np.rint(planes), 0, 255), 0, -1), np.uint8)

    def subtracted(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The mean, to be broadcast over channels × height × width. OptionError if it does not fit."""
        _, channels, height, width = shape
        if self.mean_picture is None:
            if len(self.mean) not in (1, channels):
                raise OptionError(
                    f"--mean has {len(self.mean)} values, and the network's input has {channels} channels"
                )
            return np.array(self.mean, np.float32).reshape(-1, 1, 1)
        planes = self.mean_picture[::-1] if self.order == "rgb" else self.mean_picture
        top, left = (planes.shape[1] - height) // 2, (planes.shape[2] - width) // 2
        if planes.shape[0] != channels or top < 0 or left < 0:
            have = "×".join(map(str, planes.shape))
            raise OptionError(f"the mean picture is {have}, and the network reads {channels}×{height}×{width}")
        return planes[:, top : top + height, left : left + width]


def preprocessing(
    net: Net,
    channels: int,
    mean: tuple[float, ...] | None = None,
    scale: float | None = None,
    *,
    stated: Stated | None = None,
) -> Preprocessing:
    """What to do with pictures for this network; what is stated (``mean`` and ``scale`` the short way) wins."""
    stated = Stated(mean, scale).over(stated or Stated())
    memory = remembered(net)
    known = from_data_layer(net) or from_family(net, channels) or Preprocessing()
    if channels != 3 and len(known.mean) not in (1, channels):
        known = Preprocessing((0.0,), 1 / 255)
    for said, source in ((memory, "remembered by the .demi"), (stated, "as given by option")):
        if said:
            known = stating(known, said, source)
    return known


def stating(known: Preprocessing, said: Stated, source: str) -> Preprocessing:
    """With what is said in place of what is known."""
    given = {each.name: getattr(said, each.name) for each in fields(said) if getattr(said, each.name) is not None}
    if "mean" in given:
        given["mean_picture"] = None
    elif said.order not in (None, known.order):
        given["mean"] = known.mean[::-1]
    return replace(known, **given, source=source)


def remembering(net: Net, stated: Stated) -> Net:
    """The network with what is stated in its metadata, over what is there."""
    if not stated:
        return net
    said = stated.over(remembered(net)).as_dict()
    return replace(net, metadata={**net.metadata, KEY: said})


def remembered(net: Net) -> Stated:
    """What the network's metadata says; nothing for what cannot be made sense of."""
    said = net.metadata.get(KEY)
    if not isinstance(said, Mapping):
        return Stated()
    mean, scale, size = said.get("mean"), said.get("scale"), said.get("size")
    order, resize = said.get("order"), said.get("resize")
    return Stated(
        tuple(float(value) for value in mean) if numbers(mean) else None,
        float(scale) if isinstance(scale, int | float) else None,
        order if order in ORDERS else None,
        resize if resize in RESIZES else None,
        (int(size[0]), int(size[1])) if numbers(size) and len(size) == 2 else None,
    )


def numbers(value: Any) -> TypeGuard[list[float]]:
    """Whether a JSON value is a list of numbers."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, int | float) for item in value)


def from_data_layer(net: Net) -> Preprocessing | None:
    """``transform_param`` of the last data layer that has one, and the size that an ImageData layer resizes to."""
    found = None
    for layer in net.layers:
        if layer.inputs:
            continue
        try:
            options = layer.message.message("transform_param")
            mean, scale = options.numbers("mean_value"), options.number("scale", 1.0)
            source = layer.message.message("image_data_param")
            size = source.integer("new_height"), source.integer("new_width")
        except NetError:
            continue
        if options and "mean_file" not in options:
            resized = size if min(size) > 0 and options.integer("crop_size") else None
            where = f"transform_param of {layer.name}"
            found = Preprocessing(mean or (0.0,), scale, size=resized, source=where)
    return found


def from_family(net: Net, channels: int) -> Preprocessing | None:
    """What networks of that name use."""
    for pattern, mean, scale in FAMILIES:
        if re.search(pattern, net.name, re.IGNORECASE) and len(mean) in (1, channels):
            return Preprocessing(mean, scale, source=f"usual for {net.name}")
    return None
