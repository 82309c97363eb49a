"""Printing a tree as prototxt: what came from a text as it stood, what is new in the style of its neighbours.

Edits can put pieces beside each other that were apart (the first element of a list removed, a field moved to the
front of a message); the printer mends what would not read back: brackets of lists, separators, missing spaces.
"""

from __future__ import annotations

import re
from typing import Final

from demitasse.caffe.text_parse import BOM, CLOSING, MAX_DEPTH, SPACE
from demitasse.caffe.text_scalars import format_number, quote
from demitasse.errors import TextError
from demitasse.message import Field, Message, Scalar, Word

__all__ = ["dump"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+\Z|\[[A-Za-z_][A-Za-z0-9_./]*+\]\Z")
_WORD: Final = re.compile(r"-?[A-Za-z_][A-Za-z0-9_]*+\Z")
_OPENS_LIST: Final = re.compile(rf"(?:\[[^]]*+\]|[A-Za-z0-9_]++){SPACE}:?{SPACE}\[")
_ENDS_LIST: Final = re.compile(rf"{SPACE}\]")
_SEPARATOR: Final = re.compile(rf"({SPACE})[;,]")
_SAME_LINE_COMMENT: Final = re.compile(r"[ \t]*+[;,]?[ \t]*+#[^\r\n]*+")
_BLANKS: Final = re.compile(r"[ \t]*+")


def dump(message: Message) -> bytes:
    """The text of a tree, as UTF-8. TextError if a name or word is none, or messages nest too deep."""
    printer = _Printer(_newline(message), _unit(message))
    if any(lead is not None and lead.startswith(BOM) for lead in (*(field.lead for field in message), message.tail)):
        printer.out.append(BOM)
    printer.body(message, None)
    return "".join(printer.out).encode("utf-8", "surrogateescape")


def _newline(message: Message) -> str:
    for lead in (*(field.lead for field in message.fields), message.tail):
        if lead is not None and "\n" in lead:
            return "\r\n" if lead[: lead.index("\n")].endswith("\r") else "\n"
    return "\n"


def _unit(message: Message) -> str:
    """What one level of nesting adds to the indentation."""
    for field in message.fields:
        if isinstance(field.value, Message):
            outer = _indentation(field.lead) or ""
            for child in field.value.fields:
                inner = _indentation(child.lead)
                if inner is not None and inner.startswith(outer) and len(inner) > len(outer):
                    return inner[len(outer) :]
    return "  "


def _indentation(lead: str | None) -> str | None:
    """The blanks that begin the last line of a lead, or None if it begins no line."""
    if lead is None or "\n" not in lead:
        return None
    match = _BLANKS.match(lead, lead.rindex("\n") + 1)
    return match[0] if match else ""


class _Layout:
    """How the fields of one message are set: ``lead`` goes before a new field, ``own`` begins the message's line."""

    def __init__(self, message: Message, outer: _Layout | None, own: str, printer: _Printer) -> None:
        self.own = own
        leads = [field.lead for field in message.fields]
        known = [lead for lead in (leads if outer else leads[1:]) if lead and lead != BOM]
        indentation = next((found for lead in leads if (found := _indentation(lead)) is not None), None)
        if indentation is not None:
            self.lead = printer.newline + indentation
        elif known or (outer and message.tail is not None and "\n" not in message.tail):
            self.lead = " "
        elif outer is None:
            self.lead = printer.newline
        elif outer.lead == " " and message.tail is None:
            self.lead = " "
        else:
            self.lead = printer.newline + own + printer.unit
        self.newline = printer.newline

    def follow(self, lead: str) -> None:
        """A field with that lead was printed: the next new one is set like it."""
        if "\n" in lead and (indentation := _indentation(lead)) is not None:
            self.lead = self.newline + indentation


class _Printer:
    def __init__(self, newline: str, unit: str) -> None:
        self.out: list[str] = []
        self.newline = newline
        self.unit = unit
        self.depth = 0

    def body(self, message: Message, outer: _Layout | None, own: str = "") -> None:
        """The fields and the tail of a message, without its brackets."""
        layout = _Layout(message, outer, own, self)
        fields = message.fields
        leads: list[str | None] = [*(field.lead for field in fields), message.tail]
        listed: str | None = None
        for i, field in enumerate(fields):
            if leads[i] is None and listed:
                self.out.append("]")
                listed = None
            if leads[i] is None and (i or outer) and (i == 0 or fields[i - 1].lead is not None):
                self._keep_comment(leads, i)
            lead, listed = self._list_mended(leads[i], field, listed)
            self._lead(lead, fields[i - 1] if i else None, layout, outer is None)
            listed = self._field(field, listed, layout)
        tail, listed = self._list_mended(leads[-1], None, listed)
        if not fields and tail is not None and (match := _SEPARATOR.match(tail)):
            tail = match[1] + tail[match.end() :]
        self._tail(tail, message, layout, outer is None)

    def _keep_comment(self, leads: list[str | None], i: int) -> None:
        """Before a run of new fields: a comment on the line of the field before them stays on its line."""
        following = next(j for j in range(i, len(leads)) if leads[j] is not None or j == len(leads) - 1)
        lead = leads[following]
        if lead is not None and (match := _SAME_LINE_COMMENT.match(lead)):
            self.out.append(match[0])
            leads[following] = lead[match.end() :]

    def _list_mended(self, lead: str | None, field: Field | None, listed: str | None) -> tuple[str | None, str | None]:
        """The lead with ``]`` where a list of messages is open, and only there; and the list still open, if any."""
        ends = _ENDS_LIST.match(lead) if lead and "]" in lead else None
        if ends and lead:
            return (lead if listed else lead[: ends.end() - 1] + lead[ends.end() :]), None
        if listed and not (field and field.text in CLOSING and field.name == listed):
            self.out.append("]")
            return lead, None
        return lead, listed

    def _lead(self, lead: str | None, previous: Field | None, layout: _Layout, root: bool) -> None:
        if lead is not None and lead.startswith(BOM):
            lead = lead[1:]
        if lead and previous is None and (match := _SEPARATOR.match(lead)):
            lead = match[1] + lead[match.end() :]
        last = self.out[-1][-1] if self.out else ""
        if lead == "" and (last.isalnum() or last in ("_", ".") or (previous is not None and previous.lead is None)):
            lead = None
        if lead is None:
            start = not self.out or (root and last in ("\n", BOM))
            lead = "" if start else layout.lead
            if lead == " " and self._in_comment():
                lead = self.newline + layout.own
        else:
            layout.follow(lead)
        if lead:
            self.out.append(lead)

    def _in_comment(self) -> bool:
        return bool(self.out) and "#" in self.out[-1] and _SAME_LINE_COMMENT.fullmatch(self.out[-1]) is not None

    def _field(self, field: Field, listed: str | None, layout: _Layout) -> str | None:
        text, value = field.text, field.value
        if text is not None and text in CLOSING and not listed:
            text = None
        if text is not None and not (text.startswith((field.name, "[")) or text in CLOSING):
            text = None
        if not isinstance(value, Message):
            self.out.append(f"{_checked_name(field.name)}: {_plain(value)}" if text is None else text)
            return listed
        if text is None:
            text = f"{_checked_name(field.name)} {{"
        elif "[" in text and _OPENS_LIST.match(text):
            listed = field.name
        self.out.append(text)
        if self.depth == MAX_DEPTH:
            raise TextError(f'messages are nested deeper than {MAX_DEPTH}, at "{field.name}"')
        self.depth += 1
        own = _indentation(field.lead if field.lead is not None else layout.lead)
        self.body(value, layout, layout.own if own is None else own)
        self.depth -= 1
        self.out.append(CLOSING[text[-1]])
        return listed

    def _tail(self, tail: str | None, message: Message, layout: _Layout, root: bool) -> None:
        if tail is not None and tail.startswith(BOM):
            tail = tail[1:]
        if root:
            if tail is None and self.out:
                tail = self.newline
        elif tail is None or (tail == "" and message.fields and message.fields[-1].lead is None):
            tail = " " if layout.lead == " " or not message.fields else self.newline + layout.own
        if not root and tail is not None and tail.rfind("#") > tail.rfind("\n"):
            tail += self.newline + layout.own
        if tail:
            self.out.append(tail)


def _checked_name(name: str) -> str:
    if not _NAME.match(name):
        raise TextError(f"{name!r} cannot be the name of a field in a prototxt")
    return name


def _plain(value: Scalar | tuple[Scalar, ...]) -> str:
    return f"[{', '.join(map(_scalar, value))}]" if isinstance(value, tuple) else _scalar(value)


def _scalar(value: Scalar) -> str:
    if isinstance(value, Word):
        if not _WORD.match(value):
            raise TextError(f"{str(value)!r} cannot be written in a prototxt without quotes")
        return str(value)
    return quote(value) if isinstance(value, str) else format_number(value)
