"""Charts as SVG."""

import pytest

from demitasse.report.charts import curve_chart, layers_chart

pytest.importorskip("vl_convert")


def side(**numbers: float | None) -> dict[str, float | None]:
    return {"bytes": 400, "bits_per_weight": 32.0, "sparsity": 0.0, "macs": None, **numbers}


def row(name: str, after: dict[str, float | None] | None, snr: float | None = None) -> dict[str, object]:
    return {"layer": name, "before": side(), "after": after, "snr_db": snr}


def test_a_bar_for_each_side_of_each_layer() -> None:
    svg = layers_chart([row("a", side(bytes=100)), row("b", None)], "what it is")
    assert svg.count('aria-roledescription="bar"') == 3
    assert svg.startswith('<svg role="img" aria-label="what it is"')


def test_panels_that_tell_nothing_are_left_out() -> None:
    same = layers_chart([row("a", side(bytes=100))], "")
    assert "bits per weight" not in same
    other = layers_chart([row("a", side(bytes=100, bits_per_weight=8.0), snr=20.0)], "")
    assert "bits per weight" in other
    assert "relative error of weights" not in layers_chart([row("a", side(), snr=float("inf"))], "")


def test_text_of_a_label_is_no_markup() -> None:
    assert 'aria-label="&quot;&lt;b&gt;"' in layers_chart([row("a", side())], '"<b>')


def test_the_chosen_point_of_a_curve_stands_out() -> None:
    points = [{"bytes": 100 * i, "snr_db": 10.0 * i, "chosen": i == 2} for i in range(1, 4)]
    svg = curve_chart(points, "curve")
    assert svg.count('fill="var(--after)"') == 1
    assert svg.count('fill="var(--before)"') == 2
