"""Reading prototxt into a lossless tree.

One regular expression takes a whole plain field (spacing, name, value or opening bracket); what it does not match is
read step by step, which is also where every error is found. Possessive matching and an explicit stack keep time
linear and nesting bounded, whatever the input.

Every element of a list of messages, ``layer: [{…}, {…}]``, becomes a field of its own: the text of the first runs
through ``[{``, that of the others is their bracket only, and ``]`` stands in the spacing behind the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn

from demitasse.caffe.text_place import located, printable
from demitasse.caffe.text_scalars import EscapeError, parse_scalar, unescape
from demitasse.message import Field, Message, Scalar, Value

__all__ = ["BOM", "CLOSING", "MAX_DEPTH", "SPACE", "parse"]

BOM: Final = "\ufeff"
CLOSING: Final = {"{": "}", "<": ">"}
MAX_DEPTH: Final = 100
"""Messages in messages, as protobuf's own limit."""

SPACE: Final = r"(?:[ \t\r\n\v\f]++|#[^\n]*+)*+"
"""White space and comments, as part of a regular expression; possessive, so that time stays linear."""

_SEPARATED: Final = rf"{SPACE}(?:[;,]{SPACE})?+"
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*+"
_LONE: Final = rf"(?!{SPACE}[\"'])"  # adjacent strings are one value: not for the fast path

# The groups are told apart by Match.lastindex
_UNQUOTED, _DOUBLE, _SINGLE, _OPEN, _OPEN_PLAIN, _CLOSE = range(3, 9)


def _plain_field(lead: str) -> re.Pattern[str]:
    value = rf"""([-+.\w]++)|"([^"\\\n]*+)"{_LONE}|'([^'\\\n]*+)'{_LONE}|([{{<])"""
    return re.compile(rf"({lead})(?:({_NAME}){SPACE}(?::{SPACE}(?:{value})|([{{<]))|([}}>]))", re.ASCII)


_FIRST: Final = _plain_field(SPACE)
_NEXT: Final = _plain_field(_SEPARATED)

_SKIP: Final = re.compile(SPACE)
_SKIP_SEPARATED: Final = re.compile(_SEPARATED)
_IDENTIFIER: Final = re.compile(_NAME)
_EXTENSION: Final = re.compile(rf"\[{SPACE}({_NAME}(?:{SPACE}[./]{SPACE}{_NAME})*+){SPACE}\]")
_PLAIN_LIST: Final = re.compile(r"\[([-+.\w \t\r\n,]++)\]", re.ASCII)
_STRING: Final = re.compile(r"""(["'])((?:(?!\1)[^\\\n]|\\.)*+)\1""")
_RUN: Final = re.compile(r"[-+.\w]++", re.ASCII)
_SIGNED: Final = re.compile(rf"-{SPACE}([-+.\w]++)", re.ASCII)
_COMMENT_OR_SPACE: Final = re.compile(r"[ \t\r\n\v\f]++|#[^\n]*+")


@dataclass(slots=True)
class _Frame:
    """A message whose closing bracket has not been seen: what its field will need."""

    lead: str
    name: str
    head: str
    start: int
    listed: bool
    fields: list[Field] = field(default_factory=list)


def parse(data: bytes | str, name: str = "<text>") -> Message:
    """The tree of a prototxt; printing it gives the same bytes. ``name`` is for messages. TextError."""
    if isinstance(data, bytes):
        return _Parser(data.decode("utf-8", "surrogateescape"), name).run()
    try:
        data.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        _Parser(data, name).fail(error.start, "expected text, found half of a surrogate pair")
    return _Parser(data, name).run()


