"""What the documentation shows is run: Python blocks, and lines of console blocks that start with ``$ demitasse``.

Commands run in a folder with two small networks and some annotated photos, for their exit status: the figures beside
them are of other models. A YAML block is what ``recipe.yaml`` holds from there on. A line ``[exit status 1]`` after a
command's output says that it is meant to fail.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from demitasse.cli import main
from demitasse.evaluate.pictures import generated
from networks import small_detector, small_faster_rcnn

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *kinds: str) -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def commands(text: str) -> list[tuple[list[str], int]]:
    """Every ``$ demitasse …`` of a block with the exit status that it should have."""
    found: list[tuple[list[str], int]] = []
    for line in text.splitlines():
        if line.startswith("$ demitasse"):
            found.append((shlex.split(line, comments=True)[2:], 0))
        elif (status := re.fullmatch(r"\[exit status (\d+)\]", line.strip())) and found:
            found[-1] = (found[-1][0], int(status[1]))
    return found


def annotated_photos(folder: Path) -> None:
    """Three pictures in ``photos``, and boxes in them in WIDER FACE's form."""
    cv2 = pytest.importorskip("cv2")
    (folder / "photos").mkdir()
    for name, picture in generated(3, 60, 80):
        cv2.imwrite(str(folder / "photos" / f"{name[-1]}.png"), picture)
    (folder / "faces.txt").write_text("1.png\n1\n10 10 30 30\n2.png\n2\n5 5 20 20\n40 20 30 30\n3.png\n0\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    examples = blocks(page, "console", "python", "yaml")
    if not examples:
        pytest.skip("no examples")
    small_detector(tmp_path / "deploy.prototxt", tmp_path / "face.caffemodel")
    small_faster_rcnn(tmp_path / "rcnn.prototxt", tmp_path / "rcnn.caffemodel")
    annotated_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, text in examples:
        if kind == "yaml":
            Path("recipe.yaml").write_text(text)
        if kind == "python":
            exec(compile(text, str(page), "exec"), names)
        for arguments, status in commands(text):
            assert main(arguments) == status, f"demitasse {shlex.join(arguments)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_programs_of_the_project_exist(page: Path) -> None:
    for name in re.findall(r"`((?:scripts|examples|cpp|src)/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{page.name} speaks of {name}"
