import numpy as np
import pytest

from demitasse.errors import NetError
from demitasse.evaluate.inputs import feeds, picture_shape
from demitasse.evaluate.preprocessing import Preprocessing

PLAIN = Preprocessing((0.0,))
PICTURES = [(str(i), np.full((4, 6, 3), i, np.uint8)) for i in range(3)]


def test_the_first_four_dimensional_input_takes_the_picture():
    assert picture_shape({"im_info": (1, 3), "data": (8, 3, 4, 6), "more": (1, 1, 2, 2)}) == (1, 3, 4, 6)


@pytest.mark.parametrize("inputs", [{}, {"x": (1, 10)}, {"data": (1, 3, 0, 0)}])
def test_without_a_picture_input_there_is_nothing_to_show(inputs):
    with pytest.raises(NetError, match="no input for pictures"):
        picture_shape(inputs)


def test_every_input_is_fed():
    inputs = {"data": (2, 3, 4, 6), "im_info": (1, 3), "rois": (9, 5), "other": (1, 3, 4, 6), "state": (2, 7)}
    fed = feeds(inputs, PICTURES, PLAIN, batch=2)
    assert [{name: a.shape for name, a in feed.items()} for feed in fed] == [
        {"data": (2, 3, 4, 6), "im_info": (1, 3), "rois": (5, 5), "other": (2, 3, 4, 6), "state": (2, 7)}
    ] * 3
    assert fed[0]["im_info"].tolist() == [[4, 6, 1]]
    assert fed[0]["rois"][0].tolist() == [0, 0, 0, 5, 3]
    assert [(feed["data"].max(), feed["other"].max()) for feed in fed] == [(0, 1), (1, 2), (2, 0)]
    assert np.array_equal(fed[1]["state"], feeds(inputs, PICTURES, PLAIN)[1]["state"])
