"""Against real Caffe: every layer case that ONNX can express, and whole networks, through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demitasse.net import Dense, Net
from demitasse.onnx.table import TABLE
from demitasse.runtime.onnxruntime import run_onnx
from layers.reference import SHARED, each, network

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from demitasse.onnx import to_onnx
from reference import inputs_of, network_of, read_json, wrong_outputs

FORKED = {"PriorBox.fork-default_clip_of_fork": "the fork clips by default, the official SSD does not, nor do we"}

UNORDERED = ("DetectionOutput", "Proposal")
"""Types whose rows may come in another order where scores are equal."""

Arrays = Mapping[str, np.ndarray]


def expressible(case: dict[str, Any]) -> bool:
    """Whether a case is of phase TEST, of a type in the table, and says something about one pass."""
    known = case["layer_type"] in TABLE
    return known and case["phase"] == "TEST" and not case.get("rejected") and case.get("forward_passes", 1) == 1


def with_weights(net: Net, arrays: Arrays, name: str) -> Net:
    """The layer L with the weights of the case."""
    keys = sorted((k for k in arrays if k.startswith(f"{name}/param/")), key=lambda k: int(k.rsplit("/", 1)[1]))
    tensors = [Dense(arrays[key]) for key in keys]
    return net.with_layers(x.with_tensors(tensors) if x.name == "L" else x for x in net.layers)


LAYER_FILES = {
    f"{file.stem}-{case['name']}": (file, case)
    for file in sorted((SHARED / "golden").glob("layers/*.json"))
    for case in each(file)
    if expressible(case) and f"{file.stem}-{case['name']}" not in FORKED
}


@pytest.mark.zoo
@pytest.mark.parametrize("case", LAYER_FILES)
def test_layers_give_what_caffe_gives(case: str, golden: Path, tmp_path: Path) -> None:
    file, told = LAYER_FILES[case]
    name, arrays = told["name"], np.load(file.with_suffix(".npz"))
    net = with_weights(network(told["prototxt"]), arrays, name)
    path = tmp_path / "layer.onnx"
    done = to_onnx(net, path, until=told["tops"])
    (found,) = run_onnx(path, [{x: arrays[f"{name}/in/{x}"] for x in done.inputs}], threads=1)
    for top, output in zip(told["tops"], done.outputs, strict=True):
        pair = found[output], arrays[f"{name}/out/{top}"]
        if told["layer_type"] in UNORDERED:
            pair = in_order(pair[0]), in_order(pair[1])
        same(*pair, 1e-5)


LONG = frozenset(
    {"alexnet", "fast_rcnn_vgg16_compressed", "fcn8s", "inception_v4", "lrcn_lstm", "openpose_coco", "vgg16"}
)
"""Runs of many seconds, which benchmarks/onnx_export.py has."""

NETWORKS = [path for path in sorted((SHARED / "golden").glob("nets/*.npz")) if path.stem not in LONG]


@pytest.mark.zoo
@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_whole_networks_give_what_caffe_gives(path: Path, zoo: Path, tmp_path: Path) -> None:
    record, arrays = read_json(path.with_suffix(".json")), np.load(path)
    inputs = inputs_of(record, arrays)
    model = tmp_path / "network.onnx"
    to_onnx(network_of(record, zoo), model, shapes={name: values.shape for name, values in inputs.items()})
    (outputs,) = run_onnx(model, [inputs], threads=1)
    assert wrong_outputs(arrays, outputs, 1e-4) == []


def in_order(rows: np.ndarray) -> np.ndarray:
    """Rows sorted by what they hold."""
    flat = rows.reshape(-1, rows.shape[-1]) if rows.ndim > 1 else rows[:, None]
    return flat[np.lexsort(np.round(flat, 3).T)]


def same(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Equal shapes; differences within a share of the largest number; NaN and infinities in the same places."""
    assert found.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    scale = np.abs(expected[finite]).max(initial=0.0)
    assert np.abs(found[finite] - expected[finite]).max(initial=0.0) <= tolerance * scale
