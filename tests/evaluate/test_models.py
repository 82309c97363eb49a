from pathlib import Path

import pytest

from demitasse import files
from demitasse.errors import NetError
from demitasse.evaluate.models import OnnxFile, Subject, model
from networks import small_classifier


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    found = (tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    small_classifier(*found)
    return found


def test_what_is_fed_and_where_blobs_come_from(paths):
    subject = Subject(files.load(*paths))
    assert subject.inputs == {"data": (1, 3, 24, 24)}
    assert subject.places == {"data": "input", "conv1": "relu1", "pool1": "pool1", "fc": "fc", "prob": "prob"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("input_dim: 1\n", "input_dim: 0\n", "empty batch"),
        ('bottom: "data" top: "conv1"', 'bottom: "prob" top: "conv1"', 'layer "conv1".*reads "prob"'),
        ('input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 24\ninput_dim: 24\n',
         'layer { name: "data" type: "Input" top: "data" }\n', "no input of known shape|shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_as_it_is(paths, old, new, message):
    text = paths[0].read_text()
    assert old in text
    paths[0].write_text(text.replace(old, new, 1))
    with pytest.raises(NetError, match=message):
        _ = Subject(files.load(*paths, missing="keep")).inputs


def test_a_name_is_an_onnx(paths):
    net = files.load(*paths)
    assert model("x.onnx") == OnnxFile(Path("x.onnx"))
    assert model(net).net is net
    subject = Subject(net)
    assert model(subject) is subject
