"""A cascade whose networks look for bright squares: what comes out is known."""

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("torch")

from demitasse.caffe.read import parse_net
from demitasse.errors import NetError
from demitasse.evaluate.cascade import Cascade, CascadeHead, stage
from demitasse.evaluate.models import Subject
from demitasse.evaluate.runtimes import Execution, Executor
from demitasse.net import Dense

HEADS = {
    "Convolution": "convolution_param {{ num_output: {} kernel_size: {} stride: 2 }}",
    "InnerProduct": "inner_product_param {{ num_output: {} }}",
}


def looking(side: int, kind: str, shifts: tuple[float, ...] = (0, 0, 0, 0)) -> Subject:
    """Is the square of that side bright? Its corners are shifted by a share of its side."""
    rows = [f'layer {{ name: "d" type: "Input" top: "d" input_param {{ shape {{ dim: [1, 3, {side}, {side}] }} }} }}']
    for name, number in (("score", 2), ("shift", 4)):
        param = HEADS[kind].format(number, side)
        rows.append(f'layer {{ name: "{name}" type: "{kind}" bottom: "d" top: "{name}" {param} }}')
    rows.append('layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }')
    net = parse_net("\n".join(rows).encode())
    pixels = 3 * side * side
    bright = np.zeros((2, pixels), np.float32)
    bright[1] = 40 / pixels  # the mean of (pixel - 127.5) / 128, forty times
    weights = {"score": (bright, (0, -20)), "shift": (np.zeros((4, pixels), np.float32), shifts)}
    shape = (-1, 3, side, side) if kind == "Convolution" else (-1, pixels)
    return Subject(
        net.with_layers(
            layer.with_tensors(
                [
                    Dense(weights[layer.name][0].reshape(shape)),
                    Dense(np.array(weights[layer.name][1], np.float32)),
                ]
            )
            if layer.name in weights
            else layer
            for layer in net.layers
        )
    )


def cascade(*shifts: float, **settings: object) -> Cascade:
    stages = (
        stage(looking(12, "Convolution")),
        stage(looking(24, "InnerProduct")),
        stage(looking(48, "InnerProduct", shifts or (0, 0, 0, 0))),
    )
    return Cascade(stages, Executor(Execution(1)), CascadeHead(**settings))


def picture(left: int, top: int, side: int) -> np.ndarray:
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[top : top + side, left : left + side] = 255
    return pixels


@pytest.mark.parametrize("seen", ["columns", "rows"])
def test_a_bright_square_is_found_where_it_is(seen):
    found = cascade(seen=(seen,) * 3).boxes(picture(60, 30, 30))
    assert len(found)
    assert (found[:, 0] == 1).all()
    assert found[0, 1] > 0.9
    left, top, right, bottom = found[0, 2:]
    assert 57 <= left < left + 10 < right <= 93
    assert 27 <= top < top + 10 < bottom <= 63


def test_boxes_are_shifted_by_shares_of_their_sides():
    plain, moved = cascade().boxes(picture(60, 30, 30))[0], cascade(0.1, -0.2, 0, 0.5).boxes(picture(60, 30, 30))[0]
    side = plain[4] - plain[2]
    assert moved[2:] - plain[2:] == pytest.approx(np.array([0.1, -0.2, 0, 0.5]) * side, abs=1e-3)


def test_nothing_is_found_in_the_dark_or_in_a_picture_smaller_than_a_face():
    assert cascade().boxes(picture(0, 0, 0)).shape == (0, 6)
    assert cascade().boxes(np.full((10, 10, 3), 255, np.uint8)).shape == (0, 6)
    assert len(cascade(smallest=8).boxes(np.full((10, 10, 3), 255, np.uint8)))


def test_what_is_no_stage():
    text = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [1, 3, 12, 16] } } }'
    with pytest.raises(NetError, match="reads d 1×3×12×16"):
        stage(Subject(parse_net(text.encode())))
