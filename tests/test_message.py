import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.errors import NetError
from demitasse.message import Field, Message, Word, renamed, replaced

M = Message.of(
    ("a", 1), ("b", "x"), ("a", (2, 3.5)), ("m", Message.of(("c", 1))), ("m", Message.of(("c", 2), ("d", 3)))
)


def spaced(*fields: tuple[str, int, str], tail: str = "\n") -> Message:
    """A message as if from a text, of (name, value, lead)."""
    return Message((Field(name, value, lead, f"{name}: {value}") for name, value, lead in fields), tail)


def leads(message: Message) -> list[str | None]:
    return [field.lead for field in message]


def test_reading():
    assert M.scalars("a") == (1, 2, 3.5)
    assert M.get("a") == 3.5
    assert M.get("z") is None
    assert M.get("z", 7) == 7
    assert M.string("b") == "x"
    assert M.messages("m") == (Message.of(("c", 1)), Message.of(("c", 2), ("d", 3)))
    assert "a" in M
    assert "z" not in M
    assert len(M) == 5


def test_a_message_given_twice_is_merged():
    assert M.message("m").integer("c") == 2
    assert M.message("m").integer("d") == 3
    assert M.message("z") == Message()


def test_an_empty_list_is_no_message_and_no_value():
    assert Message.of(("m", ())).messages("m") == ()
    assert Message.of(("m", ())).get("m") is None


TYPED = [
    ("integer", 4, 4),
    ("integer", 4.0, 4),
    ("number", 4, 4.0),
    ("number", Word("-inf"), float("-inf")),
    ("flag", Word("true"), True),
    ("flag", Word("f"), False),
    ("flag", 1, True),
    ("string", Word("MAX"), "MAX"),
]


@pytest.mark.parametrize(("method", "value", "wanted"), TYPED)
def test_typed_reading(method, value, wanted):
    got = getattr(Message.of(("x", value)), method)("x")
    assert got == wanted
    assert type(got) in (type(wanted), Word)


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("integer", 1.5),
        ("integer", "4"),
        ("integer", float("inf")),
        ("integer", float("nan")),
        ("integers", Word("four")),
        ("number", "1"),
        ("number", Word("one")),
        ("numbers", Word("one")),
        ("flag", "true"),
        ("flag", 2),
        ("flag", Word("yes")),
        ("string", Message()),
        ("scalars", Message()),
        ("messages", 1),
        ("message", Word("x")),
    ],
)
def test_what_a_value_is_not(method, value):
    with pytest.raises(NetError, match="field 'x' should"):
        getattr(Message.of(("x", value)), method)("x")


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (1, 2, False),
        ("x", "x", True),
        ("x", Word("x"), False),
        (("x",), (Word("x"),), False),
        ((1, 2), (1.0, 2.0), True),
        ((1,), (1, 2), False),
        ((1,), 1, False),
        (Message(), Message(), True),
        (Message.of(("a", "x")), Message.of(("a", Word("x"))), False),
    ],
)
def test_equality_is_of_kind_and_value(a, b, same):
    assert (Field("f", a) == Field("f", b)) is same
    assert Field("f", a) != Field("g", a)


def test_spacing_does_not_count():
    assert spaced(("a", 1, "  ")) == Message.of(("a", 1))


def test_setting_what_is_there_returns_the_message():
    assert M.set("b", "x") is M
    assert M.set_all("a", [1, (2, 3.5)]) is M
    assert M.remove("z") is M
    assert M.map(lambda field: field) is M


def test_set_keeps_the_first_place():
    assert M.set("a", 9).fields[0] == Field("a", 9)
    assert M.set("a", 9).scalars("a") == (9,)
    assert M.set("z", 9).fields[-1] == Field("z", 9)
    assert M.scalars("a") == (1, 2, 3.5)


def test_set_all_keeps_places_as_far_as_they_reach():
    assert [field.value for field in M.set_all("a", [7, 8, 9])][:4] == [7, "x", 8, 9]
    assert [field.value for field in M.set_all("a", [7])][:2] == [7, "x"]
    assert M.set_all("z", [1, 2]).scalars("z") == (1, 2)


def test_add_goes_after_the_last_of_that_name():
    assert [field.name for field in M.add("a", 5)] == ["a", "b", "a", "a", "m", "m"]


def test_an_edit_shares_what_did_not_change():
    new = M.set("b", "y")
    assert all(a is b for a, b in zip(M.fields[2:], new.fields[2:], strict=True))


REMOVALS = [
    # (leads of a, b, c and tail; what is removed; leads and tail then)
    (["", "\n", "\n", "\n"], "b", ["", "\n", "\n"]),
    (["", " # a\n", "\n", "\n"], "b", ["", " # a\n", "\n"]),
    (["", "\n", " # b\n", "\n"], "b", ["", "\n", "\n"]),
    (["", " # a\n# b:\n", " # b\n# c:\n", "\n"], "b", ["", " # a\n# c:\n", "\n"]),
    (["", " # a\n", " ", ""], "b", ["", " # a\n", ""]),
    (["", "; # a\n", "; ", ""], "b", ["", " # a\n", ""]),
    (["", "\n", " # b\n", " # c\n"], "c", ["", "\n", " # b\n"]),
    (["", " # a\r\n  ", " # b\r\n  ", "\r\n"], "b", ["", " # a\r\n  ", "\r\n"]),
]


@pytest.mark.parametrize(("before", "name", "after"), REMOVALS)
def test_a_comment_leaves_with_the_field_whose_line_it_is_on(before, name, after):
    message = spaced(*((n, 1, lead) for n, lead in zip("abc", before, strict=False)), tail=before[-1])
    left = message.remove(name)
    assert [*leads(left), left.tail] == after


def test_renamed_and_replaced():
    field = Field("layers", Message(), "\n", "layers: {")
    assert renamed(field, "layer").text == "layer: {"
    assert replaced(field, Message.of(("a", 1))).text == "layers: {"
    assert replaced(field, 1).text is None
    assert replaced(field, 1).lead == "\n"
    assert replaced(field, field.value) is field
    assert renamed(Field("[a.b]", 1, "", "[a . b]: 1"), "c").text is None
    assert renamed(Field("layers", Message(), ", ", "{"), "layer").text == "{"


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), max_size=5), st.lists(st.integers(0, 3), max_size=5)
)
def test_set_all_sets_all(pairs, values):
    message = Message.of(*pairs)
    new = message.set_all("a", values)
    assert new.scalars("a") == tuple(values)
    assert new.scalars("b") == message.scalars("b")
    assert message == Message.of(*pairs)
