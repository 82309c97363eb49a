import numpy as np
import pytest

from demitasse.errors import FileError, OptionError
from demitasse.evaluate.preprocessing_file import read_stated


def test_what_the_file_says(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("mean: [1, 2.5, 3]\nscale: 0.5\norder: rgb\nresize: crop\nsize: 256\n")
    said = read_stated(path)
    assert (said.mean, said.scale, said.order, said.resize, said.size) == (
        (1.0, 2.5, 3.0),
        0.5,
        "rgb",
        "crop",
        (256, 256),
    )
    path.write_text("mean: 5\nsize: [10, 20]")
    assert (read_stated(path).mean, read_stated(path).size, read_stated(path).scale) == ((5.0,), (10, 20), None)


def test_a_mean_picture_lies_beside_the_file(tmp_path):
    np.save(tmp_path / "mean.npy", np.ones((3, 4, 5), np.float32))
    (tmp_path / "p.yaml").write_text("mean: mean.npy")
    assert read_stated(tmp_path / "p.yaml").mean_picture.shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", OptionError, "mean, scale"),
        ("[1, 2]", OptionError, "mean, scale"),
        ("means: 1", OptionError, "'means'"),
        ("mean: [a]", OptionError, "numbers"),
        ("mean: true", OptionError, "numbers"),
        ("scale: [1, 2]", OptionError, "a number"),
        ("order: gbr", OptionError, "bgr or rgb"),
        ("resize: no", OptionError, "stretch or crop or pad"),
        ("size: 0", OptionError, "whole numbers"),
        ("size: [1, 2, 3]", OptionError, "size"),
        ("a: [", FileError, "line 1"),
        ("mean: none.npy", FileError, r"none\.npy"),
    ],
)
def test_what_it_cannot_say(tmp_path, text, error, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(error, match=message):
        read_stated(tmp_path / "p.yaml")


def test_no_file():
    with pytest.raises(FileError, match="No such file"):
        read_stated(__import__("pathlib").Path("nowhere.yaml"))
