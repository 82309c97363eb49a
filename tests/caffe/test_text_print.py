import pytest

from demitasse.caffe.text import dump, parse
from demitasse.errors import TextError
from demitasse.message import Field, Message, Word, replaced

NET = """\
# A net
name: "n"  # its name
layer {
    name: "a"   # first
    param { lr_mult: 1 }
    pooling_param {
        pool: MAX
    }
}

layer { name: "b" type: "ReLU" }
"""


def edited(text: str, edit) -> str:
    return dump(edit(parse(text))).decode("utf-8", "surrogateescape")


def in_layer(index: int, change):
    """An edit of the network that changes its index-th layer."""

    def edit(net: Message) -> Message:
        layers = [field for field in net if field.name == "layer"]
        return net.map(lambda field: replaced(field, change(field.value)) if field is layers[index] else field)

    return edit


EDITS = {
    "a value": (lambda net: net.set("name", "m"), 'name: "n"', 'name: "m"'),
    "a value in a message": (in_layer(0, lambda layer: layer.set("name", "c")), '"a"', '"c"'),
    "a new field": (in_layer(0, lambda layer: layer.set("type", "X")), "    }\n}", '    }\n    type: "X"\n}'),
    "after the last of its name": (
        in_layer(0, lambda layer: layer.add("name", "c")),
        '"a"   # first\n',
        '"a"   # first\n    name: "c"\n',
    ),
    "in a message on one line": (
        in_layer(1, lambda layer: layer.add("top", "t")),
        'type: "ReLU" }',
        'type: "ReLU" top: "t" }',
    ),
    "a message in a message on one line": (
        in_layer(1, lambda layer: layer.add("param", Message.of(("lr_mult", 0)))),
        'type: "ReLU" }',
        'type: "ReLU" param { lr_mult: 0 } }',
    ),
    "a message, with the step of the file": (
        in_layer(0, lambda layer: layer.set("x", Message.of(("y", Message.of(("z", 1.5)))))),
        "    }\n}",
        "    }\n    x {\n        y {\n            z: 1.5\n        }\n    }\n}",
    ),
    "an empty message": (
        in_layer(0, lambda layer: layer.set("x", Message())),
        "    }\n}",
        "    }\n    x { }\n}",
    ),
    "several, the comment keeps its line": (
        lambda net: Message((*net.fields[:1], Field("p", 1), Field("q", 2), *net.fields[1:]), net.tail),
        "# its name\n",
        "# its name\np: 1\nq: 2\n",
    ),
    "at the end": (lambda net: net.add("debug_info", Word("true")), '"ReLU" }\n', '"ReLU" }\ndebug_info: true\n'),
    "removed, the comment before it stays": (
        in_layer(0, lambda layer: layer.remove("param")),
        "\n    param { lr_mult: 1 }",
        "",
    ),
    "removed with its comment": (in_layer(0, lambda layer: layer.remove("name")), '\n    name: "a"   # first', ""),
    "last of one line removed": (in_layer(1, lambda layer: layer.remove("type")), ' type: "ReLU"', ""),
    "a message replaced": (
        in_layer(0, lambda layer: layer.set("param", Message.of(("lr_mult", 2)))),
        "{ lr_mult: 1 }",
        "{\n        lr_mult: 2\n    }",
    ),
    "a message changed": (
        in_layer(0, lambda layer: layer.set("param", layer.message("param").set("decay_mult", 2))),
        "lr_mult: 1 }",
        "lr_mult: 1 decay_mult: 2 }",
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("case", EDITS)
def test_an_edit_changes_its_own_text_only(case, newline):
    edit, old, new = EDITS[case]
    assert NET.count(old) == 1 or case.startswith("a message, with") or old in NET
    text, wanted = NET.replace("\n", newline), NET.replace(old, new, 1).replace("\n", newline)
    assert edited(text, edit) == wanted


def test_a_tree_from_nothing_has_two_spaces():
    net = Message.of(
        ("name", "n"), ("layer", Message.of(("type", Word("X")), ("p", Message.of(("dim", (1, 2)), ("e", Message())))))
    )
    assert dump(net).decode() == 'name: "n"\nlayer {\n  type: X\n  p {\n    dim: [1, 2]\n    e { }\n  }\n}\n'


def test_nothing_at_all():
    assert dump(Message()) == b""


@pytest.mark.parametrize("gone", range(3))
def test_an_element_leaves_a_list_of_messages(gone):
    net = parse("l: [{ a: 1 }, { a: 2 }, <a: 3>] x: 4")
    left = net.map(lambda field: None if field is net.fields[gone] else field)
    assert [m.integer("a") for m in parse(dump(left)).messages("l")] == [a for a in (1, 2, 3) if a != gone + 1]
    assert parse(dump(left)).integer("x") == 4


def test_a_field_amid_a_list_of_messages():
    net = parse("l: [{ a: 1 }, { a: 2 }]\nx: 4\n")
    new = Message((net.fields[0], Field("y", 1), *net.fields[1:]), net.tail)
    assert parse(dump(new)) == new


def test_a_separator_leaves_with_the_field_before_it():
    assert edited("m { a: 1; b: 2 }", lambda net: net.set("m", net.message("m").remove("a"))) == "m { b: 2 }"
    assert edited("a: 1;", lambda net: net.remove("a")) == ""


def test_a_byte_order_mark_stays_in_front():
    text = edited("\ufeffa: 1\n", lambda net: Message((Field("b", 2), *net.fields), net.tail))
    assert text == "\ufeffb: 2\na: 1\n"


def test_a_text_without_last_newline_that_ends_in_a_comment():
    assert edited("a: 1 # c", lambda net: net.add("b", 2)) == "a: 1 # c\nb: 2"
    inner = parse("a: 1 # c")
    assert parse(dump(Message.of(("m", inner)))) == Message.of(("m", inner))


@pytest.mark.parametrize("tree", [Message.of(("a b", 1)), Message.of(("", 1)), Message.of(("a", Word("b c")))])
def test_what_would_not_read_back_is_refused(tree):
    with pytest.raises(TextError, match="cannot be"):
        dump(tree)


def test_nesting_is_bounded():
    tree = Message()
    for _ in range(101):
        tree = Message.of(("m", tree))
    with pytest.raises(TextError, match="deeper than 100"):
        dump(tree)
