"""Tensors as values."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from demitasse import codec
from demitasse.errors import NetError
from demitasse.message import Message
from demitasse.net import Clustered, Dense, Layer, Levels, Net, Tensor, release


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


@pytest.mark.parametrize("index", [3, 255, -1])
def test_an_index_beyond_the_codebook_is_named(tmp_path: Path, index: int) -> None:
    indices = np.array([[0, 1], [2, index]], np.int16)
    tensor = Clustered(indices, np.float32([0, 1, 2]))
    with pytest.raises(NetError, match=f"index {index} of a clustered tensor is not in its codebook of 3"):
        tensor.array()
    with pytest.raises(NetError, match=f"index {index}"):
        codec.write(tmp_path / "a.demi", b"", [("a", [tensor])])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "tensor",
    [
        Levels(np.zeros((0, 3), np.int32), np.float32([1])),
        Clustered(np.zeros((2, 0), np.uint8), np.zeros(0, np.float32)),
    ],
)
def test_an_empty_tensor_is_stored_as_a_plain_array(tmp_path: Path, tensor: Tensor) -> None:
    codec.write(tmp_path / "a.demi", b"", [("a", [tensor])])
    with codec.open(tmp_path / "a.demi") as reader:
        ((_, (stored,)),) = reader.layers
        assert isinstance(stored.coded(), Dense)
        assert (stored.shape, stored.dtype) == (tensor.shape, tensor.dtype)


def test_values_are_shown_in_a_line() -> None:
    weights = Dense(np.zeros((64, 3, 7, 7), np.float32))
    layer = Layer("conv1", "Convolution", message=Message.of(("name", "conv1")), tensors=(weights,))
    assert repr(weights) == "Dense(float32 64×3×7×7)"
    assert repr(layer) == "Layer('conv1', 'Convolution', Dense(float32 64×3×7×7))"
    assert repr(Layer("r", "ReLU")) == "Layer('r', 'ReLU', no weights)"
    assert repr(Net("n", (layer,), Message.of(("name", "n")))) == "Net('n', 1 layers, 9408 parameters)"
