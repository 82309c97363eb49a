import json
from pathlib import Path

import numpy as np
import pytest

from demitasse.datasets.annotations import VOC_CLASSES, read_annotations
from demitasse.errors import FileError

XML = """<annotation><filename>{name}</filename>
<object><name>dog</name><difficult>0</difficult>
<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>60</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"""

COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
    "annotations": [
        {"image_id": 7, "category_id": 18, "bbox": [10, 20, 20, 40]},
        {"image_id": 7, "category_id": 17, "bbox": [0, 0, 5, 5], "iscrowd": 1},
    ],
}

WIDER = """a.jpg
2
10 20 20 40 0 0 0 0 0 0
0 0 5 5 0 0 0 1 0 0
b.jpg
0
0 0 0 0 0 0 0 0 0 0
"""


def voc(folder: Path) -> Path:
    (folder / "Annotations").mkdir()
    (folder / "JPEGImages").mkdir()
    (folder / "Annotations" / "a.xml").write_text(XML.format(name="a.jpg"))
    (folder / "Annotations" / "b.xml").write_text("<annotation><filename>b.jpg</filename></annotation>")
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "test.txt").write_text("a\n")
    return folder


def written(folder: Path, form: str) -> Path:
    if form == "VOC":
        return voc(folder)
    path = folder / ("truth.json" if form == "COCO" else "truth.txt")
    path.write_text(json.dumps(COCO) if form == "COCO" else WIDER)
    return path


@pytest.mark.parametrize("form", ["VOC", "COCO", "WIDER"])
def test_the_same_boxes_in_every_form(tmp_path, form):
    found = read_annotations(written(tmp_path, form))
    a, b = found.pictures
    assert (found.form, a.path.name, b.path.name, found.boxes) == (form, "a.jpg", "b.jpg", 1)
    assert a.corners.tolist() == [[10, 20, 30, 60], [0, 0, 5, 5]]
    assert a.ignored.tolist() == [False, True]
    assert a.labels == (("face", "face") if form == "WIDER" else ("dog", "cat"))
    assert b.corners.shape == (0, 4)


def test_classes_are_numbered_as_the_form_has_them(tmp_path):
    assert read_annotations(written(tmp_path, "COCO")).classes == ("cat", "dog")
    assert read_annotations(written(tmp_path, "WIDER")).classes == ("face",)
    assert read_annotations(written(tmp_path, "VOC")).classes == VOC_CLASSES
    assert read_annotations(tmp_path / "truth.json", classes=["dog", "cat"]).classes == ("dog", "cat")


def test_where_pictures_are(tmp_path):
    folder = written(tmp_path, "VOC")
    assert read_annotations(folder).pictures[0].path == folder / "JPEGImages" / "a.jpg"
    listed = read_annotations(folder / "ImageSets" / "Main" / "test.txt")
    assert [each.path.name for each in listed.pictures] == ["a.jpg"]
    assert read_annotations(written(tmp_path, "COCO"), Path("elsewhere")).pictures[0].path == Path("elsewhere/a.jpg")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.txt", "a.jpg\nmany\n", "line 2: should be the number of boxes of a.jpg"),
        ("t.txt", "a.jpg\n2\n1 2 3 4\n", "line 4: should begin with left"),
        ("t.txt", "a.jpg\n1\n1 2 x 4\n", "line 3"),
        ("t.txt", "", "no picture"),
        ("t.json", "{", "not COCO"),
        ("t.json", "[]", "not COCO"),
        ("t.json", '{"images": []}', "no 'categories'"),
        ("t.json", json.dumps({**COCO, "annotations": [{"image_id": 7, "category_id": 18, "bbox": [1]}]}), "not COCO"),
        ("t/a.xml", "<annotation>", "not XML"),
        ("t/a.xml", "<annotation><object><name>x</name></object></annotation>", "bndbox of four numbers"),
        ("t/a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "entities"),
        ("t/a.jpg", "", r"no VOC annotations"),
    ],
)
def test_what_makes_no_sense(tmp_path, name, text, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        read_annotations(tmp_path / Path(name).parts[0])


def test_no_file(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_annotations(tmp_path / "nowhere.json")
    (tmp_path / "t.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="neither"):
        read_annotations(tmp_path / "t.bin")


def test_corners_are_numbers(tmp_path):
    assert read_annotations(written(tmp_path, "WIDER")).pictures[0].corners.dtype == np.float64
