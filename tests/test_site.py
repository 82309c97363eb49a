"""The documentation as a site: no warning while it is built, nothing fetched from elsewhere, every page reached."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("furo")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Any warning (a page that no table of contents lists, a link to nowhere) fails."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(ROOT / "docs"), str(folder)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").exists(), page


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"', page.read_text("utf-8"))
        fetched += re.findall(r'<link[^>]*rel="(?:stylesheet|icon)"[^>]*href="([^"]+)"', page.read_text("utf-8"))
        assert not [source for source in fetched if "://" in source], page


def test_every_command_and_every_public_name_is_in_the_reference(site: Path) -> None:
    import demitasse
    from demitasse.cli.app import app

    commands = (site / "reference" / "commands.html").read_text("utf-8")
    for name in app.list_commands(None):  # type: ignore[arg-type]
        assert f"demitasse {name}" in re.sub(r"<[^>]+>", "", commands), name
    names = (site / "reference" / "python.html").read_text("utf-8")
    for name in demitasse.__all__:
        assert re.search(rf'id="demitasse\.(\w+\.)*{name}"', names), name
