"""Facts about Caffe's messages: what stands at which field number, upstream and in the forks.

The facts are data (schema.txt beside this file) and are read when first asked for. One number can mean different
fields in different dialects; who reads a file has to decide which one fits.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from demitasse.caffe.wire import BYTES, FIXED32, FIXED64, VARINT

__all__ = [
    "UPSTREAM",
    "Fact",
    "dialects",
    "enum_names",
    "enum_numbers",
    "enum_words",
    "facts_by_name",
    "facts_by_number",
    "is_enum",
]

UPSTREAM: Final = "a"
"""The letter of BVLC Caffe 1.0 among the dialects."""

SCALAR_KINDS: Final = {
    "int32": VARINT,
    "int64": VARINT,
    "uint32": VARINT,
    "uint64": VARINT,
    "bool": VARINT,
    "float": FIXED32,
    "double": FIXED64,
    "string": BYTES,
    "bytes": BYTES,
}


class Fact(NamedTuple):
    """One field of a message in some dialects (a string of their letters, ``*`` for all).

    ``type`` is a scalar type of protobuf, or the full name of a message or enum. ``default`` is as it is spelled.
    """

    number: int
    name: str
    type: str
    repeated: bool
    packed: bool
    dialects: str
    default: str | None

    @property
    def kind(self) -> int:
        """The wire type of one value."""
        return SCALAR_KINDS.get(self.type, VARINT if is_enum(self.type) else BYTES)

    @property
    def is_message(self) -> bool:
        """Whether values are messages."""
        return self.type not in SCALAR_KINDS and not is_enum(self.type)

    def spoken_in(self, dialects: str) -> bool:
        """Whether the field stands in one of these dialects."""
        return self.dialects == "*" or any(letter in self.dialects for letter in dialects)


@lru_cache(maxsize=1)
def blocks() -> dict[str, list[str]]:
    """The file's blocks by the name of their message or enum, still as lines."""
    out: dict[str, list[str]] = {}
    for block in Path(__file__).with_name("schema.txt").read_text("utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        head = lines[0].split(" ", 2)
        out["dialects" if head[0] == "dialects" else head[1]] = lines
    return out


@lru_cache(maxsize=1)
def dialects() -> dict[str, str]:
    """The dialects' names by their letters."""
    pairs = (item.split("=", 1) for item in blocks()["dialects"][0].split(" ")[1:])
    return dict(pairs)


@cache
def facts_by_number(message: str) -> dict[int, tuple[Fact, ...]]:
    """What can stand at each number of a message, upstream's meaning first. Empty for an unknown message."""
    lines = blocks().get(message, ())
    out: dict[int, tuple[Fact, ...]] = {}
    if not lines or not lines[0].startswith("message "):
        return out
    for line in lines[1:]:
        number, name, kind, spoken, *default = line.split(" ", 4)
        bare = kind.removesuffix("[]").removesuffix("[p]")
        fact = Fact(
            int(number), name, bare, bare != kind, kind.endswith("[p]"), spoken, default[0] if default else None
        )
        out[fact.number] = (*out.get(fact.number, ()), fact)
    return out


@cache
def facts_by_name(message: str, dialect: str = UPSTREAM) -> dict[str, Fact]:
    """The fields of a message in one dialect, by name, in the order of their numbers."""
    return {
        fact.name: fact
        for _, facts in sorted(facts_by_number(message).items())
        for fact in facts
        if fact.spoken_in(dialect)
    }


@cache
def is_enum(name: str) -> bool:
    """Whether a type is an enum."""
    return blocks().get(name, [""])[0].startswith("enum ")


@cache
def enum_names(enum: str, spoken: str | None = None) -> dict[int, str]:
    """The names of an enum's numbers in these dialects (default: in any); the first name where they differ."""
    out: dict[int, str] = {}
    for line in blocks()[enum][1:]:
        number, name, letters = line.split(" ")
        if spoken is None or letters == "*" or any(letter in letters for letter in spoken):
            out.setdefault(int(number), name)
    return out


@cache
def enum_numbers(enum: str, spoken: str | None = None) -> dict[str, int]:
    """The numbers of an enum's names in these dialects (default: in any)."""
    return {name: number for number, name in enum_names(enum, spoken).items()}


@cache
def enum_words(enum: str) -> tuple[str, ...]:
    """Every name of an enum in any dialect, each once: where dialects differ a number has several."""
    return tuple(dict.fromkeys(line.split(" ")[1] for line in blocks()[enum][1:]))
