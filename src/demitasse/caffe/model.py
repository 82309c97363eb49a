"""A caffemodel as a list of layers and blobs, found where they lie: V2, V1, V0, and forks whose field numbers differ.

    model = Caffemodel.open("face.caffemodel")
    for layer in model.layers:
        print(layer.name, [blob.shape for blob in layer.blobs])

Only the frame is read: a blob's floats stay in the mapped file until its `array` is asked for. Which field holds a
layer's name and its blobs is decided by what fits, not by trusting one table: known layouts first, then anything that
has the structure of a layer with blobs.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from demitasse.caffe.blob import BlobRecord, FloatRun, fits_blob, read_blob
from demitasse.caffe.wire import BYTES, VARINT, Reader, Record, grouped
from demitasse.errors import FileError, WireError

__all__ = ["LAYOUTS", "Caffemodel", "LayerRecord", "Layout"]


class Layout(NamedTuple):
    """Field numbers of one generation: of the layers in the net, and of name, type, inputs, outputs, blobs in a layer.

    ``nested``: the field of a layer that holds name, type and blobs (V0), 0 for the layer itself.
    """

    version: str
    layers: int
    name: int
    type: int
    bottom: int
    top: int
    blobs: int
    nested: int = 0


LAYOUTS: Final = (
    Layout("V2", 100, 1, 2, 3, 4, 7),
    Layout("V1", 2, 4, 5, 2, 3, 6),
    Layout("V0", 2, 1, 2, 2, 3, 50, nested=1),
    Layout("V1 of March 2014", 4, 1, 2, 3, 4, 5),
)


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """One layer of a caffemodel.

    ``type`` is the text of a V2 or V0 file and the enum's number of a V1 file. ``begin`` and ``end`` bound its message
    in the file; ``layout`` is the generation that it was read as, None if found by structure alone. ``bare``: nothing
    else is said of it.
    """

    name: str
    type: str | int
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[BlobRecord, ...]
    begin: int
    end: int
    layout: Layout | None
    bare: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the layer's blobs in the file."""
        return sum(blob.end - blob.begin for blob in self.blobs)


class Caffemodel:
    """An opened caffemodel. WireError from `open` and `parse` for whatever is malformed."""

    __slots__ = ("layers", "name", "reader", "version")

    def __init__(self, reader: Reader) -> None:
        self.reader: Final = reader
        self.name, self.layers = read_net(reader)
        layouts = [layer.layout for layer in self.layers if layer.layout]
        self.version: Final = layouts[0].version if layouts else "V2"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Caffemodel:
        """Maps a file. FileError if it cannot be read at all."""
        path = Path(path)
        return cls(Reader(mapped(path), str(path)))

    @classmethod
    def parse(cls, data: bytes | memoryview, name: str = "<caffemodel>") -> Caffemodel:
        """Reads from memory; ``name`` begins the messages of errors."""
        return cls(Reader(memoryview(data).cast("B"), name))

    @property
    def buffer(self) -> memoryview:
        """The whole file."""
        return self.reader.view

    def runs(self) -> Iterator[FloatRun]:
        """Every contiguous run of numbers in the file's blobs, gradients included, in file order."""
        found = [run for layer in self.layers for blob in layer.blobs for run in blob.contiguous]
        yield from sorted(found, key=lambda run: run.offset)


def mapped(path: Path) -> memoryview:
    """The file's bytes, read when they are touched. FileError if there are none."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise FileError(f"{path}: the file is empty")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FileError(f"{path}: cannot be read: {error}") from None


def read_net(reader: Reader) -> tuple[str, tuple[LayerRecord, ...]]:
    """The net's name and its layers."""
    name, records, end = "", [], len(reader.view)
    for record in reader.records(0, end, partial=True):
        if record.cut:
            raise truncated(reader, record)
        if record.number == 1 and record.kind == BYTES:
            name = reader.text(record)
        elif record.kind == BYTES:
            records.append(record)
    known = {layout.layers for layout in LAYOUTS} & {record.number for record in records}
    if known:
        found = [read_layer(reader, record) for record in records if record.number in known]
    else:
        found = [layer_by_structure(reader, record) for record in records]
        found = [layer for layer in found if layer is not None and layer.blobs]
    layers = tuple(layer for layer in found if layer is not None)
    if not layers and (records or not name):
        raise reader.error("no layers: this is not a caffemodel", 0)
    return name, layers


def read_layer(reader: Reader, record: Record) -> LayerRecord | None:
    """The layer in a top-level record, by the first layout that fits it; None for a record that is no layer at all
    (the net's ``input`` of one generation has the number of another's layers)."""
    try:
        fields = list(reader.records(record.begin, record.end))
    except WireError:
        if record.number == 4 or is_text(reader, record):
            return None
        raise
    for layout in LAYOUTS:
        if layout.layers == record.number and fits(fields, layout):
            return layer_of(reader, record, fields, layout)
    layer = layer_by_structure(reader, record)
    if layer is None and record.number != 4 and not is_text(reader, record):
        raise reader.error(f"field {record.number} is no layer of any known form", record.tag)
    return layer


