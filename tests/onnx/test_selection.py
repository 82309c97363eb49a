"""Which layers are exported, and which blobs are outputs."""

from __future__ import annotations

import pytest

from demitasse.onnx.selection import selected
from filled_networks import conv, data, layer
from layers.reference import network

BODY = data(1, 3, 8, 8) + conv("conv", "data") + layer("ReLU", "relu", "conv", top="conv")
LABEL = data(1, name="label")
TWO = layer("InnerProduct", "other", "conv", "inner_product_param { num_output: 2 }")

CASES = {
    "what nothing reads": (BODY + TWO, ("other",)),
    "what a loss judged, and not what it was judged by": (
        BODY + LABEL + layer("Power", "target", "label") + layer("EuclideanLoss", "loss", "conv target"),
        ("conv",),
    ),
    "both sides of a pair": (
        BODY + TWO + LABEL + layer("Power", "third", "conv") + layer("ContrastiveLoss", "loss", "other third label"),
        ("other", "third"),
    ),
    "what is written to a file": (BODY + 'layer { name: "w" type: "MatWrite" bottom: "conv" }', ("conv",)),
    "not what is silenced": (BODY + TWO + 'layer { name: "s" type: "Silence" bottom: "other" }', ("other",)),
    "not what is silenced, if there is more": (
        BODY + TWO + layer("Power", "more", "conv") + 'layer { name: "s" type: "Silence" bottom: "other" }',
        ("more",),
    ),
    "a loss that something reads stays": (
        BODY + LABEL + layer("EuclideanLoss", "loss", "conv label") + layer("Power", "twice", "loss"),
        ("twice",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs(case: str) -> None:
    text, outputs = CASES[case]
    assert selected(network(text), ()).outputs == outputs


def test_only_what_is_needed_stays() -> None:
    graph = selected(network(BODY + TWO + LABEL + layer("Power", "more", "conv")), ("other",))
    assert [one.name for one in graph.layers] == ["data", "conv", "relu", "other"]
    assert graph.inputs == ("data",)


def test_a_blob_in_place_is_its_final_value() -> None:
    graph = selected(network(BODY + TWO), ("conv",))
    assert [one.name for one in graph.layers] == ["data", "conv", "relu"]
