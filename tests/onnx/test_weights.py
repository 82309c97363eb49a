"""Quantised weights stay small in the file, and are the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from demitasse import files  # noqa: E402
from demitasse.codec.quantizer import quantize  # noqa: E402
from demitasse.net import Clustered, Dense, Levels, Net, Tensor  # noqa: E402
from demitasse.onnx import Exported, to_onnx  # noqa: E402
from demitasse.runtime.onnxruntime import run_onnx  # noqa: E402
from filled_networks import data, filled, layer  # noqa: E402

ROWS, COLUMNS = 12, 40
RANDOM = np.random.default_rng(3)
GAUSSIAN = RANDOM.standard_normal((ROWS, COLUMNS)).astype(np.float32)
STEPS = np.linspace(0.01, 0.2, ROWS).astype(np.float32)
SHIFTS = quantize(GAUSSIAN, 0.3).shifts


def network(weight: Tensor) -> Net:
    """A product with that matrix, so that what comes out for the unit vectors is the matrix itself."""
    text = data(COLUMNS, COLUMNS) + layer(
        "InnerProduct", "fc", "data", f"inner_product_param {{ num_output: {ROWS} bias_term: false }}"
    )
    net = filled(text)
    return net.with_layers(x.with_tensors([weight]) if x.name == "fc" else x for x in net.layers)


def exported(weight: Tensor, folder: Path, **options: bool) -> tuple[Exported, np.ndarray]:
    """The model, and the matrix that ONNX Runtime multiplies with."""
    done = to_onnx(network(weight), folder / "a.onnx", **options)
    (found,) = run_onnx(done.path, [{"data": np.eye(COLUMNS)}], threads=1)
    return done, found["fc"].T


def levels(largest: int, *, steps: np.ndarray | None = None, shifts: np.ndarray | None = None, trellis=False) -> Levels:
    """Random levels up to a magnitude that occurs."""
    found = RANDOM.integers(-largest, largest + 1, (ROWS, COLUMNS)).astype(np.int32)
    found[0, :2] = largest, -largest
    given = np.array([0.25], np.float32) if steps is None else steps
    return Levels(found, given, trellis, np.zeros_like(SHIFTS) if shifts is None else shifts)


def operators(done: Exported) -> list[str]:
    return [node.op_type for node in onnx.load(done.path).graph.node]


FORMS = {
    "4 bits": (levels(7), "int4", ROWS * COLUMNS // 2),
    "8 bits": (levels(100), "int8", ROWS * COLUMNS),
    "a step for each row": (levels(7, steps=STEPS), "int4", ROWS * COLUMNS // 2),
    "a trellis": (levels(3, trellis=True), "int4", ROWS * COLUMNS // 2),
    "a trellis of more levels": (levels(50, trellis=True, steps=STEPS), "int8", ROWS * COLUMNS),
}


@pytest.mark.parametrize("case", FORMS)
def test_levels_on_a_uniform_grid_are_dequantize_linear(case: str, tmp_path: Path) -> None:
    weight, form, size = FORMS[case]
    done, found = exported(weight, tmp_path)
    np.testing.assert_array_equal(found, weight.array())
    assert done.weights[form] == size
    assert "DequantizeLinear" in operators(done)
    assert done.coded == size


def test_levels_of_sixteen_bits_are_exact_if_they_have_to_be(tmp_path: Path) -> None:
    weight = levels(3000)
    done, found = exported(weight, tmp_path, exact=True)
    np.testing.assert_array_equal(found, weight.array())
    assert done.weights["int16"] == 2 * ROWS * COLUMNS


TABLES = {
    "shifted": (levels(3, shifts=SHIFTS), "uint4 (shifted levels)", ROWS * COLUMNS // 2),
    "shifted, more of them": (levels(90, shifts=SHIFTS), "uint8 (shifted levels)", ROWS * COLUMNS),
    "shifted, by rows": (levels(3, shifts=SHIFTS, steps=STEPS), "uint4 (shifted levels)", ROWS * COLUMNS // 2),
    "shifted, a trellis": (levels(20, shifts=SHIFTS, trellis=True), "uint8 (shifted levels)", ROWS * COLUMNS),
    "a real quantiser's": (quantize(GAUSSIAN, 0.2), "uint8 (shifted levels)", ROWS * COLUMNS),
    "shared values": (
        Clustered(RANDOM.integers(0, 16, (ROWS, COLUMNS)).astype(np.uint8), GAUSSIAN.ravel()[:16]),
        "uint4 (shared values)",
        ROWS * COLUMNS // 2,
    ),
    "many shared values": (
        Clustered(RANDOM.integers(0, 300, (ROWS, COLUMNS)).astype(np.uint16), GAUSSIAN.ravel()[:300]),
        "uint16 (shared values)",
        2 * ROWS * COLUMNS,
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_other_quantised_weights_are_looked_up_where_they_have_to_be_exact(case: str, tmp_path: Path) -> None:
    weight, form, size = TABLES[case]
    done, found = exported(weight, tmp_path, exact=True)
    np.testing.assert_array_equal(found, weight.array())
    assert done.weights[form] == size
    assert "Gather" in operators(done)


def test_outliers_do_not_widen_a_table(tmp_path: Path) -> None:
    weight = levels(5, shifts=SHIFTS)
    far = weight.levels.copy()
    far[3, 3] = 9000
    done, found = exported(Levels(far, weight.steps, False, SHIFTS), tmp_path, exact=True)
    assert done.weights["uint4 (shifted levels)"] == ROWS * COLUMNS // 2
    assert found[3, 3] == np.float32(9000 * 0.25)


@pytest.mark.parametrize("case", [name for name in TABLES if "shared" not in name])
def test_levels_off_a_grid_are_rounded_in_proportion_to_what_quantising_did(case: str, tmp_path: Path) -> None:
    weight, _, _ = TABLES[case]
    done, found = exported(weight, tmp_path)
    assert "Gather" not in operators(done)
    assert set(done.weights) <= {"int4", "int8", "scales and tables"}
    exact = weight.array()
    assert done.rounded == pytest.approx(np.linalg.norm(found - exact) / np.linalg.norm(exact), rel=1e-3)
    apart = (found - exact) / weight.steps.reshape(-1, 1)
    assert 0 < np.square(apart).mean() < 3 * (0.24 if weight.trellis else 1 / 12)


def test_levels_beyond_eight_bits_are_rounded_to_them(tmp_path: Path) -> None:
    weight = levels(3000)
    done, found = exported(weight, tmp_path)
    assert set(done.weights) == {"int8", "scales and tables"}
    assert done.weights["int8"] == ROWS * COLUMNS
    assert np.abs(found - weight.array()).max() <= 0.25 * 3000 / 127 * 0.51


def test_half_weights_stay_half_and_exact(tmp_path: Path) -> None:
    weight = Dense(GAUSSIAN.astype(np.float16))
    done, found = exported(weight, tmp_path)
    np.testing.assert_array_equal(found, weight.array().astype(np.float32))
    assert done.weights == {"float16": 2 * ROWS * COLUMNS}


def test_double_weights_become_float32(tmp_path: Path) -> None:
    done, found = exported(Dense(GAUSSIAN.astype(np.float64)), tmp_path)
    np.testing.assert_array_equal(found, GAUSSIAN)
    assert done.weights == {"float32": 4 * ROWS * COLUMNS}


@pytest.mark.parametrize("half", [False, True])
def test_a_demi_is_exported_from_its_levels(half: bool, tmp_path: Path) -> None:
    files.save(network(quantize(GAUSSIAN, 0.2)), tmp_path / "a.demi")
    net = files.load(tmp_path / "a.demi")
    done = to_onnx(net, tmp_path / "a.onnx", half=half, exact=True)
    assert done.weights["uint8 (shifted levels)"] == ROWS * COLUMNS
    (found,) = run_onnx(done.path, [{"data": np.eye(COLUMNS)}], threads=1)
    expected = net.layer("fc").tensors[0].array().T
    np.testing.assert_allclose(found["fc"], expected, rtol=1e-3 if half else 0)
