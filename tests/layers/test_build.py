from __future__ import annotations

import pytest

from demitasse.errors import NetError
from demitasse.layers import build
from layers.reference import network

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 6, 6] } } }'


def relu(name: str, bottom: str, top: str, more: str = "") -> str:
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{bottom}" top: "{top}" {more} }}'


@pytest.mark.parametrize(
    ("rules", "state", "included"),
    [
        ("", {}, True),
        ("include { phase: TRAIN }", {}, False),
        ("include { phase: 0 }", {"phase": "TRAIN"}, True),
        ("include { phase: TRAIN } include { phase: TEST }", {}, True),
        ("exclude { phase: TEST }", {}, False),
        ("exclude { }", {}, False),
        ("include { min_level: 1 max_level: 2 }", {"level": 2}, True),
        ("include { min_level: 1 max_level: 2 }", {"level": 3}, False),
        ('include { stage: "a" stage: "b" }', {"stages": ["a"]}, False),
        ('include { stage: "a" stage: "b" }', {"stages": ["b", "c", "a"]}, True),
        ('include { not_stage: "a" }', {"stages": ["a"]}, False),
        ('exclude { stage: "a" not_stage: "b" }', {"stages": ["a", "b"]}, True),
    ],
)
def test_rules_decide_what_is_in(rules: str, state: dict[str, object], included: bool) -> None:
    graph = build(network(INPUT + relu("r", "x", "y", rules)), **state)  # type: ignore[arg-type]
    assert [layer.name for layer in graph.layers] == (["in", "r"] if included else ["in"])


def test_stages_of_the_file_count_too() -> None:
    text = 'state { stage: "deploy" }' + INPUT + relu("r", "x", "y", 'include { stage: "deploy" stage: "fast" }')
    assert len(build(network(text)).layers) == 1
    assert len(build(network(text), stages=["fast"]).layers) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (relu("r", "y", "z"), 'layer "r" (ReLU): reads "y", which no layer before it gives in phase TEST'),
        (
            relu("r", "y", "z") + relu("s", "z", "y"),
            'reads "y", which no layer before it gives in phase TEST; layer "s" (ReLU) gives it, after it',
        ),
        (relu("r", "x", "y") + relu("s", "x", "y"), 'layer "s" (ReLU): gives "y", which a layer before it gives'),
        (relu("r", "x", "y", 'bottom: "x"'), 'layer "r" (ReLU): has 2 inputs; it needs 1'),
        (relu("r", "x", "y", 'top: "z"'), 'layer "r" (ReLU): has 2 outputs; it needs 1'),
        (relu("r", "x", "y", "include { } exclude { }"), 'layer "r" (ReLU): has both include and exclude rules'),
        (relu("r", "x", "y", "propagate_down: true propagate_down: true"), 'layer "r" (ReLU): has 2 propagate_down'),
        (relu("r", "x", "y", "loss_weight: 1 loss_weight: 1"), 'layer "r" (ReLU): has 2 loss_weight for 1 outputs'),
        (
            'layer { name: "f" type: "Flatten" bottom: "x" top: "x" }',
            'layer "f" (Flatten): cannot work in place on "x"',
        ),
        (relu("r", "x", "y", 'include { phase: "LATER" }'), "phase is 'LATER'; it must be TRAIN or TEST"),
    ],
)
@pytest.mark.parametrize("splits", [False, True])
def test_what_makes_no_sense_is_refused_by_name(text: str, message: str, splits: bool) -> None:
    with pytest.raises(NetError) as caught:
        build(network(INPUT + text), splits=splits)
    assert message in str(caught.value)


def test_a_wrong_phase_is_refused() -> None:
    with pytest.raises(NetError, match="must be TRAIN or TEST"):
        build(network(INPUT), phase="test")


def test_splits_go_behind_what_is_read_twice() -> None:
    graph = build(network(INPUT + relu("r", "x", "y") + relu("s", "x", "z")), splits=True)
    split = graph.layers[1]
    assert (split.name, split.type, split.inputs) == ("x_in_0_split", "Split", ("x",))
    assert split.outputs == ("x_in_0_split_0", "x_in_0_split_1")
    assert [layer.inputs for layer in graph.layers[2:]] == [("x_in_0_split_0",), ("x_in_0_split_1",)]


def test_without_splits_layers_stay_as_they_are() -> None:
    net = network(INPUT + relu("r", "x", "y") + relu("s", "x", "z"))
    assert build(net).layers == net.layers
    assert build(net).outputs == ("y", "z")


def test_what_only_caffe_refuses_is_refused_with_splits_alone() -> None:
    """Working in place on what another layer reads too: Caffe's own Split breaks the place."""
    net = network(INPUT + relu("r", "x", "y") + relu("s", "x", "x"))
    assert len(build(net).layers) == 3
    with pytest.raises(NetError, match='layer "s"'):
        build(net, splits=True)


LOSS = 'layer { name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "x" %s }'


@pytest.mark.parametrize(
    ("rest", "weights"),
    [
        ('top: "l"', {"l": 1.0}),
        ('top: "l" loss_weight: 0.5', {"l": 0.5}),
        ('top: "l" loss_weight: 0', {}),
        ("", {"(automatic)": 1.0}),
    ],
)
@pytest.mark.parametrize("splits", [False, True])
def test_losses_have_weights(rest: str, weights: dict[str, float], splits: bool) -> None:
    assert build(network(INPUT + LOSS % rest), splits=splits).loss_weights == weights


def test_a_loss_that_is_read_is_an_output_all_the_same() -> None:
    net = network(INPUT + LOSS % 'top: "l" loss_weight: 2' + relu("r", "l", "m"))
    assert build(net).outputs == ("l", "m")
    split = build(net, splits=True)
    assert split.outputs == ("l_loss_0_split_0", "m")
    # Caffe moves the weight to the Split, and the loss layer, which then has none, takes 1 as any loss layer does.
    assert split.loss_weights == {"l": 1.0, "l_loss_0_split_0": 2.0}
