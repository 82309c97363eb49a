"""Networks exported and run by ONNX Runtime, beside our executor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from demitasse.net import Net
from demitasse.onnx import Exported, to_onnx
from demitasse.runtime import run
from demitasse.runtime.onnxruntime import run_onnx

Arrays = Mapping[str, np.ndarray]


def both(net: Net, inputs: Arrays, folder: Path, **options: Any) -> tuple[Exported, Arrays, Arrays]:
    """What was exported, what our executor gives, and what ONNX Runtime gives for the outputs that were exported."""
    path = folder / "model.onnx"
    done = to_onnx(net, path, **options)
    (found,) = run_onnx(path, [{name: inputs[name] for name in done.inputs}], threads=1)
    return done, run(net, dict(inputs), list(done.outputs), threads=1), found


def largest_error(expected: Arrays, found: Arrays) -> float:
    """Over all outputs, as a share of the largest value."""
    assert set(expected) == set(found)
    shares = [0.0]
    for name, values in expected.items():
        assert values.shape == found[name].shape
        shares.append(float(np.abs(values - found[name]).max(initial=0) / max(np.abs(values).max(initial=0), 1e-9)))
    return max(shares)
