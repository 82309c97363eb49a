"""Blobs of a caffemodel: their shape and where their numbers lie, in every form that has been written.

Packed and unpacked floats, doubles, raw halves (as OpenCV and NVCaffe write them), new shapes and the four legacy
dimensions. Numbers stay in the file until `BlobRecord.array` is called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from demitasse.caffe.wire import BYTES, FIXED32, FIXED64, VARINT, Reader, Record
from demitasse.errors import WeightsError, WireError

__all__ = ["BlobRecord", "FloatRun", "Span", "fits_blob", "read_blob"]

FLOAT: Final = np.dtype("<f4")
DOUBLE: Final = np.dtype("<f8")
RAW_TYPES: Final[dict[int, np.dtype[Any]]] = {0: DOUBLE, 1: FLOAT, 2: np.dtype("<f2")}
"""Numbers of the enum ``Type`` that can be weights."""

MAX_AXES: Final = 32
"""Caffe's own limit on the axes of a blob."""

MAX_COUNT: Final = (1 << 31) - 1
"""And on the numbers in a blob."""

_FORMS: Final[dict[int, tuple[np.dtype[Any], int]]] = {
    5: (FLOAT, FIXED32),
    6: (FLOAT, FIXED32),
    8: (DOUBLE, FIXED64),
    9: (DOUBLE, FIXED64),
}
_DATA: Final = 5
_DIFF: Final = 6
_SHAPE: Final = 7
_DOUBLE_DATA: Final = 8
_DOUBLE_DIFF: Final = 9
_RAW_TYPE: Final = 10
_RAW_DIFF_TYPE: Final = 11
_RAW_DATA: Final = 12
_RAW_DIFF: Final = 13


class Span(NamedTuple):
    """``size`` numbers of one type at ``offset``, ``stride`` bytes apart."""

    offset: int
    size: int
    stride: int
    dtype: np.dtype[Any]


