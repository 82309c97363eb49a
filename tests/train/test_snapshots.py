import numpy as np
import pytest

from demitasse.errors import FileError
from demitasse.net import Dense, Layer, Net
from demitasse.train.snapshots import (
    SolverState,
    read_state,
    read_weights_hdf5,
    write_state,
    write_weights_hdf5,
)

HISTORY = (np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(1, np.float32))


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_both_forms_of_caffes_own_state_say_the_same(golden, name):
    binary = read_state(golden / f"snapshots/{name}_binaryproto_iter_10.solverstate")
    hdf5 = read_state(golden / f"snapshots/{name}_hdf5_iter_10.solverstate.h5")
    assert (binary.iteration, binary.step) == (hdf5.iteration, hdf5.step)
    assert binary.iteration == 10
    assert binary.learned_net.endswith("_iter_10.caffemodel")
    assert hdf5.learned_net.endswith("_iter_10.caffemodel.h5")
    for a, b in zip(binary.history, hdf5.history, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["sgd_binaryproto_iter_10.solverstate", "adam_binaryproto_iter_10.solverstate"])
def test_what_caffe_wrote_is_written_again_byte_for_byte(golden, tmp_path, name):
    path = golden / "snapshots" / name
    write_state(tmp_path / name, read_state(path))
    assert (tmp_path / name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["a.solverstate", "a.solverstate.h5"])
def test_a_state_comes_back(tmp_path, name):
    write_state(tmp_path / name, SolverState(7, "a.caffemodel", HISTORY, 2))
    found = read_state(tmp_path / name)
    assert (found.iteration, found.learned_net, found.step) == (7, "a.caffemodel", 2)
    for a, b in zip(found.history, HISTORY, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_come_back_from_hdf5(tmp_path):
    net = Net("n", (Layer("a/b", "InnerProduct", tensors=tuple(map(Dense, HISTORY))), Layer("c", "ReLU")))
    write_weights_hdf5(tmp_path / "w.h5", net)
    found = read_weights_hdf5(tmp_path / "w.h5")
    assert list(found) == ["a/b"]
    for a, b in zip(found["a/b"], HISTORY, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["x.solverstate", "x.solverstate.h5"])
@pytest.mark.parametrize("data", [b"", b"\x12\x03abc", b"nothing of the kind"])
def test_what_is_no_state_is_refused(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FileError, match=name):
        read_state(path)
