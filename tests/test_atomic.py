from pathlib import Path

import pytest

from demitasse.atomic import replacing, replacing_all
from demitasse.errors import FileError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert contents(tmp_path) == {"x": b"new"}


def test_several_appear_together(tmp_path):
    with replacing_all(tmp_path / "a", tmp_path / "b") as (first, second):
        first.write(b"1")
        second.write(b"2")
        assert not (tmp_path / "a").exists()
    assert contents(tmp_path) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_an_interrupted_write(tmp_path, error):
    (tmp_path / "b").write_bytes(b"old")

    def write() -> None:
        with replacing_all(tmp_path / "a", tmp_path / "b") as (first, _):
            first.write(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert contents(tmp_path) == {"b": b"old"}


def test_what_the_system_refuses_names_the_file(tmp_path):
    with (
        pytest.raises(FileError, match="none/b: cannot be written: No such file"),
        replacing_all(tmp_path / "a", tmp_path / "none" / "b"),
    ):
        pass
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(FileError, match="folder: cannot be written: Is a directory"),
        replacing(tmp_path / "folder"),
    ):
        pass
    with pytest.raises(FileError, match="a: cannot be written: No space"), replacing(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path) == {"real": b"new", "link": b"new"}
