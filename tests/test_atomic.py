import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demitasse.atomic import new_folder, replacing, replacing_all, temporary
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


KILLED = """
import os, signal, sys
from pathlib import Path
from demitasse.atomic import replacing_all

calls, replace = [], Path.replace
def replaced(self, target):
    calls.append(target)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = replaced
folder = Path(sys.argv[1])
with replacing_all(folder / "a.prototxt", folder / "a.caffemodel") as (text, weights):
    text.write(b"new")
    weights.write(b"new")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_between_renames_never_leaves_old_beside_new(tmp_path: Path, step: int) -> None:
    names = ("a.prototxt", "a.caffemodel")
    for name in names:
        (tmp_path / name).write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(step)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = {name: data for name, data in contents(tmp_path).items() if name in names}
    assert len(set(left.values())) == 1
    assert left.get("a.prototxt") is None or len(left) == 2
    # Nothing is lost: what did not get its name is there, whole, until the same files are written again.
    assert {"a.caffemodel": b"new"}.items() <= left.items() or b"new" in contents(tmp_path).values()
    with replacing_all(*(tmp_path / name for name in names)) as files:
        for file in files:
            file.write(b"newer")
    assert contents(tmp_path) == dict.fromkeys(names, b"newer")


def test_what_others_may_still_write_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "a"
    running = temporary(target)
    elsewhere = target.with_name(f".a.00000000-{2**22 + 1}-0123abcd.tmp")
    foreign = target.with_name(".a.tmp")
    for path in (running, elsewhere, foreign):
        path.write_bytes(b"")
    with replacing(target) as file:
        file.write(b"x")
    assert {path.name for path in tmp_path.iterdir()} == {"a", running.name, elsewhere.name, foreign.name}


def test_a_refused_rename_leaves_the_old_pair(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"old")

    def write() -> None:
        with replacing_all(tmp_path / "text", tmp_path / "weights") as files:
            for file in files:
                file.write(b"new")
            (tmp_path / "weights").mkdir()

    with pytest.raises(FileError, match="weights: cannot be written: Is a directory"):
        write()
    assert (tmp_path / "text").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text", "weights"]


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "b") as folder:
        (folder / "x").write_bytes(b"new")
        assert not (tmp_path / "a" / "b").exists()
    assert contents(tmp_path / "a" / "b") == {"x": b"new"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_an_interrupted_folder(tmp_path: Path, error: type[BaseException]) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "a" / "b") as folder:
            (folder / "x").write_bytes(b"new")
            raise error

    with pytest.raises(error):
        fill()
    assert not list(tmp_path.iterdir())
