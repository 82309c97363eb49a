"""Caffe's ``Datum``: a picture, or an array of floats, and a label, as databases hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from demitasse.caffe.encode import encode, field_header
from demitasse.caffe.wire import BYTES, FIXED32, VARINT, Reader
from demitasse.datasets.pictures import import_cv2
from demitasse.errors import FileError, WireError
from demitasse.message import Message, Word

__all__ = ["Datum", "parse_datum"]

_DATA: Final = 4
_FLOATS: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Datum:
    """``values``: uint8 or float32, (channels, height, width), blue first; for an ``encoded`` picture the bytes of its
    file. ``name`` begins the messages of errors."""

    values: npt.NDArray[Any] | bytes
    label: int = 0
    name: str = "datum"

    @property
    def encoded(self) -> bool:
        """Whether a picture's file is held, not its pixels."""
        return isinstance(self.values, bytes)

    def picture(self, colour: bool | None = None) -> npt.NDArray[Any]:
        """Pixels or floats, (channels, height, width). ``colour``: an encoded picture in three channels or in one;
        ``None``: as it is. FileError if it cannot be decoded."""
        if not isinstance(self.values, bytes):
            return self.values
        cv2 = import_cv2()
        flag = {None: cv2.IMREAD_UNCHANGED, True: cv2.IMREAD_COLOR, False: cv2.IMREAD_GRAYSCALE}[colour]
        try:
            pixels = cv2.imdecode(np.frombuffer(self.values, np.uint8), flag)
        except cv2.error:
            pixels = None
        if pixels is None:
            raise FileError(f"{self.name}: not a picture that OpenCV can decode")
        return np.ascontiguousarray(np.moveaxis(np.atleast_3d(np.asarray(pixels)), 2, 0))

    def to_bytes(self) -> bytes:
        """As Caffe's tools write it."""
        if isinstance(self.values, bytes):
            head = Message.of(("label", self.label), ("encoded", Word("true")))
            parts = (encode(head, "Datum", before=_DATA), field_header(_DATA, len(self.values)), self.values)
            return b"".join(parts) + encode(head, "Datum", after=_DATA)
        channels, height, width = self.values.shape
        head = Message.of(("channels", channels), ("height", height), ("width", width), ("label", self.label))
        head = head.add("encoded", Word("false"))
        if self.values.dtype == np.uint8:
            data = self.values.tobytes()
            parts = (encode(head, "Datum", before=_DATA), field_header(_DATA, len(data)), data)
            return b"".join(parts) + encode(head, "Datum", after=_DATA)
        floats = tuple(float(value) for value in self.values.reshape(-1))
        return encode(Message((*head.fields, *Message.of(("float_data", floats)).fields)), "Datum")


def parse_datum(data: bytes, name: str = "datum") -> Datum:
    """The datum in a record of a database. WireError, which names the record, for what is none."""
    reader = Reader(memoryview(data), name)
    sizes: dict[int, int] = {}
    pixels: bytes | None = None
    floats: list[npt.NDArray[np.float32]] = []
    for record in reader.records(0, len(data)):
        if record.kind == VARINT:
            sizes[record.number] = record.value
        elif record.number == _DATA and record.kind == BYTES:
            pixels = data[record.begin : record.end]
        elif record.number == _FLOATS and record.kind == BYTES:
            floats.append(np.frombuffer(data[record.begin : record.end], "<f4"))
        elif record.number == _FLOATS and record.kind == FIXED32:
            stride = 5 if record.repeats > 1 else 4
            floats.append(np.ndarray((record.repeats,), "<f4", data, record.begin, (stride,)))
    label = sizes.get(5, 0)
    label = label - (1 << 64) if label >> 63 else label
    if sizes.get(7):
        return Datum(pixels or b"", label, name)
    shape = sizes.get(1, 0), sizes.get(2, 0), sizes.get(3, 0)
    values = np.frombuffer(pixels, np.uint8) if pixels else np.concatenate([np.empty(0, np.float32), *floats])
    if values.size != shape[0] * shape[1] * shape[2] or not values.size:
        raise WireError(f"{name}: a datum of {shape[0]}×{shape[1]}×{shape[2]} that holds {values.size} values")
    return Datum(values.reshape(shape), label, name)
