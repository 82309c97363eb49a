from pathlib import Path

import pytest

from demitasse.cli.given import executing, one_or_cascade, two
from demitasse.errors import FileError, MissingExtraError, NetError, OptionError

CONTENTS = {
    "text": b'name: "x"\nlayer { name: "data" type: "Input" top: "data" }\n',
    "weights": bytes(range(256)) * 4,
    "other": bytes(range(256)) * 4,
    "demi": b"\x89DEMI\r\n rest",
    "onnx": b"\x08\x07\x12\x04test\x3a\x00",
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    for suffix in ("prototxt", "caffemodel"):
        (tmp_path / "folder" / f"x.{suffix}").write_bytes(CONTENTS["text" if suffix == "prototxt" else "weights"])
    return tmp_path


@pytest.mark.parametrize(
    ("given", "first", "second"),
    [
        (["text", "weights", "text", "other"], ["text", "weights"], ["text", "other"]),
        (["text", "weights", "other"], ["text", "weights"], ["text", "other"]),
        (["demi", "onnx"], ["demi"], ["onnx"]),
        (["onnx", "text", "weights"], ["onnx"], ["text", "weights"]),
        (["text", "weights", "demi"], ["text", "weights"], ["demi"]),
        (["folder", "demi"], ["x.prototxt", "x.caffemodel"], ["demi"]),
        (["demi", "demi"], ["demi"], ["demi"]),
    ],
)
def test_two_networks_in_any_form(here, given, first, second):
    a, b = two([here / name for name in given])
    assert [path.name for path in a.files] == first
    assert [path.name for path in b.files] == second


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["text", "weights"], "one network given"),
        (["demi"], "one network given"),
        (["text", "demi"], "weights should come next"),
        (["weights", "text"], "prototxt is missing"),
        (["demi", "text"], "weights are missing"),
        (["demi", "demi", "demi"], "3 networks"),
        ([], "0 networks"),
    ],
)
def test_what_are_not_two_networks(here, given, message):
    with pytest.raises(OptionError, match=message):
        two([here / name for name in given])


def test_one_network(here):
    (only,) = one_or_cascade([here / "onnx"])
    assert only.files == (here / "onnx",)
    assert len(one_or_cascade([here / "demi"] * 3)) == 3
    with pytest.raises(OptionError, match="2 networks given: one is needed"):
        one_or_cascade([here / "demi", here / "demi"])


def test_a_folder_has_one_of_each(here):
    (here / "folder" / "y.caffemodel").touch()
    with pytest.raises(FileError, match=r"has 2 \.caffemodel"):
        one_or_cascade([here / "folder"])


def test_how_networks_run(tmp_path):
    pytest.importorskip("torch")
    assert executing(None, "cpu", 3).seed == 3
    assert executing(2, "cpu", 0).threads == 2
    with pytest.raises(NetError, match="nowhere"):
        executing(None, "nowhere", 0)
    with pytest.raises(FileError, match="none"):
        executing(None, "cpu", 0, [tmp_path / "none.py"])


def test_without_torch_there_is_one_device(monkeypatch):
    monkeypatch.setattr("demitasse.runtime.have_torch", lambda: False)
    with pytest.raises(MissingExtraError, match="--device needs torch"):
        executing(None, "cuda", 0)
