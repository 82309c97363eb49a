from __future__ import annotations

import json

import pytest

from demitasse.layers import UNKNOWN, count, differ, known


def test_arithmetic_with_an_unknown_size_is_unknown() -> None:
    results = [UNKNOWN + 1, 1 + UNKNOWN, 2 * UNKNOWN, UNKNOWN * 0, UNKNOWN // 2, 7 // UNKNOWN, -UNKNOWN, 3 - UNKNOWN]
    assert all(result is UNKNOWN for result in [*results, UNKNOWN % 2, -(-UNKNOWN // 3) + 1, count((2, UNKNOWN, 3))])


def test_no_comparison_with_an_unknown_size_holds() -> None:
    assert not any((UNKNOWN < 0, UNKNOWN > 0, UNKNOWN <= -1, UNKNOWN >= -1, UNKNOWN == -1))
    assert not any((0 < UNKNOWN, 0 > UNKNOWN, -1 <= UNKNOWN, -1 >= UNKNOWN, -1 == UNKNOWN))  # noqa: SIM300
    assert UNKNOWN == UNKNOWN
    assert str((1, UNKNOWN)) == "(1, ?)"
    assert json.dumps([1, UNKNOWN]) == "[1, -1]"


@pytest.mark.parametrize(
    ("a", "b", "different"),
    [
        ((1, 2), (1, 2), False),
        ((1, 2), (1, 3), True),
        ((1, 2), (1, 2, 1), True),
        ((1, UNKNOWN), (1, 3), False),
        ((2, UNKNOWN), (1, 3), True),
        (1, UNKNOWN, False),
        (1, 2, True),
    ],
)
def test_shapes_differ_only_if_it_is_certain(a: tuple[int, ...], b: tuple[int, ...], different: bool) -> None:
    assert differ(a, b) is different


def test_known_means_every_size() -> None:
    assert known(())
    assert known((1, 0))
    assert not known((1, UNKNOWN))
    assert not known(None)
