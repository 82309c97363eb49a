from __future__ import annotations

import pytest

from demitasse.layers import build, infer
from layers.reference import network

X = 'layer { name: "data" type: "Input" top: "x" input_param { shape { dim: [1, 100] } } }'


def fc(bottom: str, top: str, outputs: int) -> str:
    return (
        f'layer {{ name: "{top}" type: "InnerProduct" bottom: "{bottom}" top: "{top}"'
        f" inner_product_param {{ num_output: {outputs} }} }}"
    )


def act(kind: str, bottom: str, top: str) -> str:
    return f'layer {{ name: "{kind}{top}" type: "{kind}" bottom: "{bottom}" top: "{top}" }}'


@pytest.mark.parametrize(
    ("text", "peak"),
    [
        pytest.param(X, 100, id="one blob"),
        pytest.param(X + fc("x", "a", 10) + fc("a", "b", 80), 110, id="x leaves before b comes"),
        pytest.param(X + fc("x", "a", 10) + fc("a", "b", 200), 210, id="the end is the worst moment"),
        pytest.param(X + act("ReLU", "x", "x"), 100, id="in place"),
        pytest.param(X + act("ReLU", "x", "y"), 200, id="not in place"),
        pytest.param(X + act("Flatten", "x", "y"), 100, id="another view"),
        pytest.param(X + act("Flatten", "x", "y") + fc("y", "a", 10), 110, id="a view keeps its memory"),
        pytest.param(X + fc("x", "a", 10) + fc("a", "b", 10) + fc("x", "c", 10), 120, id="x is needed again"),
        pytest.param(X + fc("x", "a", 10) + act("Silence", "a", "a").replace('top: "a"', ""), 110, id="nothing kept"),
        pytest.param(X + fc("x", "a", 50) + fc("x", "b", 10) + fc("b", "c", 90), 160, id="outputs are kept"),
    ],
)
@pytest.mark.parametrize("splits", [False, True])
def test_peak_is_what_lives_at_once(text: str, peak: int, splits: bool) -> None:
    assert infer(build(network(text), splits=splits)).peak_memory == 4 * peak
