import math

import pytest

from demitasse.report import quantities


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (quantities.size, (0,), "0 bytes"),
        (quantities.size, (187,), "187 bytes"),
        (quantities.size, (6912,), "6.9 KB"),
        (quantities.size, (999_499,), "999 KB"),
        (quantities.size, (999_500,), "1.00 MB"),
        (quantities.size, (8_863_079,), "8.86 MB"),
        (quantities.size, (10_666_211,), "10.67 MB"),
        (quantities.size, (548_312_345,), "548.3 MB"),
        (quantities.count, (420,), "420"),
        (quantities.count, (2_663_000,), "2.66 M"),
        (quantities.count, (137_100_000,), "137 M"),
        (quantities.ratio, (10.67, 1.31), "8.1×"),
        (quantities.ratio, (1, 0), ""),
        (quantities.ratio, (5, 5), ""),
        (quantities.percent, (0, 10), "0 %"),
        (quantities.percent, (9, 10), "90 %"),
        (quantities.percent, (1, 100_000), "< 0.1 %"),
        (quantities.percent, (99_999, 100_000), "99.9 %"),
        (quantities.percent, (10, 10), "100 %"),
        (quantities.decibel, (31.24,), "31.2 dB"),
        (quantities.decibel, (math.inf,), "exact"),
        (quantities.decibel, (None,), "?"),
        (quantities.shape, ((64, 3, 3, 3),), "64×3×3×3"),
        (quantities.shape, ((),), "scalar"),
    ],
)
def test_quantities_read_well(function, arguments, expected):
    assert function(*arguments) == expected
