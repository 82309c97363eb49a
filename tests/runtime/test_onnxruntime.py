"""ONNX models of any origin: looked at and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demitasse.errors import FileError, NetError
from demitasse.runtime.onnxruntime import run_onnx, signature

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = relu(x + 1), of any batch."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("Add", ["x", "one"], ["sum"]), helper.make_node("Relu", ["sum"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(np.ones(2, np.float32), "one")],
    )
    path = tmp_path / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def test_signature_tells_inputs_outputs_and_what_is_between(model: Path) -> None:
    found = signature(model)
    assert found.inputs == {"x": (None, 2)}
    assert found.outputs == {"y": (None, 2)}
    assert found.values == ("sum", "y")


def test_runs_every_feed_and_gives_float32(model: Path) -> None:
    feeds = [{"x": np.full((n, 2), -1.5 * n, np.float64)} for n in (1, 3)]
    found = run_onnx(model, feeds, threads=1)
    assert [run["y"].shape for run in found] == [(1, 2), (3, 2)]
    assert found[0]["y"].dtype == np.float32
    np.testing.assert_array_equal(found[1]["y"], 0)


def test_any_value_can_be_asked_for_and_unknown_names_are_left_out(model: Path) -> None:
    feed = {"x": np.array([[-3.0, 2.0]], np.float32)}
    (found,) = run_onnx(model, [feed], ["sum", "nothing", "y"])
    assert list(found) == ["sum", "y"]
    np.testing.assert_array_equal(found["sum"], [[-2, 3]])
    assert list(run_onnx(model, [feed], ["nothing"])[0]) == ["y"]


def test_what_is_wrong_is_said_in_one_line(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"no model at all")
    for read in (signature, lambda path: run_onnx(path, [], ["y"])):
        with pytest.raises(FileError, match=r"other\.onnx: is not an ONNX model"):
            read(other)
    with pytest.raises(FileError, match="missing"):
        run_onnx(tmp_path / "missing.onnx", [])
    with pytest.raises(NetError, match='input "x" is not given'):
        run_onnx(model, [{}])
    with pytest.raises(NetError, match="cannot run it"):
        run_onnx(model, [{"x": np.zeros((1, 3), np.float32)}])
