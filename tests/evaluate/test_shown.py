import numpy as np
import pytest

from demitasse.errors import FileError, NetError, OptionError
from demitasse.evaluate.shown import Shown, fed
from demitasse.net import Net

INPUTS = {"data": (1, 3, 8, 8), "im_info": (1, 3)}
NET = Net("x", ())


def test_pictures_noise_and_what_is_no_picture():
    found = fed(Shown(count=2), NET, INPUTS)
    assert (found.words, len(found.feeds)) == ("2 generated pictures", 2)
    noise = fed(Shown(random=3, seed=1), NET, INPUTS, batch=2)
    assert noise.words == "3 sets of random numbers"
    assert noise.feeds[0]["data"].shape == (2, 3, 8, 8)
    assert noise.feeds[0]["im_info"].tolist() == [[8, 8, 1]]
    assert not np.array_equal(noise.feeds[0]["data"], noise.feeds[1]["data"])


def test_a_network_without_pictures_gets_noise():
    assert fed(Shown(count=2), NET, {"x": (1, 10)}).words == "2 sets of random numbers"


def test_photographs_need_an_input_for_pictures(tmp_path):
    with pytest.raises(NetError, match="no input for pictures"):
        fed(Shown(tmp_path), NET, {"x": (1, 10)})


@pytest.mark.parametrize(("shape", "sets"), [((1, 3, 8, 8), 1), ((5, 3, 8, 8), 1), ((2, 1, 3, 8, 8), 2)])
def test_arrays(tmp_path, shape, sets):
    info = (2, 1, 3) if sets == 2 else (1, 3)
    np.savez(tmp_path / "a.npz", data=np.ones(shape), im_info=np.ones(info, np.int32))
    found = fed(Shown(arrays=tmp_path / "a.npz"), NET, INPUTS)
    assert len(found.feeds) == sets
    assert found.feeds[0]["data"].dtype == np.float32
    assert found.prepared == ""


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, 'has no array "data"'),
        ({"data": np.ones((1, 3, 8, 8))}, 'has no array "im_info"'),
        ({"data": np.ones((1, 3, 8, 9)), "im_info": np.ones((1, 3))}, "1×3×8×9"),
        ({"data": np.ones((0, 3, 8, 8)), "im_info": np.ones((1, 3))}, "empty batch"),
        ({"data": np.full((1, 3, 8, 8), np.nan), "im_info": np.ones((1, 3))}, "not finite"),
        ({"data": np.full((1, 3, 8, 8), "x"), "im_info": np.ones((1, 3))}, "<U1"),
        ({"data": np.ones((2, 1, 3, 8, 8)), "im_info": np.ones((3, 1, 3))}, "different numbers of sets"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(OptionError, match=message):
        fed(Shown(arrays=tmp_path / "a.npz"), NET, INPUTS)


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"PK\x03\x04 cut"])
def test_what_is_no_npz(tmp_path, data):
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(FileError, match=r"a\.npz"):
        fed(Shown(arrays=tmp_path / "a.npz"), NET, INPUTS)


def test_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", data=np.array([{}], dtype=object), im_info=np.ones((1, 3)))
    with pytest.raises(FileError, match="arrays of numbers"):
        fed(Shown(arrays=tmp_path / "a.npz"), NET, INPUTS)
