import contextlib
import time

import pytest

from demitasse.caffe.text import dump, parse
from demitasse.errors import TextError
from demitasse.message import Message, Word

A = Message.of(("a", 1))

SYNTAX = {
    "colon": ("a: 1", A),
    "no space": ("a:1", A),
    "space before colon": ("a  :\n1", A),
    "comment before colon": ("a # x: 2\n: # y\n 1 # z", A),
    "empty": ("", Message()),
    "only a comment": ("# nothing", Message()),
    "byte order mark": ("\ufeffa: 1", A),
    "carriage returns": ("a: 1\r\n# c\r\n", A),
    "separators": ("a: 1; b: 2, c: 3;", Message.of(("a", 1), ("b", 2), ("c", 3))),
    "separators between messages": ("m { a: 1, };", Message.of(("m", A))),
    "no space between fields": (
        "a: \"x\"b: 'y'm{}c: 1",
        Message.of(("a", "x"), ("b", "y"), ("m", Message()), ("c", 1)),
    ),
    "angle brackets": ("m < a: 1 >", Message.of(("m", A))),
    "mixed brackets": ("m < m { a: 1 } >", Message.of(("m", Message.of(("m", A))))),
    "colon before bracket": ("m: { a: 1 }", Message.of(("m", A))),
    "comment before bracket": ("m # {\n{ a: 1 }", Message.of(("m", A))),
    "list": ("a: [1, 2.5, -3, x, 'y']", Message.of(("a", (1, 2.5, -3, Word("x"), "y")))),
    "list with comments": ("a: [ 1 # one\n, 2 ]", Message.of(("a", (1, 2)))),
    "empty list": ("a: []", Message.of(("a", ()))),
    "empty list of messages": ("m [ ] a: 1", Message.of(("m", ()), ("a", 1))),
    "list of messages": ("m: [{ a: 1 }, <a: 1>] b: 2", Message.of(("m", A), ("m", A), ("b", 2))),
    "list of messages, no colon": ("m [{ a: 1 }]; b: 2", Message.of(("m", A), ("b", 2))),
    "nested lists": ("m [{ m [{}, {}] }]", Message.of(("m", Message.of(("m", Message()), ("m", Message()))))),
    "adjacent strings": ("a: 'x' \"y\"\n# c\n'z' b: 1", Message.of(("a", "xyz"), ("b", 1))),
    "character over two strings": (r"a: '\303' '\251'", Message.of(("a", "é"))),
    "escapes": (r"a: '\'\x41' b: '#'", Message.of(("a", "'A"), ("b", "#"))),
    "quotes in quotes": ("a: '\"' b: \"'\"", Message.of(("a", '"'), ("b", "'"))),
    "sign apart": ("a: - 1 b: - # c\n inf", Message.of(("a", -1), ("b", Word("-inf")))),
    "extension": ("[foo . bar]: 1 [a.b/c.d] { a: 1 }", Message.of(("[foo.bar]", 1), ("[a.b/c.d]", A))),
    "words": (
        "a: true b: MAX c: inf d: t",
        Message.of(*((n, Word(w)) for n, w in zip("abcd", ("true", "MAX", "inf", "t"), strict=True))),
    ),
    "number then name": ("a: 1f b: 2", Message.of(("a", 1.0), ("b", 2))),
    "white space": ("a:\v\f\t1", A),
}


@pytest.mark.parametrize("case", SYNTAX)
def test_syntax(case):
    text, tree = SYNTAX[case]
    assert parse(text) == tree
    assert dump(parse(text)).decode() == text


