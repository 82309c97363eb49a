"""A caffemodel's parameters as a tree of named fields, whichever fork wrote it.

The same number means different fields in different dialects. What a field is, is decided by what fits: its wire type,
whether what is nested in it decodes, whether its name is that of the layer's type, and which dialects explain most of
the other fields of the file. What nothing explains is kept under its number, as protobuf prints unknown fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from demitasse.caffe.blob import signed
from demitasse.caffe.model import Caffemodel, LayerRecord
from demitasse.caffe.schema import UPSTREAM, Fact, dialects, enum_names, facts_by_number, is_enum
from demitasse.caffe.wire import BYTES, FIXED32, FIXED64, VARINT, Reader, Record
from demitasse.errors import WireError
from demitasse.message import Field, Message, Value, Word

__all__ = ["decode_net"]

MAX_DEPTH: Final = 32
"""Messages within messages; Caffe's own schema has six."""

MARCH_2014: Final = "b"
DEEPLAB: Final = "e"
"""Dialects whose LayerParameter is that of another generation."""

Found = tuple[list[Value], int]
"""Values of a record, and what speaks against them: the number of fields within that nothing explains."""


def decode_net(model: Caffemodel, spoken: str | None = None) -> Message:
    """The network in the generation that the file has; `demitasse.caffe.upgrade` makes V2 of it.

    Each blob is ``blobs { index: k }``, k counting the file's blobs from 0 in the order of ``model.layers``.
    ``spoken``: letters of the dialects to read by (``schema.UPSTREAM`` for what BVLC Caffe would see); default all.
    """
    letters = "".join(dialects()) if spoken is None else spoken
    decoder = Decoder(model, letters)
    by_begin = {layer.begin: layer for layer in model.layers}
    march = any(layer.layout and layer.layout.version.endswith("2014") for layer in model.layers)
    net = MARCH_2014 if march else letters.replace(MARCH_2014, "")
    fields: list[Field] = []
    for record in decoder.reader.records(0, len(model.buffer)):
        layer = by_begin.get(record.begin) if record.kind == BYTES else None
        if layer is None:
            fields += decoder.fields(record, "NetParameter", net)[0]
        else:
            name = "layer" if layer.layout is None or layer.layout.version == "V2" else "layers"
            fields.append(Field(name, decoder.layer(layer)))
    return Message(fields)