def fits(fields: list[Record], layout: Layout) -> bool:
    """Whether the layer's fields have the wire types of that generation, and its name is there."""
    if layout.nested:
        return any(field.number == layout.nested and field.kind == BYTES for field in fields)
    type_kind = BYTES if layout.version == "V2" else VARINT
    kinds = {layout.name: BYTES, layout.type: type_kind, layout.bottom: BYTES, layout.top: BYTES, layout.blobs: BYTES}
    if any(field.kind != kinds.get(field.number, field.kind) for field in fields):
        return False
    numbers = {field.number for field in fields}
    if layout.version == "V1":
        # A V1 layer may lack its name; what has field 1 is V0.
        return layout.name in numbers or 1 not in numbers
    return layout.version == "V2" or layout.name in numbers


def layer_of(reader: Reader, record: Record, fields: list[Record], layout: Layout) -> LayerRecord:
    """The layer read as that generation; blobs that stand elsewhere are found by their structure."""
    own = fields
    if layout.nested:
        own = [
            inner
            for field in fields
            if field.number == layout.nested and field.kind == BYTES
            for inner in reader.records(field.begin, field.end)
        ]
    name = ""
    kind: str | int = ""
    for field in own:
        if field.number == layout.name and field.kind == BYTES:
            name = reader.text(field)
        elif field.number == layout.type:
            kind = reader.text(field) if field.kind == BYTES else field.value
    found = [field for field in own if field.number == layout.blobs and field.kind == BYTES]
    if not layout.nested and not (found and fits_blob(reader, found[0])):
        taken = (layout.name, layout.type, layout.bottom, layout.top, layout.blobs)
        elsewhere = [one for one in own if one.kind == BYTES and one.number not in taken and fits_blob(reader, one)]
        found = elsewhere or found
    blobs = tuple(read_blob(reader, field, f'layer "{name}", blob {i}') for i, field in enumerate(found))
    bottoms = tuple(reader.text(field) for field in fields if field.number == layout.bottom and field.kind == BYTES)
    tops = tuple(reader.text(field) for field in fields if field.number == layout.top and field.kind == BYTES)
    bare = not layout.nested and {field.number for field in fields} <= set(layout[2:7])
    return LayerRecord(name, kind, bottoms, tops, blobs, record.begin, record.end, layout, bare)


def layer_by_structure(reader: Reader, record: Record) -> LayerRecord | None:
    """A layer of an unknown generation: the name is its first text, blobs are what has the form of one."""
    found: list[Record] = []
    texts: list[Record] = []
    try:
        for field in reader.records(record.begin, record.end):
            if field.kind == BYTES and fits_blob(reader, field):
                found.append(field)
            elif field.kind == BYTES and is_text(reader, field):
                texts.append(field)
    except WireError:
        return None
    if not texts:
        return None
    name = reader.text(min(texts, key=lambda field: field.number))
    blobs = tuple(read_blob(reader, field, f'layer "{name}", blob {i}') for i, field in enumerate(found))
    return LayerRecord(name, "", (), (), blobs, record.begin, record.end, None)


def is_text(reader: Reader, record: Record) -> bool:
    """Whether a payload can be a name: short, printable UTF-8."""
    if not 0 < record.end - record.begin <= 256:
        return False
    try:
        return bytes(reader.view[record.begin : record.end]).decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def truncated(reader: Reader, record: Record) -> WireError:
    """What a file that ends within a top-level record says: the layer, the blob, and how far it got."""
    where = ""
    for layout in LAYOUTS:
        if layout.layers == record.number and (where := cut_layer(reader, record, layout)):
            break
    end = len(reader.view)
    missing = grouped(record.stop - end)
    reason = f"the file is truncated, or not a caffemodel: {missing} bytes are missing"
    if not where:
        return WireError(f"{reader.name}: field {record.number} ends early (byte {grouped(end)}): {reason}", end)
    return WireError(f"{reader.name}: {where} (byte {grouped(end)}): the file is truncated", end)


def cut_layer(reader: Reader, record: Record, layout: Layout) -> str:
    """How far a cut layer got, in words; empty if it does not look like one."""
    name, blobs = "", []
    with suppress(WireError):
        for field in reader.records(record.begin, record.end, partial=True):
            if field.number == layout.name and field.kind == BYTES and not field.cut:
                name = reader.text(field)
            elif field.number == layout.blobs and field.kind == BYTES:
                blobs.append(field)
    if not name or layout.nested:
        return ""
    if not (blobs and blobs[-1].cut):
        return f'layer "{name}" ends early'
    return f'layer "{name}", blob {len(blobs) - 1} ends {cut_blob(reader, blobs[-1])}'


def cut_blob(reader: Reader, blob: Record) -> str:
    """How far the floats of a cut blob got."""
    with suppress(WireError):
        for field in reader.records(blob.begin, blob.end, partial=True):
            if field.cut and field.kind == BYTES and field.number in (5, 6, 8, 9):
                size, what = (4, "floats") if field.number < 8 else (8, "doubles")
                have, want = (field.end - field.begin) // size, (field.stop - field.begin) // size
                return f"after {grouped(have)} of {grouped(want)} {what}"
    return f"after {grouped(blob.end - blob.begin)} of {grouped(blob.stop - blob.begin)} bytes"
