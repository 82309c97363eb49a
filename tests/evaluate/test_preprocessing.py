import numpy as np
import pytest

from demitasse.errors import OptionError
from demitasse.evaluate.preprocessing import Preprocessing, Stated, preprocessing, remembered, remembering
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


def test_red_first():
    values = Preprocessing((1.0, 2.0, 3.0), 1.0, "rgb")(PICTURE, (1, 3, 4, 6))
    assert values[0, :, 0, 0].tolist() == [29, 18, 7]
    assert preprocessing(named("VGG"), 3, stated=Stated(order="rgb")).mean == (123, 117, 104)


def test_a_border_is_zero_after_the_mean():
    pytest.importorskip("cv2")
    values = Preprocessing((5.0,), resize="pad")(PICTURE, (1, 3, 6, 6))
    assert (values[0, :, 0] == 0).all()
    assert values[0, :, 3, 0].tolist() == [5, 15, 25]


def test_a_mean_picture_is_cut_to_the_middle():
    mean = np.arange(3 * 6 * 8, dtype=np.float32).reshape(3, 6, 8)
    values = Preprocessing(mean_picture=mean)(PICTURE, (1, 3, 4, 6))
    assert np.array_equal(values[0, 1], 20 - mean[1, 1:5, 1:7])
    with pytest.raises(OptionError, match="mean picture is 3×6×8"):
        Preprocessing(mean_picture=mean)(PICTURE, (1, 3, 9, 9))


@pytest.mark.parametrize(
    "stated",
    [Stated((1.0, 2.0, 3.0), 0.5), Stated(order="rgb"), Stated(resize="crop", size=(8, 9)), Stated(scale=2.0)],
)
def test_what_is_stated_is_remembered(stated):
    net = remembering(named("VGG"), stated)
    assert preprocessing(net, 3) == preprocessing(named("VGG"), 3, stated=stated)
    assert remembered(net).as_dict() == stated.as_dict()


def test_a_mean_picture_is_remembered_by_its_channels():
    mean = np.ones((3, 4, 4), np.float32) * np.array([1, 2, 3], np.float32)[:, None, None]
    assert remembered(remembering(named("x"), Stated(mean_picture=mean))).mean == (1, 2, 3)
    assert remembered(remembering(named("x"), Stated(mean_picture=mean, order="rgb"))).mean == (3, 2, 1)


def test_the_later_statement_wins():
    net = remembering(remembering(named("x"), Stated((1.0,), 0.5)), Stated(scale=2.0))
    assert remembered(net).as_dict() == {"mean": [1.0], "scale": 2.0}
    assert remembering(net, Stated()) is net


@pytest.mark.parametrize("said", [None, [], {"mean": "x"}, {"size": [1]}, {"order": 5}, {"mean": [None]}])
def test_damaged_memories_are_none(said):
    assert not remembered(Net("x", (), metadata={"preprocessing": said}))


def test_the_size_of_an_image_data_layer_is_kept():
    transform = Message.of(("crop_size", 4), ("mean_value", 1.0))
    source = Message.of(("new_height", 8), ("new_width", 10))
    message = Message.of(("transform_param", transform), ("image_data_param", source))
    net = named("x", Layer("data", "ImageData", (), ("data",), message))
    assert preprocessing(net, 3).size == (8, 10)
