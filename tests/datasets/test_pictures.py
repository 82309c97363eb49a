import numpy as np
import pytest

from demitasse.datasets.pictures import photographs
from demitasse.errors import FileError


def test_photographs_come_by_name(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name in ("b.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 5, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    assert [(name, picture.shape) for name, picture in photographs(tmp_path)] == [
        ("a.jpg", (4, 5, 3)),
        ("b.png", (4, 5, 3)),
    ]


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(FileError, match="no pictures"):
        photographs(tmp_path)
    with pytest.raises(FileError, match="not a folder"):
        photographs(tmp_path / "missing")


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_a_broken_picture_is_an_error(tmp_path, content):
    pytest.importorskip("cv2")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FileError, match=r"a\.png"):
        photographs(tmp_path)
