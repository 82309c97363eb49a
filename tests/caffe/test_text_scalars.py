import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.caffe.text_scalars import EscapeError, format_number, parse_scalar, quote, unescape
from demitasse.message import Word


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("-0", -0.0),
        ("0x1F", 31),
        ("-0Xff", -255),
        ("017", 15),
        ("18446744073709551615", 2**64 - 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-2e-3", -0.002),
        ("1E+5", 1e5),
        ("1f", 1.0),
        ("2.5F", 2.5),
        ("36893488147419103232", 2.0**65),
    ],
)
def test_numbers(raw, value):
    assert parse_scalar(raw) == value
    assert type(parse_scalar(raw)) is type(value)


@pytest.mark.parametrize("raw", ["MAX", "true", "inf", "nan", "-inf", "-Infinity", "-nan", "_x9"])
def test_words(raw):
    assert parse_scalar(raw) == Word(raw)
    assert isinstance(parse_scalar(raw), Word)


@pytest.mark.parametrize(
    "raw",
    ["", "-", "+1", "--1", "08", "010.5", "0x", "0x1.5", "1.5.2", "1e", "1b", "-foo", "a.b", "1_000", "0x1" + "0" * 16],
)
def test_no_values(raw):
    with pytest.raises(ValueError, match=r"value|number"):
        parse_scalar(raw)


@pytest.mark.parametrize("digits", [10**5, 10**6])
def test_long_numbers_take_no_long_time(digits):
    assert parse_scalar("9" * digits) == float("inf")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (-0.0, "-0"),
        (True, "true"),
        (0.1, "0.1"),
        (struct.unpack("f", struct.pack("f", 0.1))[0], "0.1"),
        (struct.unpack("f", struct.pack("f", 1e-5))[0], "1e-05"),
        (0.10000000000000002, "0.10000000000000002"),
        (134217728.0, "134217728"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (1000000.5, "1000000.5"),
        (-16777215.0, "-16777215"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_spelled_short(value, text):
    assert format_number(value) == text


@given(st.floats(width=32, allow_nan=False))
def test_every_float32_reads_back(value):
    text = format_number(value)
    read = parse_scalar(text)
    assert struct.pack("f", float(read)) == struct.pack("f", value)
    assert len(text) <= len(repr(value))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float64_keeps_its_precision_or_is_a_float32(value):
    read = float(parse_scalar(format_number(value)))
    assert read == value or struct.pack("f", read) == struct.pack("f", value)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("plain", "plain"),
        (r"\a\b\f\n\r\t\v\\\?\'\"", "\a\b\f\n\r\t\v\\?'\""),
        (r"\101\7\0", "A\a\0"),
        (r"\1011", "A1"),
        (r"\303\251", "é"),
        (r"\xe9", "\udce9"),
        (r"\x41\X4a\x4", "AJ\x04"),
        (r"\u00e9", "é"),
        (r"\U0001F600", "😀"),
        (r"\ud83d\ude00", "😀"),
        (r"\U0010FFFF", "\U0010ffff"),
        ("é\\n", "é\n"),
    ],
)
def test_escapes(body, value):
    assert unescape(body) == value


@pytest.mark.parametrize(
    ("body", "offset"), [(r"\q", 0), (r"é\9", 1), (r"\x", 0), (r"ab\u12", 2), (r"\U00110000", 0), ("a\\", 1)]
)
def test_no_escapes(body, offset):
    with pytest.raises(EscapeError) as caught:
        unescape(body)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("value", "literal"),
    [("a", '"a"'), ('"\\', r'"\"\\"'), ("é\n\t\r", r'"é\n\t\r"'), ("\0\x7f", r'"\000\177"'), ("\udcff", r'"\377"')],
)
def test_quoted(value, literal):
    assert quote(value) == literal


@given(st.text())
def test_quoting_is_undone(value):
    assert unescape(quote(value)[1:-1]).encode("utf-8", "surrogateescape") == value.encode("utf-8")
