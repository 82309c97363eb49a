from pathlib import Path

import pytest

from demitasse.cli.model import Source, check_output, form, source
from demitasse.errors import FileError, OptionError

TEXT = b'name: "x"\nlayer { name: "data" type: "Input" top: "data" }\n'
WEIGHTS = bytes(range(256)) * 4


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    contents = {"text": TEXT, "weights": WEIGHTS, "demi": b"\x89DEMI\r\n rest"}
    paths = {name: tmp_path / name for name in contents}
    for name, path in paths.items():
        path.write_bytes(contents[name])
    return paths


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["weights", "text"], "DEPLOY comes first"),
        (["text"], "weights are missing"),
        (["weights"], "prototxt is missing"),
        (["text", "text"], "not weights"),
        (["weights", "weights"], "not a prototxt"),
        (["demi", "weights"], "alone"),
        (["text", "weights", "demi"], "3 files"),
    ],
)
def test_what_is_wrong_with_the_files_is_said(files, given, message):
    with pytest.raises(OptionError, match=message):
        source([files[name] for name in given])


def test_files_that_make_a_network(files):
    assert source([files["demi"]]) == Source(demi=files["demi"])
    assert source([files["text"], files["weights"]]) == Source(files["text"], files["weights"])
    assert source([files["text"]], weights=False) == Source(files["text"])


def test_what_is_no_file_is_said(tmp_path):
    (tmp_path / "empty").touch()
    for path, message in ((tmp_path, "folder"), (tmp_path / "missing", "No such file"), (tmp_path / "empty", "empty")):
        with pytest.raises(FileError, match=message):
            source([path])


@pytest.mark.parametrize(
    ("name", "expected"), [("x.demi", "demi"), ("X.DEMI", "demi"), ("out/", "folder"), ("out", "folder")]
)
def test_the_name_decides_the_form(name, expected):
    assert form(name) == expected


def test_a_folder_that_is_there_is_a_folder(tmp_path):
    folder = tmp_path / "v1.2"
    folder.mkdir()
    assert form(str(folder)) == "folder"


@pytest.mark.parametrize("name", ["x.onnx", "x.tflite", "x.prototxt", "x.caffemodel", "x.zip", ""])
def test_other_forms_are_refused_by_name(name):
    with pytest.raises(OptionError, match=name or "is empty"):
        form(name)


def test_an_input_is_not_an_output(files):
    given = Source(files["text"], files["weights"])
    with pytest.raises(OptionError, match="input"):
        check_output([files["weights"].parent / "." / "weights"], given)
    link = files["text"].with_name("link")
    link.symlink_to(files["text"])
    with pytest.raises(OptionError, match="input"):
        check_output([link], given)


def test_where_nothing_can_be_written(files, tmp_path):
    given = Source(files["text"])
    check_output([tmp_path / "new" / "folder" / "x.demi"], given)
    with pytest.raises(FileError, match="is a folder"):
        check_output([tmp_path], given)
    with pytest.raises(FileError, match="not a folder"):
        check_output([files["demi"] / "x.demi"], given)
