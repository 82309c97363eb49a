"""``compress`` without ``--lossless``: what is verified, and what becomes of a result that is not good enough."""

import json
from pathlib import Path

import numpy as np
import pytest

from demitasse import files, plan
from demitasse.cli import main
from demitasse.evaluate.weights import decibels
from demitasse.net import Dense, Levels, Net
from networks import small_detector

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"


def rounded(net: Net, step: float) -> Net:
    """Every matrix of weights rounded to multiples of a share of its own largest value."""

    def levels(values: np.ndarray) -> Levels:
        size = np.float32(step * np.abs(values).max())
        return Levels(np.rint(values / size).astype(np.int32), np.array([size], np.float32))

    return net.with_layers(
        layer.with_tensors(levels(t.array()) if len(t.shape) > 1 else t for t in layer.tensors) for layer in net.layers
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_detector(tmp_path / DEPLOY, tmp_path / MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Replaces the planner by plain rounding; the step can be changed."""
    used = {"step": 0.004}

    def planned(net: Net, target: plan.Target, **options: object) -> plan.Plan:
        return plan.Plan((), rounded(net, used["step"]), net, (), (plan.Attempt(0.0, target.quality or 0.0),))

    monkeypatch.setattr(plan, "planned", planned)
    return used


def test_a_good_result_is_verified(here, step, capsys):
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verified"]
    assert found["comparison"]["compared"]
    assert found["comparison"]["weights"]["snr_db"] > 25
    assert [output["kind"] for output in found["comparison"]["outputs"]] == ["detections", "values", "values"]
    original, stored = files.load(DEPLOY, MODEL), files.load("x.demi")
    for a, b in zip(original.layers, stored.layers, strict=True):
        for x, y in zip(a.tensors, b.tensors, strict=True):
            noise = y.array() - x.array()
            assert decibels(float((x.array() ** 2).sum()), float((noise**2).sum())) > 25


def test_a_result_that_is_far_off_keeps_another_name(here, step, capsys):
    step["step"] = 0.8
    (here / "x.demi").write_bytes(b"what was there before")
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--quality", "60"]) == 1
    err = capsys.readouterr().err
    assert "60 dB were asked for" in err
    assert "kept as x.demi.unverified" in err
    assert (here / "x.demi").read_bytes() == b"what was there before"
    assert files.load("x.demi.unverified").parameters == files.load(DEPLOY, MODEL).parameters


def test_a_lossless_demi_can_be_made_smaller(here, step):
    assert main(["compress", DEPLOY, MODEL, "-o", "exact.demi", "--lossless", "-q"]) == 0
    assert main(["compress", "exact.demi", "-o", "x.demi", "-q"]) == 0
    assert main(["compress", DEPLOY, MODEL, "-o", "y.demi", "-q"]) == 0
    assert (here / "x.demi").read_bytes() == (here / "y.demi").read_bytes()
    assert main(["compress", "x.demi", "-o", "x.demi", "-q"]) == 2


def test_what_a_demi_had_lost_before_is_said_to_be_left_out(here, step, capsys):
    assert main(["compress", DEPLOY, MODEL, "-o", "exact.demi", "--lossless", "-q"]) == 0
    assert main(["compress", "exact.demi", "-o", "x y.demi", "--no-run"]) == 0
    out = capsys.readouterr().out
    assert "had lost already" not in out
    assert "`demitasse expand 'x y.demi' -o out/`" in out
    assert main(["compress", "x y.demi", "-o", "z.demi", "--no-run"]) == 0
    assert "had lost already" in capsys.readouterr().out


def test_without_running_outputs_are_not_compared(here, step, capsys):
    step["step"] = 0.8
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--quality", "60", "--no-run"]) == 0
    assert "not compared" in capsys.readouterr().out


def test_photographs_are_used(here, step, capsys):
    cv2 = pytest.importorskip("cv2")
    (here / "photos").mkdir()
    cv2.imwrite("photos/a.png", np.full((9, 9, 3), 100, np.uint8))
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--images", "photos", "--mean", "1,2,3"]) == 0
    assert "1 photograph" in capsys.readouterr().out
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--images", "nowhere"]) == 2


def test_plain_files_of_a_lossy_demi_have_its_weights(here, step):
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "-q"]) == 0
    assert main(["expand", "x.demi", "-o", "out", "-q"]) == 0
    assert (here / "out/x.prototxt").read_bytes() == (here / DEPLOY).read_bytes()
    stored, plain = files.load("x.demi"), files.load("out/x.prototxt", "out/x.caffemodel")
    for a, b in zip(stored.layers, plain.layers, strict=True):
        assert all(np.array_equal(x.array(), y.array()) for x, y in zip(a.tensors, b.tensors, strict=True))


def test_weights_that_are_no_numbers_are_refused(here, step, capsys):
    net = files.load(DEPLOY, MODEL)
    broken = net.with_layers(
        layer.with_tensors([Dense(layer.tensors[0].array() * np.float32(np.nan)), *layer.tensors[1:]])
        if layer.name == "conv2"
        else layer
        for layer in net.layers
    )
    files.save(broken, "n.prototxt", "n.caffemodel")
    assert main(["compress", "n.prototxt", "n.caffemodel", "-o", "x.demi"]) == 2
    assert 'layer "conv2" (Convolution), blob 0: 4608 of 4608 weights are not finite' in capsys.readouterr().err
    assert not (here / "x.demi").exists()
    assert main(["compress", "n.prototxt", "n.caffemodel", "-o", "x.demi", "--lossless"]) == 0


def test_json_has_the_comparison_on_exit_1(here, step, capsys):
    step["step"] = 0.8
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--quality", "60", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["verified"]) == (1, False)
    assert found["comparison"]["snr_db"] < 50
