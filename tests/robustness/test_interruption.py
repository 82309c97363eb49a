"""Ended at any moment, by force or not, ``compress`` leaves the old output or the new one, whole."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from demitasse.cli import main
from networks import small_classifier

GIVEN = ("deploy.prototxt", "face.caffemodel")
TEMPORARY = re.compile(r"(\.x\.demi\.unverified\.[0-9a-f]{8}-\d+-[0-9a-f]{8}\.tmp|x\.demi\.unverified)")
"""What may be left after ``kill -9``: nothing that ends like an output."""

MODES = {"lossless": ("--lossless",), "lossy": ("--quality", "20", "--no-run")}
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["demitasse.cli.app", "demitasse.cli.compress"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_classifier(tmp_path / GIVEN[0], tmp_path / GIVEN[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compress(mode: str, output: str = "x.demi") -> list[str]:
    return ["compress", *GIVEN, "-o", output, "-q", *MODES[mode]]


def started(folder: Path, mode: str) -> multiprocessing.process.BaseProcess:
    """The command in a process of its own, past the imports."""
    process = SERVER.Process(target=main, args=([*compress(mode, str(folder / "x.demi"))],))
    process.start()
    return process


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in GIVEN}


def moments(folder: Path, mode: str, count: int) -> list[float]:
    """Seconds after the start: at once, anywhere in the run, and (negative) soon after a first file has appeared."""
    rng = random.Random(mode)
    took = []
    for _ in range(2):  # the first one starts the server, too
        start = time.monotonic()
        process = started(folder, mode)
        process.join()
        took.append(time.monotonic() - start)
    later = [rng.uniform(0, took[-1]) if i % 2 else -rng.uniform(1e-9, took[-1] / 10) for i in range(count)]
    return [0.0, *later]


def wait(process: multiprocessing.process.BaseProcess, folder: Path, moment: float) -> None:
    before = set(folder.iterdir())
    deadline = time.monotonic() + 60
    while moment < 0 and process.is_alive() and set(folder.iterdir()) == before and time.monotonic() < deadline:
        time.sleep(0.0002)
    time.sleep(abs(moment))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("old", [None, b"an old output"], ids=["new", "over an old one"])
def test_killed_at_any_moment(here: Path, mode: str, old: bytes | None) -> None:
    assert main(compress(mode)) == 0
    new = (here / "x.demi").read_bytes()
    ends = set()
    for moment in moments(here, mode, 10):
        (here / "x.demi").unlink(missing_ok=True)
        if old is not None:
            (here / "x.demi").write_bytes(old)
        process = started(here, mode)
        wait(process, here, moment)
        process.kill()
        process.join()
        found = contents(here)
        ends.add(found.pop("x.demi", None))
        assert all(TEMPORARY.fullmatch(name) for name in found), list(found)
    assert ends <= {old, new}
    assert old in ends, "never too early"
    left = contents(here)
    assert main(compress(mode)) == 0, "what was left is in nobody's way"
    assert (here / "x.demi").read_bytes() == new
    assert set(contents(here)) <= set(left) | {"x.demi"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_at_any_moment(here: Path, mode: str, number: signal.Signals) -> None:
    assert main(compress(mode)) == 0
    new = (here / "x.demi").read_bytes()
    for moment in moments(here, mode, 6):
        (here / "x.demi").unlink(missing_ok=True)
        process = started(here, mode)
        wait(process, here, moment)
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode is not None
        assert contents(here) in ({}, {"x.demi": new})