@dataclass(slots=True)
class Decoder:
    """Reads one file's messages; ``order`` holds the dialects, those that explain most of the file first."""

    model: Caffemodel
    letters: str
    reader: Reader = field(init=False)
    blobs: dict[int, int] = field(init=False)
    order: str = field(init=False)

    def __post_init__(self) -> None:
        self.reader = Reader(self.model.buffer, self.model.reader.name)
        every = (blob for layer in self.model.layers for blob in layer.blobs)
        self.blobs = {blob.begin: index for index, blob in enumerate(every)}
        self.order = self.likely()

    def likely(self) -> str:
        """The dialects in the order of how many of the layers' field numbers they explain; upstream wins ties."""
        seen = {
            (kind, record.number, record.kind)
            for layer in self.model.layers
            for kind, _ in self.kinds(layer)[:1]
            for record in self.reader.records(layer.begin, layer.end)
        }
        score = dict.fromkeys(self.letters, 0)
        for kind, number, wire in seen:
            facts = [fact for fact in facts_by_number(kind).get(number, ()) if accepts(fact, wire)]
            for letter in self.letters:
                score[letter] += any(fact.spoken_in(letter) for fact in facts)
        return "".join(sorted(self.letters, key=lambda letter: (-score[letter], letter)))

    def kinds(self, layer: LayerRecord) -> list[tuple[str, str]]:
        """The messages that a layer of that generation can be, each with the dialects that have it so."""
        version = layer.layout.version if layer.layout else "V2"
        if version == "V2":
            return [("LayerParameter", self.letters.replace(MARCH_2014, "").replace(DEEPLAB, ""))]
        if version.endswith("2014"):
            return [("LayerParameter", MARCH_2014)]
        first = ("V1LayerParameter", self.letters)
        return [first, ("LayerParameter", DEEPLAB)] if DEEPLAB in self.letters else [first]

    def layer(self, layer: LayerRecord) -> Message:
        """One layer, blobs as their indices."""
        if layer.layout is None:
            blobs = (("blobs", Message.of(("index", self.blobs[blob.begin]))) for blob in layer.blobs)
            return Message.of(("name", layer.name), *blobs)
        hint = plain(layer.type) if isinstance(layer.type, str) else ""
        fields: list[Field] = []
        for record in self.reader.records(layer.begin, layer.end):
            if record.begin in self.blobs:
                fields.append(Field("blobs", Message.of(("index", self.blobs[record.begin]))))
                continue
            best, worst = self.unknown(record), 1 << 30
            for kind, letters in self.kinds(layer):
                found, against = self.fields(record, kind, letters, hint)
                if against < worst:
                    best, worst = found, against
            fields += best
        return Message(fields)

    def fields(
        self, record: Record, kind: str, letters: str, hint: str = "", depth: int = 0
    ) -> tuple[list[Field], int]:
        """The fields of a record by the fact that fits it best, and what speaks against that."""
        facts = [fact for fact in facts_by_number(kind).get(record.number, ()) if fact.spoken_in(letters)]
        best: tuple[tuple[int, bool, int], list[Field]] | None = None
        for fact in facts:
            found = self.values(record, fact, depth)
            if found is None:
                continue
            values, against = found
            rank = (against, plain(fact.name) != hint, self.place(fact))
            if best is None or rank < best[0]:
                best = rank, [Field(fact.name, value) for value in values]
        if best is None:
            return self.unknown(record), 1
        return best[1], best[0][0]

    def place(self, fact: Fact) -> int:
        """How far down the list of likely dialects the first is that knows the field."""
        return min((i for i, letter in enumerate(self.order) if fact.spoken_in(letter)), default=len(self.order))

    def values(self, record: Record, fact: Fact, depth: int) -> Found | None:
        """The record's values if it is that field; None if it cannot be."""
        if record.begin in self.blobs and fact.type == "BlobProto":
            return [Message.of(("index", self.blobs[record.begin]))], 0
        if not accepts(fact, record.kind):
            return None
        if fact.is_message:
            found = self.nested(record, fact.type, depth)
            upstream = fact.spoken_in(UPSTREAM)
            # A fork's message of which the fact explains less than half is another fork's message.
            return found if found is None or upstream or 2 * found[1] <= width(found[0]) else None
        if fact.type in ("string", "bytes"):
            text = self.reader.text(record)
            return [text], int(not text.isprintable())
        values = [scalar(item, fact.type, self.letters) for item in self.items(record, fact)]
        return None if any(value is None for value in values) else ([v for v in values if v is not None], 0)

    def items(self, record: Record, fact: Fact) -> Iterator[int | float]:
        """The numbers of a record, packed, in a run, or alone."""
        if record.kind == VARINT:
            yield record.value
        elif record.kind == BYTES and fact.kind == VARINT:
            values = self.reader.varints(record.begin, record.end, self.reader.left)
            self.reader.left -= len(values)
            yield from values
        else:
            size, form = (4, "<f") if fact.kind == FIXED32 else (8, "<d")
            stride = size if record.kind == BYTES or record.repeats == 1 else size + 1
            starts = range(record.begin, record.end - size + 1, stride)
            self.reader.spend(len(starts), record.tag)
            for at in starts:
                yield struct.unpack_from(form, self.reader.view, at)[0]

    def nested(self, record: Record, kind: str, depth: int) -> Found | None:
        """A message within; None if it does not decode."""
        if depth >= MAX_DEPTH:
            return None
        fields: list[Field] = []
        against = 0
        try:
            for inner in self.reader.records(record.begin, record.end):
                found, doubt = self.fields(inner, kind, self.letters, depth=depth + 1)
                fields += found
                against += doubt
        except WireError:
            if self.reader.left <= 0:
                raise
            return None
        return [Message(fields)], against

    def unknown(self, record: Record) -> list[Field]:
        """A record under its number: a number, text, or the bits of a fixed-size value in hex."""
        name = str(record.number)
        if record.kind == VARINT:
            return [Field(name, record.value)]
        if record.kind == BYTES:
            return [Field(name, self.reader.text(record))]
        size, form, digits = (4, "<I", 8) if record.kind == FIXED32 else (8, "<Q", 16)
        starts = range(record.begin, record.end, size + 1)
        self.reader.spend(len(starts), record.tag)
        bits = (struct.unpack_from(form, self.reader.view, at)[0] for at in starts)
        return [Field(name, Word(f"0x{value:0{digits}x}")) for value in bits]


def accepts(fact: Fact, wire: int) -> bool:
    """Whether a record of that wire type can be the field: as it is declared, or packed."""
    packable = fact.repeated and fact.kind in (VARINT, FIXED32, FIXED64)
    return wire == fact.kind or (packable and wire == BYTES)


def scalar(value: int | float, kind: str, letters: str) -> Value | None:
    """A number as text would give it; None for an enum's number that has no name."""
    if isinstance(value, float):
        return decimal(value, kind)
    if is_enum(kind):
        name = enum_names(kind, letters).get(signed(value))
        return None if name is None else Word(name)
    if kind == "bool":
        return Word("true" if value else "false")
    if kind == "int32":
        return signed(value)
    if kind == "uint32":
        return value & 0xFFFF_FFFF
    return value - (1 << 64) if kind == "int64" and value >> 63 else value


def decimal(value: float, kind: str) -> Value:
    """The shortest number that gives the same bits; words for what is none."""
    if value != value:
        return Word("nan")
    if value in (float("inf"), float("-inf")):
        return Word("inf" if value > 0 else "-inf")
    return float(str(np.float32(value))) if kind == "float" else value


def width(values: list[Value]) -> int:
    """How many fields the messages among them have."""
    return sum(len(value) for value in values if isinstance(value, Message))


def plain(name: str) -> str:
    """A layer type or a parameter's name without what differs in spelling: ``prior_box_param`` is PriorBox's."""
    return name.removesuffix("_param").replace("_", "").lower()
