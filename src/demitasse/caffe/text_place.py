"""Places in a prototxt: where a field of a tree stands in the text that it came from, and errors that show it."""

from __future__ import annotations

from typing import Final

from demitasse.errors import TextError
from demitasse.message import Field, Message

__all__ = ["located", "place", "printable"]

_SHOWN: Final = 80


def located(text: str, position: int, problem: str, name: str) -> TextError:
    """An error at that place of a text, with the line (of a long one, the part around it). ``name``: the file's."""
    line = text.count("\n", 0, position) + 1
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    column = position - start + 1
    if end - start > _SHOWN:
        start = max(start, position - _SHOWN // 2)
        end = min(end, start + _SHOWN)
    shown = printable(text[start:end].strip(" \t\r\ufeff"))
    suffix = f": {shown}" if shown else ""
    if len(problem) > 2 * _SHOWN:  # it has a name in it that goes on and on
        problem = f"{problem[:_SHOWN]}…{problem[-_SHOWN:]}"
    return TextError(f"{name}:{line}:{column}: {problem}{suffix}", line, column)


def place(root: Message, wanted: Field) -> int:
    """Where in its text a field of a parsed, unedited tree begins. ValueError if it is not in the tree."""
    found, end = _walk(root, wanted, 0)
    if not found:
        raise ValueError(f"{wanted!r} is not in this tree")
    return end


def _walk(message: Message, wanted: Field, at: int) -> tuple[bool, int]:
    """Whether the field is in a message whose first lead begins there, and where; or where the message ends."""
    for field in message.fields:
        at += len(field.lead or "")
        if field is wanted:
            return True, at
        at += len(field.text or "")
        if isinstance(field.value, Message):
            found, at = _walk(field.value, wanted, at)
            if found:
                return True, at
            at += 1  # its closing bracket
    return False, at + len(message.tail or "")


def printable(text: str) -> str:
    """On one line, in characters that any terminal can show."""
    return "".join(c if c.isprintable() else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    if character == "\t":
        return " "
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
