import json
import math

import pytest

from demitasse.cli.terminal import Terminal, json_ready
from demitasse.layers import UNKNOWN
from demitasse.report.table import Column


def test_text_goes_out_unless_it_is_not_wanted(capsys):
    for terminal in (Terminal(), Terminal(quiet=True), Terminal(as_json=True)):
        terminal.line("a line")
        terminal.step("read", "a file", aside="exact")
        terminal.note("by the way")
        terminal.table([Column("a")], [["1"]])
        with terminal.progress("work") as progress:
            progress(1, 2)
    assert capsys.readouterr().out.splitlines() == [
        "a line",
        "✓ read        a file   exact",
        "  note: by the way",
        "  a",
        "  1",
    ]


def test_only_json_prints_the_result(capsys):
    for terminal in (Terminal(), Terminal(quiet=True), Terminal(as_json=True)):
        terminal.result({"a": (1, 2.5, math.inf)})
    assert json.loads(capsys.readouterr().out) == {"a": [1, 2.5, None]}


def test_colour_only_where_it_is_wanted(capsys, monkeypatch):
    monkeypatch.setattr("click._compat.isatty", lambda stream: True)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda stream=None, color=None: color is False)
    Terminal().step("read", "x")
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Terminal().step("read", "x")
    assert "\x1b[" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (-math.inf, None),
        ((1, UNKNOWN), [1, None]),
        ({1: {"a": ()}}, {"1": {"a": []}}),
        (True, True),
        (None, None),
    ],
)
def test_json_values(value, expected):
    assert json_ready(value) == expected
