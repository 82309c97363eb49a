import pytest

from demitasse.evaluate.models import Subject
from demitasse.evaluate.runtimes import Execution, Executor, OpenCV
from filled_networks import conv, data, fed, filled, layer, relative

pytest.importorskip("cv2")
pytest.importorskip("torch")


def test_an_output_whose_layer_has_another_name_is_found():
    """OpenCV calls the layer by its output."""
    text = data(1, 3, 8, 8) + conv("a", "data", top="x") + conv("b", "x", top="y") + layer("ReLU", "c", "x", top="z")
    net = filled(text)
    feeds = [fed(net)]
    found = [program(Execution()).run(Subject(net), feeds, ["a", "b", "c"])[0] for program in (OpenCV, Executor)]
    assert sorted(found[0]) == sorted(found[1]) == ["a", "b", "c"]
    assert all(relative(found[1][name], found[0][name]) < 1e-5 for name in found[0])
