"""What the system refuses, and what nobody can have meant: one line, nothing written, nothing left."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demitasse import files
from demitasse.cli import main
from demitasse.errors import FileError
from networks import small_classifier

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"
COMPRESS = ("compress", DEPLOY, MODEL, "--lossless", "-q", "-o")
EXPAND = ("expand", "in.demi", "--no-run", "-q", "-o")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user may enter, with a small network as plain files and as a .demi."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        small_classifier(folder / DEPLOY, folder / MODEL)
        files.save(files.load(folder / DEPLOY, folder / MODEL), folder / "in.demi")
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            yield folder


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path under a folder; files with what is in them."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }


def refused(arguments: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a command that must fail and leave everything as it was."""
    before = contents(folder)
    capsys.readouterr()
    assert main(list(arguments)) == 2
    out, message = capsys.readouterr()
    assert contents(folder) == before
    assert message.startswith("error: ")
    assert (message.count("\n"), out) == (1, "")
    return message


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("arguments", [(*COMPRESS, "locked/x.demi"), (*EXPAND, "locked"), (*EXPAND, "locked/new/")])
def test_a_folder_that_may_not_be_written(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    (here / "locked").mkdir(mode=0o555)
    with as_nobody():
        assert "ermission denied" in refused(arguments, here, capsys)


@contextmanager
def largest_file(nbytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("nbytes", [0, 1, 40, 1000, 30000])
@pytest.mark.parametrize("arguments", [(*COMPRESS, "x.demi"), (*EXPAND, "out/")], ids=["compress", "expand"])
def test_a_limit_to_the_size_of_files(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], nbytes: int
) -> None:
    with largest_file(nbytes):
        assert "File too large" in refused(arguments, here, capsys)


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    """A file system with room for 16 KB."""
    disk = here / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=777", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a file system can only be mounted by root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("arguments", [(*COMPRESS, "disk/x.demi"), (*EXPAND, "disk/")], ids=["compress", "expand"])
def test_a_full_disk(
    here: Path, small_disk: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    (small_disk / "x.demi").write_bytes(b"old")
    assert "No space left" in refused(arguments, here, capsys)


@pytest.mark.parametrize("output", ["folder.demi", "folder.demi/", ".", "out.demi/x", "file/x.demi", DEPLOY, MODEL])
def test_an_output_that_is_no_file(here: Path, capsys: pytest.CaptureFixture[str], output: str) -> None:
    (here / "folder.demi").mkdir()
    (here / "file").touch()
    refused((*COMPRESS, output), here, capsys)


@pytest.mark.parametrize("make", [os.mkfifo, lambda name: Path(name).symlink_to("/dev/null")], ids=["pipe", "device"])
def test_pipes_and_devices_are_not_replaced(
    here: Path, capsys: pytest.CaptureFixture[str], make: Callable[[str], None]
) -> None:
    make("x.demi")
    assert "a pipe or a device" in refused((*COMPRESS, "x.demi"), here, capsys)
    if make is os.mkfifo:  # not as long as a failure would cost the machine its device
        with pytest.raises(FileError, match="a pipe or a device"):
            files.save(files.load(DEPLOY, MODEL), "x.demi")


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard link", "symbolic link"])
@pytest.mark.parametrize("given", [DEPLOY, MODEL])
def test_an_input_by_another_name(
    here: Path, capsys: pytest.CaptureFixture[str], link: Callable[[str, str], None], given: str
) -> None:
    link(given, "x.demi")
    assert "input" in refused((*COMPRESS, "x.demi"), here, capsys)
    assert "input" in refused((*COMPRESS, f"../{here.name}/x.demi"), here, capsys)


@pytest.mark.parametrize("name", ["in.prototxt", "in.caffemodel"])
def test_the_input_of_expand_by_another_name(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (here / "out").mkdir()
    os.link("in.demi", f"out/{name}")
    assert "input" in refused((*EXPAND, "out/"), here, capsys)


def test_a_demi_over_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "input" in refused(("compress", "in.demi", "-q", "-o", "in.demi"), here, capsys)


def test_a_folder_in_the_way_of_a_temporary_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "x.demi.unverified").mkdir()
    refused((*COMPRESS, "x.demi"), here, capsys)
