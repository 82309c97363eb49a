from pathlib import Path

import pytest

from demitasse.errors import FileError, OptionError
from demitasse.evaluate.anchors import HEADS, AnchorHead
from demitasse.evaluate.cascade import CascadeHead
from demitasse.evaluate.head_file import read_head


def written(folder: Path, text: str) -> str:
    (folder / "head.yaml").write_text(text)
    return str(folder / "head.yaml")


def test_a_known_head_by_its_name():
    assert read_head("ultralight") is HEADS["ultralight"]


def test_a_head_of_anchors(tmp_path):
    text = """
strides: [8, 16]
anchors: [[10, 16.5], [32, [48, 24]]]
variances: [0.1, 0.5]
clip: true
background: false
overlap: 0.45
squash: sigmoid
boxes: loc
scores: conf
"""
    cells = ((8, ((10.0, 10.0), (16.5, 16.5))), (16, ((32.0, 32.0), (48.0, 24.0))))
    expected = AnchorHead(cells, (0.1, 0.5), True, False, 0.45, "sigmoid", "loc", "conf")
    assert read_head(written(tmp_path, text)) == expected
    assert read_head(written(tmp_path, "strides: 8\nanchors: [10]")) == AnchorHead(((8, ((10.0, 10.0),)),))


def test_a_cascade(tmp_path):
    text = "smallest: 40\nfactor: 0.5\nleast: [0.6, 0.6, 0.9]\nseen: [columns, rows, rows]"
    assert read_head(written(tmp_path, text)) == CascadeHead(40, 0.5, (0.6, 0.6, 0.9), ("columns", "rows", "rows"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strides: [8]", "strides and anchors are needed"),
        ("strides: [8, 16]\nanchors: [[10]]", "for each map"),
        ("strides: [0.5]\nanchors: [[10]]", "whole numbers"),
        ("strides: [8]\nanchors: [[-10]]", "a side in pixels"),
        ("strides: [8]\nanchors: [[]]", "without anchors"),
        ("strides: [8]\nanchors: [[10]]\nclip: 3", "clip is 3"),
        ("strides: [8]\nanchors: [[10]]\nsquash: relu", "softmax"),
        ("strides: [8]\nsmallest: 10", "others of a cascade"),
        ("smallest: 0.5", "a pixel or more"),
        ("least: [0.5, 0.5]", "three networks"),
        ("seen: [columns, columns, diagonals]", "columns or rows"),
        ("colour: blue", "means nothing here"),
    ],
)
def test_what_a_file_cannot_say(tmp_path, text, message):
    with pytest.raises(OptionError, match=message):
        read_head(written(tmp_path, text))


def test_what_is_no_head(tmp_path):
    with pytest.raises(OptionError, match="ultralight"):
        read_head("other")
    with pytest.raises(FileError, match="No such file"):
        read_head(str(tmp_path / "none.yaml"))