ERRORS = {
    "brief": (
        "layer {\n  p {\n    num_output: }\n",
        3,
        17,
        'expected a value after "num_output", found "}": num_output: }',
    ),
    "no colon": ("a 1", 1, 3, 'expected ":" or "{" after "a", found "1": a 1'),
    "name only": ("a", 1, 2, 'expected ":" or "{" after "a", found end of file: a'),
    "no value": ("a: # c\n", 2, 1, 'expected a value after "a", found end of file'),
    "no space after number": ("a: 1b: 2", 1, 4, 'expected a value after "a", found "1b": a: 1b: 2'),
    "octal": ("a: 09", 1, 4, 'expected a value after "a", found "09": a: 09'),
    "too large": ("a: 0x10000000000000000", 1, 4, "expected a number of at most 64 bits after"),
    "minus word": ("a: -foo", 1, 4, 'found "-foo"'),
    "not closed": ("m {\n  a: 1\n", 3, 1, 'expected "}" to close "m" of line 1, found end of file'),
    "closed otherwise": ("m {\n>", 2, 1, 'expected "}" to close "m", found ">": >'),
    "never opened": ("a: 1 }", 1, 6, 'found "}" that nothing opened'),
    "string not closed": ("a: 'x\nb: 1", 1, 4, "expected ' to end the string on its line: a: 'x"),
    "string cut": ('a: "x', 1, 4, 'expected " to end the string'),
    "escape": (r'a: "é\q"', 1, 6, r"found \q"),
    "two separators": ("a: 1;; b: 2", 1, 6, 'expected a field\'s name, found ";"'),
    "separator first": ("; a: 1", 1, 1, "expected a field's name"),
    "separator first in message": ("m { , }", 1, 5, "expected a field's name"),
    "number as name": ("1: 2", 1, 1, "expected a field's name"),
    "control character": ("a: 1\n\0", 2, 1, r'found "\x00": \x00'),
    "other bytes": ("\udce9: 1", 1, 1, r'found "\xe9"'),
    "list, no comma": ("a: [1 2]", 1, 7, 'expected "," or "]" in the list "a", found "2"'),
    "list, no value": ("a: [1, ]", 1, 8, 'expected a value after "a", found "]"'),
    "list, not closed": ("a: [1,\n", 2, 1, "found end of file"),
    "list, mixed": ("m: [{}, 1]", 1, 9, 'expected a message in the list "m", found "1"'),
    "list of messages, not closed": ("m: [{} a: 1", 1, 8, 'expected "," or "]" in the list "m"'),
    "list, no colon": ("a [1]", 1, 3, 'expected ":" or "{" after "a", found "["'),
    "list in list": ("a: [[1]]", 1, 5, "expected a value"),
    "extension": ("[a b]: 1", 1, 1, "expected a field's name"),
    "deep": ("x {" * 101, 1, 301, "messages are nested deeper than 100"),
    "half a pair": ("a: '\ud800'", 1, 5, "half of a surrogate pair"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    text, line, column, problem = ERRORS[case]
    with pytest.raises(TextError) as caught:
        parse(text, "deploy.prototxt")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"deploy.prototxt:{line}:{column}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_far_in_a_long_line_shows_the_part_around_it():
    with pytest.raises(TextError, match="b: }") as caught:
        parse("a: 1 " * 1000 + "b: } " + "a: 1 " * 1000)
    assert len(str(caught.value)) < 200


def test_nesting_up_to_the_limit():
    text = "x {" * 100 + "}" * 100
    assert dump(parse(text)).decode() == text


HOSTILE = {
    "brackets": "x{" * 100_000,
    "strings": "a: " + '"b" ' * 100_000,
    "comment": "#" * 400_000,
    "spaces": "a:" + " " * 400_000,
    "lines": " \n" * 200_000 + "?",
    "comments, then an error": "# x\n" * 100_000 + "?",
    "list": "a: [" + "1," * 200_000,
    "list in error": "a: [" + "1," * 200_000 + "?]",
    "extension": "[a" + ".a" * 200_000,
    "backslashes": 'a: "' + "\\" * 400_000,
    "digits": "a: " + "9" * 400_000,
    "hexadecimal": "a: 0x" + "f" * 400_000,
    "sign and spaces": "a: -" + " " * 400_000,
    "second string not closed": 'a: "b"' + " " * 400_000 + '"c',
    "messages in a list": "l: [" + "{}," * 100_000 + "{}]",
    "lists": "a: [1] " * 60_000,
    "spaced names": "a : # c\n 1 " * 40_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_time_is_linear(case):
    # Quadratic behaviour takes minutes on these
    start = time.process_time()
    with contextlib.suppress(TextError):
        parse(HOSTILE[case])
    assert time.process_time() - start < 5
