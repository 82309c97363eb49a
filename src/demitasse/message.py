"""An ordered tree of named fields: what a prototxt says, with its comments and spacing.

A tree is immutable; every edit returns a new tree that shares what did not change. Fields that came from a text carry
that text, so printing an unedited tree gives the same bytes and an edit changes its own bytes only. Nothing here
knows a schema: a field is known by its name, and values are what the text says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar, overload

from demitasse.errors import NetError

__all__ = ["Field", "Message", "Scalar", "Value", "Word", "renamed", "replaced"]


T = TypeVar("T")


class Word(str):
    """A bare identifier: an enum name, ``true``/``false``, ``inf``/``nan``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Word({str.__repr__(self)})"


Scalar = int | float | str
"""``int``, ``float``; ``str``: a quoted string (UTF-8, other bytes as surrogate escapes); `Word`: a bare identifier."""


class Field:
    """One named value, or list of scalars (``dim: [1, 3]``), or sub-message, with the text that it came from.

    ``lead`` is the text between the end of the previous field and the name (spacing, comments, separators);
    ``text`` is the text from the name to the end of the value, for a sub-message from the name through the opening
    bracket (the rest is in the sub-message). Both are ``None`` for a field that did not come from a text:
    the printer then chooses.

    Each element of a list of messages (``layer: [{…}, {…}]``) is a field of its own: the text of the first ends in
    ``[{``, that of the others is their bracket alone, and ``]`` is in the lead of what follows the last.
    """

    __slots__ = ("lead", "name", "text", "value")

    def __init__(self, name: str, value: Value, lead: str | None = None, text: str | None = None) -> None:
        self.name: Final = name
        self.value: Final = value
        self.lead: Final = lead
        self.text: Final = text

    def __eq__(self, other: object) -> bool:
        """Same name and value, of the same kind; spacing and comments do not count, and ``1`` is ``1.0``."""
        if not isinstance(other, Field):
            return NotImplemented
        return self.name == other.name and _same(self.value, other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {self.value!r})"


class Message:
    """An ordered sequence of fields. ``tail`` is the text after the last field (before the closing bracket)."""

    __slots__ = ("_index", "fields", "tail")

    def __init__(self, fields: Iterable[Field] = (), tail: str | None = None) -> None:
        self.fields: Final[tuple[Field, ...]] = tuple(fields)
        self.tail: Final = tail
        self._index: dict[str, list[Field]] | None = None

    @classmethod
    def of(cls, *pairs: tuple[str, Value]) -> Message:
        """A message from (name, value) pairs, in that order."""
        return cls(Field(name, value) for name, value in pairs)

    def _named(self, name: str) -> list[Field]:
        if self._index is None:
            index: dict[str, list[Field]] = {}
            for field in self.fields:
                index.setdefault(field.name, []).append(field)
            self._index = index
        return self._index.get(name, [])

    # Reading

    def __contains__(self, name: str) -> bool:
        return bool(self._named(name))

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Message.of({', '.join(repr((f.name, f.value)) for f in self.fields)})"

    def scalars(self, name: str) -> tuple[Scalar, ...]:
        """Every scalar given for a repeated field, lists flattened, in order. NetError if one is a sub-message."""
        out: list[Scalar] = []
        for field in self._named(name):
            if isinstance(field.value, tuple):
                out.extend(field.value)
            elif isinstance(field.value, Message):
                raise NetError(f"field {name!r} should be a plain value, and is a message {{ … }}")
            else:
                out.append(field.value)
        return tuple(out)

    def messages(self, name: str) -> tuple[Message, ...]:
        """Every sub-message of that name, in order. NetError if one is a scalar."""
        out: list[Message] = []
        for field in self._named(name):
            if isinstance(field.value, Message):
                out.append(field.value)
            elif field.value != ():
                raise NetError(f"field {name!r} should be a message {{ … }}, and is a plain value")
        return tuple(out)

    def message(self, name: str) -> Message:
        """The sub-message of that name; several are merged as protobuf does (fields in order, last scalar wins);
        an empty one if there is none."""
        found = self.messages(name)
        if len(found) == 1:
            return found[0]
        return Message(field for part in found for field in part.fields)

    @overload
    def get(self, name: str) -> Scalar | None: ...
    @overload
    def get(self, name: str, default: Scalar) -> Scalar: ...
    def get(self, name: str, default: Scalar | None = None) -> Scalar | None:
        """The last scalar of that name, or ``default``."""
        found = self.scalars(name)
        return found[-1] if found else default

    def _typed(self, name: str, default: T, kind: str, convert: Callable[[Scalar], T]) -> T:
        value = self.get(name)
        if value is None:
            return default
        try:
            return convert(value)
        except (ValueError, OverflowError):
            raise NetError(f"field {name!r} should be {kind}, and is {str(value)!r}") from None

    def integer(self, name: str, default: int = 0) -> int:
        """The last value of that name as an integer. NetError if it is none."""
        return self._typed(name, default, "an integer", as_integer)

    def integers(self, name: str) -> tuple[int, ...]:
        """All values of that name as integers."""
        try:
            return tuple(as_integer(value) for value in self.scalars(name))
        except (ValueError, OverflowError):
            raise NetError(f"field {name!r} should hold integers, and is {self.scalars(name)!r}") from None

    def number(self, name: str, default: float = 0.0) -> float:
        """The last value of that name as a float. NetError if it is none."""
        return self._typed(name, default, "a number", as_number)

    def numbers(self, name: str) -> tuple[float, ...]:
        """All values of that name as floats."""
        try:
            return tuple(as_number(value) for value in self.scalars(name))
        except ValueError:
            raise NetError(f"field {name!r} should hold numbers, and is {self.scalars(name)!r}") from None

    def flag(self, name: str, default: bool = False) -> bool:
        """The last value of that name as a boolean. NetError if it is none."""
        return self._typed(name, default, "true or false", as_flag)

    def string(self, name: str, default: str = "") -> str:
        """The last value of that name as a string (also an enum's name)."""
        return str(self.get(name, default))

    def strings(self, name: str) -> tuple[str, ...]:
        """All values of that name as strings."""
        return tuple(str(value) for value in self.scalars(name))

    # Editing: every method returns a new message

    def set(self, name: str, value: Value) -> Message:
        """With one field of that name: the first keeps its place and spacing, later ones leave; appended if new.

        Setting what is already there returns the message itself."""
        found = self._named(name)
        if len(found) == 1 and found[0] == Field(name, value):
            return self
        if not found:
            return self.add(name, value)
        return self.map(
            lambda field: field if field.name != name else replaced(field, value) if field is found[0] else None
        )

    def set_all(self, name: str, values: Iterable[Value]) -> Message:
        """With exactly these values for a repeated field, places and spacing kept as far as they reach."""
        wanted = list(values)
        if [field.value for field in self._named(name)] == wanted:
            return self
        left = iter(wanted)

        def change(field: Field) -> Field | None:
            if field.name != name:
                return field
            value = next(left, None)
            return None if value is None else replaced(field, value)

        out = self.map(change)
        more = [Field(name, value) for value in left]
        position = out._after(name)
        return Message((*out.fields[:position], *more, *out.fields[position:]), out.tail) if more else out

    def add(self, name: str, value: Value) -> Message:
        """With one more field, after the last of that name, or at the end."""
        position = self._after(name)
        return Message((*self.fields[:position], Field(name, value), *self.fields[position:]), self.tail)

    def _after(self, name: str) -> int:
        places = [i + 1 for i, field in enumerate(self.fields) if field.name == name]
        return places[-1] if places else len(self.fields)

    def remove(self, *names: str) -> Message:
        """Without the fields of these names."""
        if not any(self._named(name) for name in names):
            return self
        return self.map(lambda field: None if field.name in names else field)

    def map(self, change: Callable[[Field], Field | None]) -> Message:
        """With every field replaced by what ``change`` returns; ``None`` removes it."""
        pairs = [(field, change(field)) for field in self.fields]
        return self if all(a is b for a, b in pairs) else _assembled(pairs, self.tail)


