"""``demitasse export``: verified ONNX, its exit statuses, its errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

import demitasse.onnx.export as exporter  # noqa: E402
from demitasse.cli.app import run  # noqa: E402
from demitasse.onnx import writer  # noqa: E402
from demitasse.runtime.onnxruntime import run_onnx, signature  # noqa: E402
from networks import CLASSIFIER, small_classifier, small_detector  # noqa: E402


@pytest.fixture
def model(tmp_path: Path) -> tuple[str, str]:
    """A classifier's files."""
    files = tmp_path / "deploy.prototxt", tmp_path / "small.caffemodel"
    small_classifier(*files)
    return str(files[0]), str(files[1])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_network_leaves_as_one_verified_file(model, tmp_path, capsys) -> None:
    target = tmp_path / "out" / "small.onnx"
    assert run(["export", *model, "-o", str(target)]) == 0
    out = capsys.readouterr().out
    assert "opset 21" in out
    assert "any batch" in out
    assert "ONNX Runtime" in out
    assert "OpenCV" in out
    assert "the same class wins in 4 of 4" in out
    assert [file.name for file in target.parent.iterdir()] == ["small.onnx"]
    assert signature(target).inputs == {"data": (None, 3, 24, 24)}


def test_weights_that_are_not_quantised_have_no_grid(model, tmp_path, capfd) -> None:
    assert run(["export", *model, "-o", str(tmp_path / "x.onnx"), "--exact"]) == 2
    assert "quantised weights" in capfd.readouterr().err


def test_the_format_may_be_named(model, tmp_path, capsys) -> None:
    assert run(["export", "onnx", *model, "-o", str(tmp_path / "a.onnx"), "--json"]) == 0
    found = told(capsys)
    assert found["verified"] is True
    assert found["output"]["batch"] is None
    assert found["output"]["opset"] == 21
    assert found["comparison"]["snr_db"] > 100


def test_boxes_are_compared(tmp_path, capsys) -> None:
    files = tmp_path / "d.prototxt", tmp_path / "d.caffemodel"
    small_detector(*files)
    assert run(["export", *map(str, files), "-o", str(tmp_path / "d.onnx"), "--json"]) == 0
    kinds = {error["layer"]: error["kind"] for error in told(capsys)["comparison"]["outputs"]}
    assert kinds["found"] == "detections"
    assert "values" in kinds.values()


def test_ends_batches_shapes_and_halves(model, tmp_path, capsys) -> None:
    target = tmp_path / "a.onnx"
    options = ["--until", "pool1", "--until", "conv1", "--batch", "2", "--shape", "data=1x3x20x30", "--half", "--json"]
    assert run(["export", *model, "-o", str(target), *options]) == 0
    found = told(capsys)
    assert found["output"]["outputs"] == {"pool1": [2, 16, 9, 14], "conv1": [2, 16, 18, 28]}
    assert found["output"]["inputs"] == {"data": [2, 3, 20, 30]}
    assert {error["layer"] for error in found["comparison"]["outputs"]} == {"pool1", "relu1"}
    assert list(found["output"]["weights"]) == ["float16"]


def test_a_demi_leaves_small(model, tmp_path, capsys) -> None:
    assert run(["compress", *model, "-o", str(tmp_path / "a.demi"), "-q"]) == 0
    for more, form in (([], "int"), (["--exact"], "uint")):
        assert run(["export", str(tmp_path / "a.demi"), "-o", str(tmp_path / "a.onnx"), "--json", *more]) == 0
        found = told(capsys)
        coded = sum(size for name, size in found["output"]["weights"].items() if name.startswith(form))
        assert coded > 10_000
        assert found["output"]["bytes"] < 0.6 * Path(model[1]).stat().st_size
        assert (found["output"]["rounded"] > 0) == (not more)


def test_large_weights_beside(model, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(exporter, "EXTERNAL_ABOVE", 1000)
    target = tmp_path / "out" / "a.onnx"
    assert run(["export", *model, "-o", str(target), "--json"]) == 0
    found = told(capsys)
    assert found["comparison"]["snr_db"] > 100
    assert {file.name for file in target.parent.iterdir()} == {"a.onnx", "a.onnx.data"}
    assert found["output"]["bytes"] == sum(file.stat().st_size for file in target.parent.iterdir())
    (ran,) = run_onnx(target, [{"data": np.zeros((1, 3, 24, 24))}])
    assert ran["prob"].shape == (1, 10)


def test_dry_run_and_no_run(model, tmp_path, capsys) -> None:
    target = tmp_path / "a.onnx"
    assert run(["export", *model, "-o", str(target), "--dry-run"]) == 0
    assert "would write" in capsys.readouterr().out
    assert not target.exists()
    assert run(["export", *model, "-o", str(target), "--no-run"]) == 0
    assert "not run" in capsys.readouterr().out
    assert target.exists()


def test_a_model_that_computes_something_else_is_kept_aside(model, tmp_path, capsys, monkeypatch) -> None:
    wrong = dict(writer.TABLE) | {"ReLU": writer.TABLE["AbsVal"]}
    monkeypatch.setattr(writer, "TABLE", wrong)
    target = tmp_path / "a.onnx"
    assert run(["export", *model, "-o", str(target)]) == 1
    said = capsys.readouterr().err
    assert "the relative error is" in said
    assert "kept as" in said
    assert said.count("\n") == 1
    assert not target.exists()
    assert target.with_name("a.onnx.unverified").exists()


BAD = {
    "another suffix": (["-o", "out.demi"], "export writes ONNX: give -o small.onnx"),
    "no such blob": (["-o", "a.onnx", "--until", "x"], 'no blob "x"'),
    "no such input": (["-o", "a.onnx", "--shape", "x=1x2"], 'a shape is given for "x"; the inputs are data'),
    "no shape": (["-o", "a.onnx", "--shape", "data"], "is not an input and its sizes"),
    "weights of other inputs": (["-o", "a.onnx", "--shape", "data=1x3x30x30"], "(InnerProduct): weight 0 has"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_write_nothing(case, model, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    options, message = BAD[case]
    before = sorted(tmp_path.iterdir())
    assert run(["export", *model, *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_layer_that_onnx_lacks_is_named_and_can_be_cut_off(model, tmp_path, capsys) -> None:
    more = 'layer { name: "odd" type: "Invented" bottom: "prob" top: "odd" }'
    Path(model[0]).write_text(CLASSIFIER + more)
    target = str(tmp_path / "a.onnx")
    assert run(["export", *model, "-o", target]) == 2
    assert 'layer "odd" (Invented): cannot be expressed in ONNX; --until BLOB' in capsys.readouterr().err
    assert run(["export", *model, "-o", target, "--until", "prob"]) == 0


def test_without_onnxruntime_nothing_is_announced(model, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    target = tmp_path / "a.onnx"
    assert run(["export", *model, "-o", str(target)]) == 2
    assert "needs onnxruntime: pip install 'demitasse[onnx]'" in capsys.readouterr().err
    assert not target.exists()
    assert run(["export", *model, "-o", str(target), "--no-run", "-q"]) == 0
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run(["export", *model, "-o", str(tmp_path / "b.onnx"), "--no-run"]) == 2
    assert "needs onnx: pip install" in capsys.readouterr().err
