"""A parameter file byte for byte."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demitasse import codec
from demitasse.codec import Run, original
from demitasse.errors import ContainerError

DTYPES = ["<f4", "<f8", "<f2", "u1"]


def assert_comes_back(path: Path, data: bytes, runs: list[Run]) -> None:
    codec.write_original(path, b'name: "n"', data, runs)
    with codec.open(path) as reader:
        assert reader.original is not None
        assert b"".join(reader.original.parts()) == data


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_with_any_runs_comes_back(tmp_path: Path, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    content, runs = b"", []
    for _ in range(data.draw(st.integers(0, 5))):
        content += data.draw(st.binary(max_size=20))
        dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
        shape = data.draw(st.lists(st.integers(0, 9), max_size=3).map(tuple))
        runs.append(Run(len(content), dtype, shape))
        content += (rng.normal(size=shape) * 20).astype(np.int64).astype(dtype).tobytes()
    content += data.draw(st.binary(max_size=20))
    assert_comes_back(tmp_path / "a.demi", content, data.draw(st.permutations(runs)))


def test_much_between_the_runs_is_coded_as_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original, "TEXT", 100)
    content = bytes(range(256)) * 20
    assert_comes_back(tmp_path / "a.demi", content, [Run(33, np.dtype("<f4"), (5, 7))])
    assert_comes_back(tmp_path / "a.demi", content, [])


@pytest.mark.parametrize(
    "runs",
    [
        [Run(90, np.dtype("<f4"), (3,))],
        [Run(0, np.dtype("<f4"), (1 << 60,))],
        [Run(0, np.dtype("<f4"), (3,)), Run(8, np.dtype("u1"), (3,))],
    ],
)
def test_runs_that_overlap_or_lie_outside_are_refused(runs: list[Run]) -> None:
    with pytest.raises(ValueError, match="overlaps"):
        original.split(bytes(100), runs)


def test_a_file_that_is_not_the_one_stored_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = original.hashlib.sha256
    monkeypatch.setattr(original.hashlib, "sha256", lambda *data: real(b"another"))
    codec.write_original(tmp_path / "a.demi", b"", b"abc", [])
    monkeypatch.undo()
    with codec.open(tmp_path / "a.demi") as reader:
        assert reader.original is not None
        with pytest.raises(ContainerError, match="sha256"):
            list(reader.original.parts())


def test_what_repeats_the_prototxt_costs_little(tmp_path: Path) -> None:
    names = [f"inception_{i}/branch_{i * 7 % 5}".encode() for i in range(30)]
    prototxt = b"".join(b'layer {\n  name: "%s"\n  type: "Convolution"\n}\n' % name for name in names)
    frame = b"".join(b"\xa2\x06\x30\x0a%c%s\x12\x0bConvolution" % (len(name), name) for name in names)
    codec.write(tmp_path / "a.demi", prototxt, [])
    codec.write_original(tmp_path / "b.demi", prototxt, frame, [])
    added = (tmp_path / "b.demi").stat().st_size - (tmp_path / "a.demi").stat().st_size
    assert added < 32 + len(frame) / 10
