"""Laws of the text format on random trees, and on random texts with everything that the format allows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from demitasse.caffe.text import dump, parse
from demitasse.errors import TextError
from demitasse.message import Field, Message, Value, Word, replaced

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True) | st.sampled_from(["[a.b]", "[x.y/z]"])
words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True).map(Word) | st.just(Word("-inf"))
strings = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\\\"'\t\udc80\udcff"), max_size=8).map(
    lambda text: text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(numbers, strings, words)


def messages(depth: int = 2) -> st.SearchStrategy[Message]:
    """Trees that came from no text."""
    values = scalars | st.lists(scalars, max_size=3).map(tuple)
    if depth:
        values = values | messages(depth - 1)
    return st.lists(st.builds(Field, names, values), max_size=4).map(Message)


spaces = st.lists(
    st.sampled_from([" ", "\t", "\n", "\r\n", "\v", "# note [;,] {} \"'\n", "#\udce9\r\n", "\n  "]), max_size=3
).map("".join)
separators = st.tuples(spaces, st.sampled_from(["", "", "", ";", ","]), spaces).map("".join)
literals = st.sampled_from(
    [
        '"a"',
        "'b'",
        r'"\n\t\"\'\\\?"',
        r"'\303\251'",
        r'"\x41\u00e9\U0001F600\ud83d\ude00"',
        '"é"',
        '"\udce9"',
        '"a" \'b\'#c\n"d"',
    ]
)
unquoted = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "0x1F",
        "-0XaB",
        "017",
        "1.5",
        ".5",
        "1.",
        "1e5",
        "1E-3f",
        "-1e+5",
        "2F",
        "inf",
        "-inf",
        "nan",
        "true",
        "MAX",
        "t",
        "18446744073709551616",
    ]
) | st.sampled_from(["- 1", "-#c\n2", "- NaN"])
values = literals | unquoted


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> str:
    """Texts of any layout, separators and comments included; always valid."""
    out = ["\ufeff"] if depth == 2 and draw(st.booleans()) else []
    for i in range(draw(st.integers(0, 4))):
        lead = draw(spaces if i == 0 else separators)
        # A number or a word must be parted from the next name
        out.append(lead if i == 0 or lead else " ")
        out.append(draw(names))
        out.append(draw(spaces))
        out.append(draw(_bodies(depth)))
    out.append(draw(separators if len(out) > 1 else spaces))
    return "".join(out)


@st.composite
def _bodies(draw: st.DrawFn, depth: int) -> str:
    kind = draw(st.sampled_from(["scalar", "scalar", "list", *(["message", "messages"] if depth else [])]))
    space = [draw(spaces) for _ in range(4)]
    if kind == "scalar":
        return f":{space[0]}{draw(values)}"
    if kind == "list":
        items = draw(st.lists(values, max_size=3))
        return f":{space[0]}[{space[1]}{(space[2] + ',' + space[3]).join(items)}{space[2]}]"
    colon = draw(st.sampled_from(["", ":"]))
    count = 1 if kind == "message" else draw(st.integers(1, 3))
    parts = []
    for _ in range(count):
        opening, closing = draw(st.sampled_from(["{}", "<>"]))
        parts.append(opening + draw(texts(depth=depth - 1)).removeprefix("\ufeff") + closing)
    if kind == "message":
        return f"{colon}{space[0]}{parts[0]}"
    return f"{colon}{space[0]}[{space[1]}{(space[2] + ',' + space[3]).join(parts)}{space[2]}]"


def meaning(value: Value) -> object:
    """A value to compare with: floats as float32, the precision of Caffe's fields and of what is printed."""
    if isinstance(value, Message):
        return [(field.name, meaning(field.value)) for field in value]
    if isinstance(value, tuple):
        return [meaning(item) for item in value]
    if isinstance(value, str):
        return type(value).__name__, str(value)
    with np.errstate(over="ignore"):
        return float(value), float(np.float32(value))


