import numpy as np
import pytest

from demitasse.errors import OptionError
from demitasse.evaluate.preprocessing import Preprocessing, preprocessing
from demitasse.message import Message
from demitasse.net import Layer, Net

PICTURE = np.tile(np.array([10, 20, 30], np.uint8), (4, 6, 1))


def named(name: str, *layers: Layer) -> Net:
    return Net(name, layers)


def data_layer(**options) -> Layer:
    return Layer("data", "Data", (), ("data",), Message.of(("transform_param", Message.of(*options.items()))))


@pytest.mark.parametrize(
    ("net", "channels", "mean", "scale"),
    [
        (named(""), 3, (104, 117, 123), 1),
        (named("VGG"), 3, (104, 117, 123), 1),
        (named("VGG"), 1, (0,), 1 / 255),
        (named("LeNet"), 1, (0,), 1 / 256),
        (named("PNet"), 3, (127.5,), 1 / 128),
        (named("MobileNet-SSD"), 3, (127.5,), 1 / 127.5),
        (named("x", data_layer(mean_value=5.0, scale=0.5)), 3, (5,), 0.5),
        (named("x", data_layer(scale=0.00390625)), 1, (0,), 0.00390625),
        (named("LeNet", data_layer(mean_file="m", scale=0.5)), 1, (0,), 1 / 256),
    ],
)
def test_what_is_known_of_a_network(net, channels, mean, scale):
    found = preprocessing(net, channels)
    assert found.mean == pytest.approx(mean)
    assert found.scale == pytest.approx(scale)


def test_options_win():
    assert preprocessing(named("LeNet"), 1, scale=2.0) == Preprocessing((0.0,), 2.0)
    assert preprocessing(named("VGG"), 3, mean=(1.0, 2.0, 3.0)) == Preprocessing((1.0, 2.0, 3.0), 1.0)


def test_mean_and_scale_are_applied_per_channel():
    values = Preprocessing((1.0, 2.0, 3.0), 2.0)(PICTURE, (7, 3, 4, 6))
    assert values.shape == (1, 3, 4, 6)
    assert values[0, :, 0, 0].tolist() == [18, 36, 54]


def test_one_channel_is_grey():
    assert Preprocessing((0.0,))(PICTURE, (1, 1, 4, 6))[0, 0, 0, 0] == pytest.approx(
        0.114 * 10 + 0.587 * 20 + 0.299 * 30
    )


def test_more_channels_repeat_the_picture():
    assert Preprocessing((0.0,))(PICTURE, (1, 5, 4, 6))[0, :, 0, 0].tolist() == [10, 20, 30, 10, 20]


def test_another_size_is_resized():
    pytest.importorskip("cv2")
    assert Preprocessing((0.0,))(PICTURE, (1, 3, 8, 2)).shape == (1, 3, 8, 2)


def test_a_mean_that_does_not_fit_is_refused():
    with pytest.raises(OptionError, match="2 values"):
        Preprocessing((1.0, 2.0))(PICTURE, (1, 3, 4, 6))
