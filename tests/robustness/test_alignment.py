"""Numbers in a mapped caffemodel begin at any byte: what the core is given is aligned, and the result the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demitasse import _core, files, originals, plan
from networks import CLASSIFIER, Weights, encoded, field, random

CALLED = ("encode_levels", "encode_lossless", "encode_clusters", "quantize", "find_fault", "level_bits")
WEIGHTS: Weights = {
    "conv1": ("Convolution", [random((16, 3, 3, 3), 1), random((16,), 2)]),
    "fc": ("InnerProduct", [random((10, 16 * 11 * 11), 3), random((10,), 4)]),
}


def arrays(value: object) -> Iterable[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from arrays(item)


def watched(function: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        for array in arrays([*given, *named.values()]):
            assert array.flags.aligned, f"{function.__name__} is given an array at address {array.ctypes.data}"
            seen.append(function.__name__)
        return function(*given, **named)

    return call


@pytest.mark.parametrize("lossless", [True, False], ids=["lossless", "lossy"])
def test_the_core_gets_aligned_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lossless: bool) -> None:
    seen: list[str] = []
    for name in CALLED:
        monkeypatch.setattr(_core, name, watched(getattr(_core, name), seen))
    (tmp_path / "deploy.prototxt").write_text(CLASSIFIER)
    results = set()
    for offset in range(4):
        paths = tmp_path / "deploy.prototxt", tmp_path / f"{offset}.caffemodel"
        paths[1].write_bytes(field(1, b"n" * (offset + 1)) + encoded(WEIGHTS))
        if lossless:
            originals.store(*paths, tmp_path / "x.demi")
        else:
            files.save(plan.compress(files.load(*paths), 25.0), tmp_path / "x.demi")
            results.add((tmp_path / "x.demi").read_bytes())
        net = files.load(tmp_path / "x.demi")
        assert lossless == all(
            np.array_equal(tensor.array(), given)
            for layer in net.layers
            if layer.tensors
            for tensor, given in zip(layer.tensors, WEIGHTS[layer.name][1], strict=True)
        )
    assert len(results) == (0 if lossless else 1)
    assert set(seen) >= ({"encode_lossless"} if lossless else {"quantize", "encode_levels"})
