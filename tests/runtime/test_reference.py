"""Every operation against real Caffe: outputs, gradients, changed weights, refusals, whole networks."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from conftest import SHARED  # noqa: E402
from reference import (  # noqa: E402
    LayerCase,
    Run,
    layer_cases,
    problems_of_dropout,
    problems_of_layer,
    problems_of_run,
    problems_of_training,
    refusal,
    runs,
    training_cases,
)

pytestmark = pytest.mark.zoo

GOLDEN, ZOO = SHARED / "golden", SHARED / "zoo"

OTHERS_DIFFER = {
    "SmoothL1Loss-reject_weights-fork": "the recording fork takes two inputs, Fast R-CNN's own layer takes weights too",
}
"""Where the program that recorded a case departs from the one that the layer comes from: the case must not agree."""

CASES = layer_cases(GOLDEN) if GOLDEN.is_dir() else []
RANDOM = [case for case in CASES if case.record["layer_type"] == "Dropout" and case.record["phase"] == "TRAIN"]
REJECTED = [case for case in CASES if case.record.get("rejected")]
COMPUTED = [case for case in CASES if not case.record.get("rejected") and case not in RANDOM]
LONG = ("faster_rcnn_vgg16", "fcn8s", "lrcn_lstm", "vgg16")
"""Runs of more than two seconds."""


@pytest.mark.parametrize("case", COMPUTED, ids=str)
def test_layer_computes_what_caffe_computes(case: LayerCase):
    assert bool(problems_of_layer(case)) == (str(case) in OTHERS_DIFFER), problems_of_layer(case)


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_dropout_in_training(case: LayerCase):
    assert problems_of_dropout(case) == []


@pytest.mark.parametrize("case", REJECTED, ids=str)
def test_what_caffe_refuses_is_refused_in_one_line(case: LayerCase):
    said = refusal(case)
    assert bool(said) != (str(case) in OTHERS_DIFFER)
    assert "\n" not in said


@pytest.mark.parametrize("case", training_cases(GOLDEN) if GOLDEN.is_dir() else [], ids=str)
def test_gradients_of_small_networks(case: LayerCase):
    assert problems_of_training(case) == []


@pytest.mark.parametrize(
    "run", [pytest.param(run, marks=[pytest.mark.slow] * (str(run) in LONG), id=str(run)) for run in runs(GOLDEN, ZOO)]
)
def test_whole_network_forward(run: Run):
    torch.set_num_threads(1)
    assert problems_of_run(run) == []
