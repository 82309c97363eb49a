"""``compress`` into each form: what is written runs, and is what the plan says."""

import json
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.cli import main
from networks import small_classifier

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_classifier(tmp_path / DEPLOY, tmp_path / MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compressed(capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    assert main(["compress", DEPLOY, MODEL, *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_plain_files_hold_what_a_demi_holds(here, capsys):
    pytest.importorskip("cv2")
    plain = compressed(capsys, "-o", "out/")
    stored = compressed(capsys, "-o", "x.demi")
    assert plain["recipe"] == stored["recipe"]
    assert plain["loads_in"] == ["demitasse", "OpenCV 4"]
    one, other = files.load("out/face.prototxt", "out/face.caffemodel"), files.load("x.demi")
    for a, b in zip(one.layers, other.layers, strict=True):
        assert all(np.array_equal(s.array(), t.array()) for s, t in zip(a.tensors, b.tensors, strict=True))


def test_what_the_outputs_do_not_depend_on_leaves_unless_it_is_kept(here, capsys):
    smaller = compressed(capsys, "-o", "x.demi", "--no-run")
    assert smaller["recipe"][0] == "shrink"
    assert smaller["output"]["parameters"] < smaller["input"]["parameters"]
    assert smaller["comparison"]["weights"]["snr_db"] > 25
    same = compressed(capsys, "-o", "x.demi", "--no-run", "--keep-structure")
    assert [list(step) for step in same["recipe"]] == [["quantize"]]
    assert same["output"]["parameters"] == same["input"]["parameters"]


def test_float16(here, capsys):
    pytest.importorskip("cv2")
    found = compressed(capsys, "-o", "out/", "--half")
    assert found["recipe"][-1] == "half"
    assert found["output"]["file_bytes"] < 0.55 * found["input"]["file_bytes"]
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--half"]) == 2


def test_onnx(here, capsys):
    pytest.importorskip("onnxruntime")
    found = compressed(capsys, "-o", "x.onnx")
    assert found["loads_in"] == ["ONNX Runtime"]
    assert found["comparison"]["snr_db"] > 25
    assert found["output"]["file_bytes"] == Path("x.onnx").stat().st_size


def test_a_speedup_is_reached_or_refused_with_the_most_there_is(here, capsys):
    pytest.importorskip("torch")
    found = compressed(capsys, "-o", "x.demi", "--speedup", "1.5")
    assert found["output"]["macs"] * 1.5 <= found["input"]["macs"]
    assert found["plan"]["structure_error"] > 0
    assert [note["step"] for note in found["report"]].count("speedup") >= 1
    assert main(["compress", DEPLOY, MODEL, "-o", "y.demi", "--speedup", "500", "--no-run"]) == 2
    assert "the most that was reached is" in capsys.readouterr().err
    assert not Path("y.demi").exists()