class FloatRun(NamedTuple):
    """A contiguous run of numbers in a file; ``shape`` is the blob's where the run is the whole of it."""

    offset: int
    nbytes: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BlobRecord:
    """One blob: its shape as written (None in a legacy blob), the four legacy dimensions (None in a new one), its type.

    ``begin`` and ``end`` bound its message in the file.
    """

    shape: tuple[int, ...] | None
    legacy: tuple[int, int, int, int] | None
    dtype: np.dtype[Any]
    begin: int
    end: int
    data: tuple[Span, ...] = field(repr=False)
    diff: tuple[Span, ...] = field(repr=False)
    view: memoryview = field(repr=False)
    where: str

    @property
    def count(self) -> int:
        """Numbers that it holds."""
        return sum(span.size for span in self.data)

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape, or the legacy dimensions."""
        return self.shape if self.shape is not None else self.legacy or (self.count,)

    @property
    def contiguous(self) -> tuple[FloatRun, ...]:
        """The runs of its numbers, gradients included, that lie together."""
        runs = []
        for spans in (self.data, self.diff):
            for offset, count, stride, dtype in spans:
                if stride == dtype.itemsize and count:
                    whole = product(self.dims) == count
                    runs.append(FloatRun(offset, count * stride, dtype, self.dims if whole else (count,)))
        return tuple(runs)

    def array(self, shape: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
        """The numbers, read-only, in that shape or the blob's own; mapped from the file unless stored unpacked.

        WeightsError if the shape does not hold as many.
        """
        shape = self.dims if shape is None else shape
        if product(tuple(dim for dim in shape if dim)) > MAX_COUNT:
            raise WeightsError(f"{self.where}: a shape of {list(shape)} is more than Caffe can count")
        if product(shape) != self.count:
            raise WeightsError(
                f"{self.where} has {self.count} numbers, and its shape {list(shape)} needs {product(shape)}"
            )
        parts = [np.ndarray((span.size,), span.dtype, self.view, span.offset, (span.stride,)) for span in self.data]
        if len(parts) == 1 and self.data[0].stride == self.dtype.itemsize:
            values = parts[0]
        else:
            # Unpacked floats lie five bytes apart: made contiguous, since everything downstream counts on it.
            values = np.concatenate([*parts, np.empty(0, self.dtype)])
        values.flags.writeable = False
        return values.reshape(shape)


def read_blob(reader: Reader, record: Record, where: str) -> BlobRecord:
    """The blob in a record. ``where`` names it in errors."""
    legacy: dict[int, int] = {}
    shape: list[int] | None = None
    spans: dict[int, list[Span]] = {}
    raw: dict[int, Record] = {}
    types: dict[int, int] = {}
    try:
        for item in reader.records(record.begin, record.end):
            number, kind = item.number, item.kind
            if number <= 4 and kind == VARINT:
                legacy[number] = signed(item.value)
            elif number in _FORMS and (span := span_of(reader, item)):
                spans.setdefault(number, []).append(span)
            elif number == _SHAPE and kind == BYTES:
                shape = [*(shape or ()), *read_shape(reader, item)]
            elif number in (_RAW_TYPE, _RAW_DIFF_TYPE) and kind == VARINT:
                types[number] = item.value
            elif number in (_RAW_DATA, _RAW_DIFF) and kind == BYTES:
                raw[number] = item
    except WireError as error:
        text = str(error).removeprefix(f"{reader.name}: ")
        raise WireError(f"{reader.name}: {where}: {text}", error.offset) from None
    data, diff = (
        raw_spans(raw.get(of_raw), types.get(of_type)) or spans.get(double) or spans.get(single) or []
        for of_raw, of_type, double, single in (
            (_RAW_DATA, _RAW_TYPE, _DOUBLE_DATA, _DATA),
            (_RAW_DIFF, _RAW_DIFF_TYPE, _DOUBLE_DIFF, _DIFF),
        )
    )
    # As Caffe: the four dimensions count wherever one of them is there.
    dims = (legacy.get(1, 0), legacy.get(2, 0), legacy.get(3, 0), legacy.get(4, 0)) if legacy else None
    return BlobRecord(
        shape=None if dims or shape is None else tuple(shape),
        legacy=dims,
        dtype=data[0].dtype if data else FLOAT,
        begin=record.begin,
        end=record.end,
        data=tuple(data),
        diff=tuple(diff),
        view=reader.view,
        where=f"{reader.name}: {where}",
    )


def span_of(reader: Reader, record: Record) -> Span | None:
    """Where a record's numbers lie; None if its wire type is not that of numbers. WireError for half a number."""
    dtype, fixed = _FORMS[record.number]
    if record.kind == fixed:
        return Span(record.begin, record.repeats, dtype.itemsize + 1 if record.repeats > 1 else dtype.itemsize, dtype)
    if record.kind != BYTES:
        return None
    count, rest = divmod(record.end - record.begin, dtype.itemsize)
    if rest:
        raise reader.error(f"{record.end - record.begin} bytes are no whole number of {dtype.name}", record.tag)
    return Span(record.begin, count, dtype.itemsize, dtype)


def raw_spans(record: Record | None, kind: int | None) -> list[Span]:
    """Raw bytes of a known type; nothing if there are none, or the type is no floating-point type."""
    dtype = RAW_TYPES.get(0 if kind is None else kind)
    if record is None or dtype is None or (record.end - record.begin) % dtype.itemsize:
        return []
    return [Span(record.begin, (record.end - record.begin) // dtype.itemsize, dtype.itemsize, dtype)]


def read_shape(reader: Reader, record: Record) -> tuple[int, ...]:
    """Dimensions, packed or not. WireError for negative ones, and for more than Caffe has."""
    dims: list[int] = []
    for item in reader.records(record.begin, record.end):
        if item.number == 1 and item.kind == VARINT:
            dims.append(item.value)
        elif item.number == 1 and item.kind == BYTES:
            dims += reader.varints(item.begin, item.end, MAX_AXES)
    if len(dims) > MAX_AXES:
        raise reader.error(f"a shape of {len(dims)} axes; {MAX_AXES} is Caffe's limit", record.tag)
    if any(dim >= 1 << 63 for dim in dims):
        raise reader.error("a shape with a negative dimension", record.tag)
    return tuple(dims)


def fits_blob(reader: Reader, record: Record) -> bool:
    """Whether a payload is a blob by its structure: numbers, and dimensions whose product is their count."""
    try:
        blob = read_blob(reader, record, "")
    except WireError:
        return False
    return blob.count > 0 and (blob.shape is not None or blob.legacy is not None) and product(blob.dims) == blob.count


def signed(value: int) -> int:
    """A varint read as int32: protobuf keeps the low 32 bits."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value


def product(dims: tuple[int, ...]) -> int:
    """Of Python integers, which do not overflow; 1 for no axes."""
    out = 1
    for dim in dims:
        out *= dim
    return out
