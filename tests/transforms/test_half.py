import numpy as np
import pytest

from demitasse import files
from demitasse.errors import OptionError
from demitasse.net import Dense
from demitasse.transforms.half import Half
from filled_networks import conv, data, error, filled


def net_with(values):
    net = filled(data(1, 4, 6, 6) + conv("x", "data"))
    weights = np.array(net.layers[1].tensors[0].array())
    weights.reshape(-1)[: len(values)] = values
    return net.with_layers([net.layers[0], net.layers[1].with_tensors([Dense(weights), net.layers[1].tensors[1]])])


def test_every_weight_is_the_nearest_float16():
    net = net_with([])
    small = Half()(net)
    for old, new in zip(net.layers[1].tensors, small.layers[1].tensors, strict=True):
        assert new.dtype == np.float16
        assert np.array_equal(new.array(), old.array().astype(np.float16))
    assert Half()(small).layers[1].tensors[0] is small.layers[1].tensors[0]


def test_opencv_and_the_executor_read_it(tmp_path):
    pytest.importorskip("torch")
    cv2 = pytest.importorskip("cv2")
    net = net_with([])
    small = Half()(net)
    assert 0 < error(net, small) < 1e-3
    paths = tmp_path / "x.prototxt", tmp_path / "x.caffemodel"
    files.save(small, *paths)
    assert files.load(*paths).layers[1].tensors[0].dtype == np.float16
    loaded = cv2.dnn.readNetFromCaffe(*map(str, paths))
    assert np.array_equal(loaded.getParam("x", 0), small.layers[1].tensors[0].array().astype(np.float32))


@pytest.mark.parametrize("value", [65520.0, -1e6, np.inf])
def test_overflow_is_refused_or_clamped(value):
    net = net_with([value])
    with pytest.raises(OptionError, match=r'"x" .* exceed 65504.*--clamp'):
        Half()(net)
    clamped = Half(clamp=True)(net)
    assert clamped.layers[1].tensors[0].array().reshape(-1)[0] == np.float16(np.sign(value) * 65504)
    assert any("clamped" in note.text for note in clamped.report)


def test_the_largest_that_rounds_down_is_no_overflow():
    assert Half()(net_with([65504.0])).layers[1].tensors[0].array().reshape(-1)[0] == 65504


def test_a_tensor_that_would_vanish_is_refused_or_clamped():
    net = net_with(np.full(6 * 4 * 9, 1e-9))
    with pytest.raises(OptionError, match="so small"):
        Half()(net)
    assert not Half(clamp=True)(net).layers[1].tensors[0].array().any()


def test_a_few_weights_that_vanish_are_told():
    small = Half()(net_with([1e-9, -1e-10]))
    assert [note.data["underflow"] for note in small.report if "underflow" in note.data] == [2]


@pytest.mark.parametrize("clamp", [False, True])
def test_nan_is_refused_either_way(clamp):
    with pytest.raises(OptionError, match="NaN"):
        Half(clamp)(net_with([np.nan]))


def test_a_bias_that_is_nothing_beside_the_weights_may_vanish():
    net = net_with([])
    bias = Dense(np.full(6, 1e-9, np.float32))
    net = net.with_layers([net.layers[0], net.layers[1].with_tensors([net.layers[1].tensors[0], bias])])
    assert not Half()(net).layers[1].tensors[1].array().any()
