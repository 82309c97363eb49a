"""Layers that bring in data. No database or picture is opened: what the text does not say is unknown."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import UNKNOWN, Shape
from demitasse.message import Message

__all__ = [
    "AnnotatedData",
    "Data",
    "DenseImageData",
    "DummyData",
    "HDF5Data",
    "ImageData",
    "Input",
    "MemoryData",
    "Parameter",
    "SegmentationData",
    "WindowData",
]


class Source(LayerType):
    """Has no inputs, and one or more outputs."""

    takes: ClassVar[Counts] = (0, 0)
    gives: ClassVar[Counts] = (1, None)
    is_source: ClassVar[bool] = True

    def one_for_each(self, shapes: tuple[Shape, ...]) -> tuple[Shape | None, ...]:
        """Shapes given once for all outputs, or once for each; none: not known."""
        number = len(self.layer.outputs)
        if not shapes:
            return (None,) * number
        if len(shapes) not in (1, number):
            self.refuse(f"has {len(shapes)} shapes for {number} outputs; it needs one, or one for each")
        return shapes * number if len(shapes) == 1 else shapes


class Input(Source):
    """Whatever the caller gives, of the shape in the file."""

    field: ClassVar[str] = "input_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        return self.one_for_each(tuple(shape.integers("dim") for shape in self.param.messages("shape")))


class DummyData(Source):
    """Constants or random numbers."""

    field: ClassVar[str] = "dummy_data_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        shapes = tuple(shape.integers("dim") for shape in self.param.messages("shape"))
        old = tuple(self.sizes(name) for name in ("num", "channels", "height", "width"))
        number = len(self.layer.outputs)
        if shapes and any(old):
            self.refuse("gives both shape and num, channels, height, width; use shape")
        if len(self.param.messages("data_filler")) not in (0, 1, number):
            self.refuse(f"has a data_filler for some of its {number} outputs; it needs none, one, or one for each")
        if not any(old):
            return self.one_for_each(shapes) if shapes else self.refuse("gives no shape")
        if any(len(sizes) not in (1, number) for sizes in old):
            self.refuse(f"needs num, channels, height and width once, or {number} times")
        return tuple(tuple(sizes[i if len(sizes) > 1 else 0] for sizes in old) for i in range(number))


class Parameter(Source):
    """Gives its weights as its output."""

    field: ClassVar[str] = "parameter_param"
    gives: ClassVar[Counts] = (1, 1)
    is_source: ClassVar[bool] = False

    def parameters(self) -> tuple[Shape, ...] | None:
        return (self.param.message("shape").integers("dim"),)

    def outputs(self) -> tuple[Shape | None, ...]:
        return self.parameters() or ()


class MemoryData(Source):
    """Pictures and labels from the program's memory."""

    field: ClassVar[str] = "memory_data_param"
    gives: ClassVar[Counts] = (2, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        batch, *picture = (self.positive(name) for name in ("batch_size", "channels", "height", "width"))
        return ((batch, *picture), (batch,))


class HDF5Data(Source):
    """Whatever arrays the file holds."""

    field: ClassVar[str] = "hdf5_data_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        return (None,) * len(self.layer.outputs)


class Data(Source):
    """Pictures and labels from LMDB or LevelDB."""

    field: ClassVar[str] = "data_param"
    gives: ClassVar[Counts] = (1, 2)

    @cached_property
    def transform(self) -> Message:
        """How pictures are prepared."""
        return self.layer.message.message("transform_param")

    @property
    def batch(self) -> int:
        """Pictures at a time."""
        return self.size("batch_size") or UNKNOWN

    def channels(self) -> int:
        """3 or 1 where the text shows it: by what is forced, or by a mean for each channel."""
        if self.transform.flag("force_color") or self.param.flag("force_encoded_color"):
            return 3
        if self.transform.flag("force_gray"):
            return 1
        means = len(self.transform.numbers("mean_value"))
        return means if means > 1 else UNKNOWN

    def picture(self) -> tuple[int, int]:
        """Height and width: of the crop, else of what the pictures are resized to."""
        crop = self.transform.integer("crop_size") or self.param.integer("crop_size")
        height = self.transform.integer("crop_h") or self.transform.integer("crop_height")
        width = self.transform.integer("crop_w") or self.transform.integer("crop_width")
        if crop or (height and width):
            return (crop, crop) if crop else (height, width)
        resize = self.transform.message("resize_param")
        return self.param.integer("new_height") or resize.integer("height") or UNKNOWN, (
            self.param.integer("new_width") or resize.integer("width") or UNKNOWN
        )

    def labels(self) -> Shape | None:
        """Shape of the second output."""
        return (self.batch,)

    def outputs(self) -> tuple[Shape | None, ...]:
        data = (self.batch, self.channels(), *self.picture())
        return (data, self.labels())[: len(self.layer.outputs)]


class ImageData(Data):
    """Pictures and labels from a list of files."""

    field: ClassVar[str] = "image_data_param"

    @property
    def batch(self) -> int:
        return self.size("batch_size", 1)

    def channels(self) -> int:
        return 3 if self.param.flag("is_color", True) else 1


class WindowData(Data):
    """Windows of pictures; crop and channels are as the window file says, if not as the text does."""

    field: ClassVar[str] = "window_data_param"
    gives: ClassVar[Counts] = (2, 2)


class AnnotatedData(Data):
    """SSD: pictures and boxes, as 1 × 1 × boxes × 8."""

    def labels(self) -> Shape | None:
        return (1, 1, UNKNOWN, 8)


class SegmentationData(ImageData):
    """DeepLab's ImageSegData: pictures and maps of labels, and a third output with the pictures' sizes."""

    gives: ClassVar[Counts] = (1, 3)

    def labels(self) -> Shape | None:
        return (self.batch, 1, *self.picture())

    def outputs(self) -> tuple[Shape | None, ...]:
        return (*super().outputs(), (self.batch, 1, 1, 2))[: len(self.layer.outputs)]


class DenseImageData(SegmentationData):
    """SegNet: pictures and maps of labels."""

    field: ClassVar[str] = "dense_image_data_param"
    gives: ClassVar[Counts] = (1, 2)

    def picture(self) -> tuple[int, int]:
        height, width = self.param.integer("crop_height"), self.param.integer("crop_width")
        return (height, width) if height and width else super().picture()