def edited(message: Message, draw: st.DrawFn) -> Message:
    """With fields removed, added, moved, changed, replaced and pasted, by the tree's own methods and by hand."""
    fields = list(message.fields)
    for _ in range(draw(st.integers(1, 3))):
        edit = draw(st.sampled_from(["drop", "insert", "paste", "move", "value", "inside", "remove", "map"]))
        i = draw(st.integers(0, max(len(fields) - 1, 0)))
        if edit == "insert":
            fields.insert(i, Field(draw(names), draw(scalars | messages(1))))
        elif edit == "paste":
            fields.insert(i, Field("pasted", parse(draw(texts(depth=1)))))
        elif not fields:
            continue
        elif edit == "drop":
            del fields[i]
        elif edit == "move":
            fields.insert(draw(st.integers(0, len(fields) - 1)), fields.pop(i))
        elif edit == "value":
            fields[i] = replaced(fields[i], draw(scalars | messages(1)))
        elif edit == "inside" and isinstance(fields[i].value, Message):
            fields[i] = replaced(fields[i], edited(fields[i].value, draw))
        elif edit == "remove":
            message = Message(fields, message.tail).remove(fields[i].name)
            fields = list(message.fields)
        elif edit == "map":
            gone = fields[i]
            message = Message(fields, message.tail).map(lambda field, gone=gone: None if field is gone else field)
            fields = list(message.fields)
    return Message(fields, message.tail)


@given(texts())
def test_an_unedited_text_comes_back_as_it_was(text):
    data = text.encode("utf-8", "surrogateescape")
    assert dump(parse(data)) == data


@given(texts())
def test_text_and_bytes_give_the_same_tree(text):
    assert meaning(parse(text)) == meaning(parse(text.encode("utf-8", "surrogateescape")))


@given(messages())
def test_a_tree_from_nothing_reads_back(tree):
    assert _close(meaning(parse(dump(tree))), meaning(tree))


@given(messages())
def test_printing_is_stable(tree):
    once = dump(tree)
    assert dump(parse(once)) == once


@given(texts(), st.data())
def test_an_edited_text_reads_back_as_edited(text, data):
    tree = edited(parse(text), data.draw)
    assert _close(meaning(parse(dump(tree))), meaning(tree))


@given(texts(), st.data())
def test_a_changed_scalar_changes_its_own_bytes_only(text, data):
    tree = parse(text)
    places = list(_places(tree, ()))
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    value = data.draw(scalars)
    new, old_text = _with(tree, place, value)
    before, after = dump(tree).decode("utf-8", "surrogateescape"), dump(new).decode("utf-8", "surrogateescape")
    if before == after:  # the value that it had
        assert meaning(new) == meaning(tree)
        return
    written = dump(Message.of((_name(tree, place), value))).decode("utf-8", "surrogateescape").rstrip("\n")
    start = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    starts = [i for i in range(start + 1) if before.startswith(old_text, i)]
    assert any(before[:i] + written + before[i + len(old_text) :] == after for i in starts)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A text with a piece cut out, and something else put there."""
    text = draw(texts())
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 4)))
    return text[:start] + draw(st.text("{}<>[]:;,\"'#-\\\n a1.\0", max_size=3)) + text[end:]


@given(st.one_of(st.text(), st.binary(), damaged()))
def test_any_input_is_a_tree_or_a_typed_error(data):
    try:
        tree = parse(data)
    except TextError as error:
        problem = error
    else:
        assert dump(tree) == (data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))
        return
    assert min(problem.line, problem.column) >= 1
    assert "\n" not in str(problem)


def _close(a: object, b: object) -> bool:
    """Equal, numbers as doubles or as float32."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) == len(b) == 2 and isinstance(a[0], float) and isinstance(b[0], float):
            return a[0] == b[0] or a[1] == b[1]
        return len(a) == len(b) and all(map(_close, a, b))
    return a == b


def _places(message: Message, path: tuple[int, ...]):
    for i, field in enumerate(message):
        if isinstance(field.value, Message):
            yield from _places(field.value, (*path, i))
        else:
            yield (*path, i)


def _name(message: Message, place: tuple[int, ...]) -> str:
    field = message.fields[place[0]]
    return field.name if len(place) == 1 else _name(field.value, place[1:])


def _with(message: Message, place: tuple[int, ...], value: Value) -> tuple[Message, str]:
    field = message.fields[place[0]]
    if len(place) == 1:
        new, old = replaced(field, value), field.text
    else:
        inner, old = _with(field.value, place[1:], value)
        new = replaced(field, inner)
    return Message((*message.fields[: place[0]], new, *message.fields[place[0] + 1 :]), message.tail), old
