import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.errors import OptionError
from demitasse.evaluate.fit import RESIZES, fitting

pytest.importorskip("cv2")

side = st.integers(1, 60)


@pytest.mark.parametrize(
    ("resize", "size", "resized", "offset"),
    [
        ("stretch", None, (10, 20), (0, 0)),
        ("crop", None, (20, 20), (5, 0)),
        ("pad", None, (10, 10), (0, -5)),
        ("stretch", (16, 24), (16, 24), (3, 2)),
        ("crop", (16, 24), (24, 24), (7, 2)),
    ],
)
def test_a_square_picture_in_a_wide_input(resize, size, resized, offset):
    fit = fitting((40, 40), (10, 20), resize, size)
    assert (fit.resized, fit.offset) == (resized, offset)
    pixels, inside = fit(np.full((40, 40, 3), 9, np.uint8))
    assert pixels.shape == (10, 20, 3)
    assert (pixels[inside] == 9).all()
    assert inside.all() == (resize != "pad")


@given(st.tuples(side, side), st.tuples(side, side), st.sampled_from(RESIZES))
def test_boxes_go_back_to_where_they_were(before, after, resize):
    fit = fitting(before, after, resize)
    whole = np.array([[0.0, 0.0, before[1], before[0]]])
    across, down = fit.resized[1] / before[1], fit.resized[0] / before[0]
    seen = whole * [across, down, across, down] - [fit.offset[1], fit.offset[0]] * 2
    shares = seen / [after[1], after[0], after[1], after[0]]
    assert fit.back(shares) == pytest.approx(whole)


@given(st.tuples(side, side), st.tuples(side, side), st.sampled_from(RESIZES))
def test_any_picture_fits(before, after, resize):
    pixels, inside = fitting(before, after, resize)(np.ones((*before, 1), np.uint8))
    assert pixels.shape == (*after, 1)
    assert inside.any()
    assert (pixels[inside] == 1).all()


def test_less_than_is_needed_is_refused():
    with pytest.raises(OptionError, match="reads 10×20"):
        fitting((40, 40), (10, 20), "stretch", (8, 30))
