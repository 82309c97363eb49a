"""Whether the values of a prototxt can be what their fields are known to hold.

A field that no known dialect has may be one of an unknown fork, and is kept; if it looks like a slip of the pen, a
note says so. A value that no dialect's field of that name can hold is an error, as it is for Caffe.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from demitasse.caffe.encode import in_range
from demitasse.caffe.schema import Fact, enum_names, enum_words, facts_by_number, is_enum
from demitasse.caffe.text_place import located, place
from demitasse.message import Field, Message, Scalar, Word, as_flag, as_integer, as_number
from demitasse.net import Note

__all__ = ["check_values", "slips"]

_ROOT: Final = ("NetParameter",)
_ALIKE: Final = 0.8
"""How much of two names is the same, by difflib's measure, where one is taken for the other misspelt."""

_LISTED: Final = 8
"""Names of an enum that an error lists."""


class _Wrong(NamedTuple):
    field: Field
    problem: str


def check_values(root: Message, text: bytes, name: str) -> None:
    """TextError, at its line and column, for the first value of the tree of ``text`` that its field cannot hold."""
    if (wrong := _first_wrong(root, _ROOT)) is None:
        return
    of_layer = next((f'layer "{_label(field.value)}": ' for field in root if _holds(field.value, wrong.field)), "")
    where = place(root, wrong.field)
    raise located(text.decode("utf-8", "surrogateescape"), where, of_layer + wrong.problem, name)


def slips(root: Message) -> tuple[Note, ...]:
    """A note for each unknown field whose name is nearly that of a known one."""
    return tuple(
        Note("read", layer, f'unknown field "{name}": did you mean "{meant}"?', {"field": name, "meant": meant})
        for layer, name, meant in _slips(root, _ROOT, "")
    )


def _slips(message: Message, kinds: tuple[str, ...], layer: str) -> Iterator[tuple[str, str, str]]:
    known = _known(kinds)
    own = {f"{field.value}param".lower() for field in message if field.name == "type"}  # of a fork's own layer
    for field in message.fields:
        facts = known.get(field.name, ())
        of_fork = field.name.replace("_", "") in own
        if not facts and not of_fork and (meant := _nearest(field.name, kinds)):
            yield layer, field.name, meant
        inner = _types(facts, messages=True)
        if isinstance(field.value, Message) and inner:
            yield from _slips(field.value, inner, _label(field.value) if kinds == _ROOT else layer)


@cache
def _nearest(name: str, kinds: tuple[str, ...]) -> str | None:
    """The known name that is probably meant. What all parameter messages end in says nothing."""
    ending = "_param" if name.endswith("_param") else ""
    stems = [known.removesuffix(ending) for known in _known(kinds) if known.endswith(ending)]
    return next(
        (stem + ending for stem in difflib.get_close_matches(name.removesuffix(ending), stems, 1, _ALIKE)), None
    )


@cache
def _known(kinds: tuple[str, ...]) -> dict[str, tuple[Fact, ...]]:
    """The fields of messages of these kinds by name, in any dialect."""
    out: dict[str, tuple[Fact, ...]] = {}
    for kind in kinds:
        for facts in facts_by_number(kind).values():
            for fact in facts:
                out[fact.name] = (*out.get(fact.name, ()), fact)
    return out


@cache
def _types(facts: tuple[Fact, ...], *, messages: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fact.type for fact in facts if fact.is_message is messages))


def _first_wrong(message: Message, kinds: tuple[str, ...]) -> _Wrong | None:
    known = _known(kinds)
    for field in message.fields:
        facts = known.get(field.name)
        if facts is None:
            continue
        if isinstance(field.value, Message):
            inner = _types(facts, messages=True)
            if not inner:
                return _Wrong(field, f'"{field.name}" should be {_described(facts)}, and is a message {{ … }}')
            if (wrong := _first_wrong(field.value, inner)) is not None:
                return wrong
            continue
        types = _types(facts, messages=False)
        values = field.value if isinstance(field.value, tuple) else (field.value,)
        for value in values:
            if not any(_fits(value, kind) for kind in types):
                return _Wrong(field, f'"{field.name}" should be {_described(facts)}, and is {_shown(value)}')
    return None


def _fits(value: Scalar, kind: str) -> bool:
    """Whether a field of that type, scalar or enum, can hold a value."""
    if kind in ("string", "bytes"):
        return isinstance(value, str) and not isinstance(value, Word)
    try:
        if kind in ("float", "double"):
            as_number(value)
            return True
        if kind == "bool":
            as_flag(value)
            return True
        if is_enum(kind):
            if isinstance(value, Word):
                return str(value) in enum_words(kind)
            return as_integer(value) in enum_names(kind)
        return in_range(as_integer(value), kind) is not None
    except (ValueError, OverflowError):
        return False


def _described(facts: tuple[Fact, ...]) -> str:
    """What a field holds, in words."""
    words = []
    for kind in _types(facts, messages=False):
        if is_enum(kind):
            names = enum_words(kind)
            more = f", … ({len(names)} names)" if len(names) > _LISTED else ""
            words.append(f"one of {', '.join(names[:_LISTED])}{more}")
        elif kind == "bool":
            words.append("true or false")
        elif kind in ("float", "double"):
            words.append("a number")
        elif kind in ("string", "bytes"):
            words.append("a string in quotes")
        else:
            words.append("a whole number ≥ 0" if kind.startswith("u") else "a whole number")
    return " or ".join(dict.fromkeys(words)) or "a message { … }"


def _shown(value: Scalar) -> str:
    return f'"{value}"' if isinstance(value, str) and not isinstance(value, Word) else str(value)


def _holds(value: object, wanted: Field) -> bool:
    return isinstance(value, Message) and any(one is wanted or _holds(one.value, wanted) for one in value.fields)


def _label(value: object) -> str:
    """The name of a layer, of whichever generation."""
    if not isinstance(value, Message):
        return ""
    names = [field.value for field in value.fields if field.name == "name" and isinstance(field.value, str)]
    inner = [_label(field.value) for field in value.fields if field.name == "layer"]
    return (names or inner or [""])[-1]