class _Parser:
    """One pass over one text. ``pending`` is text already passed that belongs to the next field's lead."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.stack: list[_Frame] = []
        self.fields: list[Field] = []
        self.pattern = _FIRST
        self.position = 0
        self.pending = ""
        self.known: dict[str, Scalar] = {}

    def run(self) -> Message:
        text, known = self.text, self.known
        if text.startswith(BOM):
            self.pending, self.position = BOM, 1
        while True:
            match = self.pattern.match(text, self.position)
            kind = 0 if match is None else match.lastindex
            if match is None or not kind:
                if self._step():
                    return Message(self.fields, self._lead(text[self.position :]))
                continue
            lead, name = match.group(1, 2)
            if self.pending:
                lead = self._lead(lead)
            if kind >= _OPEN:
                if kind == _CLOSE:
                    self._close(lead, match.end() - 1)
                else:
                    start = match.end(1)
                    self._open(_Frame(lead, name, text[start : match.end()], start, False), match.end())
                continue
            value: Value | None
            if kind == _UNQUOTED:
                raw = match[_UNQUOTED]
                value = known.get(raw)
                if value is None:
                    value, end = self._unquoted(match.start(_UNQUOTED), name)
                    if end != match.end():
                        self.fields.append(Field(name, value, lead, text[match.end(1) : end]))
                        self.position, self.pattern = end, _NEXT
                        continue
                    known[raw] = value
            else:
                value = match[kind]
            self.position = end = match.end()
            self.pattern = _NEXT
            self.fields.append(Field(name, value, lead, text[match.end(1) : end]))

    def _lead(self, text: str) -> str:
        lead, self.pending = self.pending + text, ""
        return lead

    def _open(self, frame: _Frame, end: int) -> None:
        if len(self.stack) == MAX_DEPTH:
            self.fail(frame.start, f"messages are nested deeper than {MAX_DEPTH}")
        frame.fields, self.fields = self.fields, []
        self.stack.append(frame)
        self.position, self.pattern = end, _FIRST

    def _close(self, tail: str, position: int) -> None:
        bracket = self.text[position]
        if not self.stack:
            self.fail(position, f'expected a field, found "{bracket}" that nothing opened')
        frame = self.stack.pop()
        if bracket != CLOSING[frame.head[-1]]:
            self.fail(position, f'expected "{CLOSING[frame.head[-1]]}" to close "{frame.name}", found "{bracket}"')
        message = Message(self.fields, tail)
        self.fields = frame.fields
        self.fields.append(Field(frame.name, message, frame.lead, frame.head))
        self.position, self.pattern = position + 1, _NEXT
        if frame.listed:
            self._continue_list(frame.name)

    def _continue_list(self, name: str) -> None:
        """After a message in a list: the next one, or the end of the list."""
        start = self.position
        end = self._skip(start)
        if self.text.startswith("]", end):
            self.pending, self.position = self.text[start : end + 1], end + 1
            return
        if not self.text.startswith(",", end):
            self.fail(end, f'expected "," or "]" in the list "{name}", found {self._found(end)}')
        bracket = self._skip(end + 1)
        if self.text[bracket : bracket + 1] not in CLOSING:
            self.fail(bracket, f'expected a message in the list "{name}", found {self._found(bracket)}')
        frame = _Frame(self.text[start:bracket], name, self.text[bracket], bracket, True)
        self._open(frame, bracket + 1)

    def _step(self) -> bool:
        """Read one field that is not plain; True at the end of the file."""
        text, start = self.text, self.position
        skip = _SKIP if self.pattern is _FIRST else _SKIP_SEPARATED
        position = _end(skip, text, start)
        if position == len(text):
            if self.stack:
                opened = self.stack[-1]
                closing = CLOSING[opened.head[-1]]
                line = text.count("\n", 0, opened.start) + 1
                self.fail(position, f'expected "{closing}" to close "{opened.name}" of line {line}, found end of file')
            return True
        lead = self._lead(text[start:position])
        name, end = self._field_name(position)
        end = self._skip(end)
        colon = text.startswith(":", end)
        value_at = self._skip(end + 1) if colon else end
        character = text[value_at : value_at + 1]
        first = self._skip(value_at + 1) if character == "[" else value_at
        if text[first : first + 1] in CLOSING:
            self._open(_Frame(lead, name, text[position : first + 1], position, first != value_at), first + 1)
            return False
        if not colon and not text.startswith("]", first):
            self.fail(end, f'expected ":" or "{{" after "{name}", found {self._found(end)}')
        value: Value
        value, end = self._list(value_at, name) if character == "[" else self._scalar(value_at, name)
        self.fields.append(Field(name, value, lead, text[position:end]))
        self.position, self.pattern = end, _NEXT
        return False

    def _field_name(self, position: int) -> tuple[str, int]:
        if match := _IDENTIFIER.match(self.text, position):
            return match[0], match.end()
        match = _EXTENSION.match(self.text, position)
        if match is None:
            self.fail(position, f"expected a field's name, found {self._found(position)}")
        return f"[{_COMMENT_OR_SPACE.sub('', match[1])}]", match.end()

    def _list(self, bracket: int, name: str) -> tuple[tuple[Scalar, ...], int]:
        """The scalars in brackets, and where they end."""
        text = self.text
        if (plain := _PLAIN_LIST.match(text, bracket)) and (known := self._plain_list(plain[1])):
            return known, plain.end()
        values: list[Scalar] = []
        position = self._skip(bracket + 1)
        while not text.startswith("]", position):
            if values:
                if not text.startswith(",", position):
                    self.fail(position, f'expected "," or "]" in the list "{name}", found {self._found(position)}')
                position = self._skip(position + 1)
            value, end = self._scalar(position, name)
            values.append(value)
            position = self._skip(end)
        return tuple(values), position + 1

    def _plain_list(self, inner: str) -> tuple[Scalar, ...]:
        """The numbers and words of a list without comments and strings; empty if it is not that plain."""
        known = self.known
        tokens = [token.strip() for token in inner.split(",")]
        try:
            known.update((token, parse_scalar(token)) for token in set(tokens) if token not in known)
        except ValueError:
            return ()
        return tuple([known[token] for token in tokens])

    def _scalar(self, position: int, name: str) -> tuple[Scalar, int]:
        if self.text[position : position + 1] in ('"', "'"):
            return self._strings(position)
        return self._unquoted(position, name)

    def _unquoted(self, position: int, name: str) -> tuple[Scalar, int]:
        match = _SIGNED.match(self.text, position)
        raw, end = (f"-{match[1]}", match.end()) if match else ("", position)
        if match is None and (run := _RUN.match(self.text, position)):
            raw, end = run[0], run.end()
        try:
            return parse_scalar(raw), end
        except ValueError as error:
            self.fail(position, f'expected {error} after "{name}", found {self._found(position)}')

    def _strings(self, position: int) -> tuple[str, int]:
        """Adjacent string literals, which are one value."""
        parts: list[str] = []
        end = position
        while self.text[position : position + 1] in ('"', "'"):
            match = _STRING.match(self.text, position)
            if match is None:
                self.fail(position, f"expected {self.text[position]} to end the string on its line")
            try:
                parts.append(unescape(match[2]))
            except EscapeError as error:
                at = match.start(2) + error.offset
                self.fail(at, f"expected {error}, found {printable(self.text[at : at + 2])}")
            end = match.end()
            position = self._skip(end)
        # Bytes of one character may be spread over two literals
        joined = "".join(parts).encode("utf-8", "surrogateescape")
        return joined.decode("utf-8", "surrogateescape"), end

    def _skip(self, position: int) -> int:
        return _end(_SKIP, self.text, position)

    def _found(self, position: int) -> str:
        if position >= len(self.text):
            return "end of file"
        match = _RUN.match(self.text, position)
        token = match[0] if match else self.text[position]
        return f'"{printable(token[:40])}"'

    def fail(self, position: int, problem: str) -> NoReturn:
        """TextError at that place."""
        raise located(self.text, position, problem, self.name)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()