Value = Scalar | tuple[Scalar, ...] | Message


def _same(a: Value, b: Value) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return (type(a) is type(b) or not (_is_text(a) or _is_text(b))) and a == b


def _is_text(value: Value) -> bool:
    return isinstance(value, str)


_TRAILING_COMMENT: Final = re.compile(r"([ \t]*+)[;,]?([ \t]*+#[^\r\n]*+)")


def _assembled(pairs: Iterable[tuple[Field, Field | None]], tail: str | None) -> Message:
    """The message in which each old field became the new one, or left: the comments on a line go and stay with the
    field that stands on it, although they are in the lead of the next."""
    out: list[Field] = []
    orphan: str | None = None  # the lead of the first of some removed fields
    for old, new in pairs:
        if new is None:
            orphan = old.lead if orphan is None else orphan
            continue
        if orphan is not None and new.lead is not None:
            new, orphan = Field(new.name, new.value, _inherit(orphan, new.lead), new.text), None
        out.append(new)
    return Message(out, tail if orphan is None or tail is None else _inherit(orphan, tail))


def _inherit(orphan: str, lead: str) -> str:
    """A lead with the comment that stood on the line before a removed field, in place of its own such comment."""
    own = _TRAILING_COMMENT.match(lead)
    rest = lead[own.end() :] if own else lead
    kept = _TRAILING_COMMENT.match(orphan)
    if kept is None:
        return rest
    if "\n" not in rest:
        rest = orphan[orphan.rindex("\n") :] if "\n" in orphan else "\n"
    return kept[1] + kept[2] + rest


def renamed(field: Field, name: str) -> Field:
    """The same field under another name, its text otherwise as it was."""
    text = field.text
    if text is not None and text.startswith(field.name):
        text = name + text[len(field.name) :]
    elif text not in ("{", "<"):  # the head of a message in a list has no name
        text = None
    return Field(name, field.value, field.lead, text)


def replaced(field: Field, value: Value) -> Field:
    """The same field with another value; keeps its spacing, and its brackets where both are messages."""
    if field.value is value:
        return field
    keep = isinstance(value, Message) and isinstance(field.value, Message)
    return Field(field.name, value, field.lead, field.text if keep else None)


def as_integer(value: Scalar) -> int:
    """ValueError unless the value is a whole number."""
    if isinstance(value, str) or value != int(value):
        raise ValueError(value)
    return int(value)


def as_number(value: Scalar) -> float:
    """ValueError unless the value is a number, ``inf`` or ``nan``."""
    if isinstance(value, Word):
        word = value.lower()
        if word.removeprefix("-") not in ("inf", "infinity", "nan"):
            raise ValueError(value)
        return float(word)
    if isinstance(value, str):
        raise ValueError(value)
    return float(value)


def as_flag(value: Scalar) -> bool:
    """ValueError unless the value is one of protobuf's spellings of a boolean."""
    spelled = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}
    if isinstance(value, str) and not isinstance(value, Word):
        raise ValueError(value)
    if str(value) not in spelled:
        raise ValueError(value)
    return spelled[str(value)]
