import pytest

from demitasse.report.table import Column, render, shortened

COLUMNS = [Column("layer", least=8), Column("bytes", "right"), Column("note")]


def test_columns_are_aligned_and_empty_ones_left_out():
    lines = render(COLUMNS, [["conv1_1", "7 KB", ""], ["fc6", "411 MB", ""]])
    assert lines == ["layer     bytes", "conv1_1    7 KB", "fc6      411 MB"]


def test_a_narrow_terminal_shortens_what_may_be_shortened():
    row = ["inception_3a/5x5_reduce", "411 MB", "x"]
    wide, narrow = render(COLUMNS, [row]), render(COLUMNS, [row], width=24)
    assert row[0] in wide[1]
    assert max(len(line) for line in narrow) <= 24
    assert "411 MB" in narrow[1]


def test_too_narrow_still_shows_every_figure():
    assert "411 MB" in render(COLUMNS, [["conv", "411 MB", "x"]], width=3)[1]


def test_wide_characters_count_twice():
    lines = render([Column("a"), Column("b")], [["层", "1"], ["ab", "2"]])
    assert lines == ["a   b", "层  1", "ab  2"]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "ab…ef"), ("abcdef", 4, "ab…f"), ("abcdef", 2, "ab")],
)
def test_the_middle_is_left_out(text, width, expected):
    assert shortened(text, width) == expected
