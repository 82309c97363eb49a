"""Tensors as values."""

import mmap
from pathlib import Path

import numpy as np

from demitasse.net import Dense, Levels, release


def mapped(path: Path, access: int) -> np.ndarray:
    path.write_bytes(np.arange(5000, dtype=np.float32).tobytes())
    with path.open("r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=access), np.float32)[7:]


def test_a_mapped_tensor_keeps_its_values_when_released(tmp_path: Path) -> None:
    tensor = Dense(mapped(tmp_path / "a", mmap.ACCESS_READ))
    tensor.release()
    assert np.array_equal(tensor.array(), np.arange(7, 5000))


def test_what_was_written_to_a_private_mapping_is_not_lost(tmp_path: Path) -> None:
    values = mapped(tmp_path / "a", mmap.ACCESS_COPY)
    values[:] = 1
    release(values)
    assert np.all(values == 1)


def test_levels_of_any_width_give_the_same_weights() -> None:
    levels = np.random.default_rng(0).integers(-90, 90, (40, 30))
    steps = np.linspace(0.1, 0.2, 40, dtype=np.float32)
    wide = Levels(levels.astype(np.int32), steps, trellis=True).array()
    for kind in (np.int8, np.int16):
        narrow = Levels(levels.astype(kind), steps, trellis=True)
        assert np.array_equal(narrow.array(), wide)
        assert np.array_equal(np.concatenate(list(narrow.parts())), wide.ravel())
