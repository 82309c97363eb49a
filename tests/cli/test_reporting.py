"""``--report DIR``, from the outside: as files, and as a page in a real browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demitasse.cli import main
from networks import small_classifier, small_detector

pytest.importorskip("cv2")
pytest.importorskip("vl_convert")
pytest.importorskip("jinja2")

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of a classifier and of a detector."""
    folder = tmp_path_factory.mktemp("reports")
    for name, make in (("classifier", small_classifier), ("detector", small_detector)):
        files = [str(folder / f"{name}{end}") for end in (".prototxt", ".caffemodel")]
        make(*map(Path, files))
        out = ["-o", str(folder / name / "small"), "--report", str(folder / name / "report")]
        assert main(["prune", *files, "--keep", "0.5", *out, "-q"]) == 0
    return folder


def read(reports: Path, name: str) -> dict[str, Any]:
    return json.loads((reports / name / "report" / "report.json").read_text())


@pytest.mark.parametrize("name", ["classifier", "detector"])
def test_a_report_holds_both_networks_layer_by_layer(reports: Path, name: str) -> None:
    found = read(reports, name)
    before = found["result"]["input"]["parameters"], found["result"]["output"]["parameters"]
    sums = [sum(row[side]["parameters"] for row in found["layers"] if row[side]) for side in ("before", "after")]
    assert tuple(sums) == before
    assert sums[1] < sums[0]


def test_samples_are_classes_or_boxes(reports: Path) -> None:
    for name, key in (("classifier", "classes"), ("detector", "boxes")):
        samples = read(reports, name)["samples"]
        assert len(samples) == 4
        assert all(key in sample[side] for sample in samples for side in ("before", "after"))


def test_the_recipe_beside_it_does_the_same_again(reports: Path, tmp_path: Path) -> None:
    files = [str(reports / f"classifier{end}") for end in (".prototxt", ".caffemodel")]
    recipe = str(reports / "classifier" / "report" / "recipe.yaml")
    assert main(["apply", recipe, *files, "-o", str(tmp_path), "-q"]) == 0
    small = reports / "classifier" / "small" / "classifier.caffemodel"
    assert (tmp_path / "classifier.caffemodel").read_bytes() == small.read_bytes()


def test_a_stored_network_has_a_curve_around_what_was_chosen(reports: Path, tmp_path: Path) -> None:
    files = [str(reports / f"detector{end}") for end in (".prototxt", ".caffemodel")]
    out = ["-o", str(tmp_path / "x.demi"), "--report", str(tmp_path), "-q"]
    assert main(["compress", *files, "--quality", "30", *out]) == 0
    curve = json.loads((tmp_path / "report.json").read_text())["result"]["plan"]["curve"]
    chosen = [point for point in curve if point["chosen"]]
    assert [point["bytes"] for point in chosen] == [(tmp_path / "x.demi").stat().st_size]
    predicted = [point["bytes"] for point in curve if point["predicted"]]
    assert len(predicted) == 8
    assert predicted == sorted(predicted)
    assert "predicted" in (tmp_path / "report.html").read_text()


def test_what_is_no_folder_is_refused_before_the_work(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(reports / f"classifier{end}") for end in (".prototxt", ".caffemodel")]
    out = reports / "never"
    assert main(["fold", *files, "-o", str(out), "--report", files[0]]) == 2
    assert "not a folder" in capsys.readouterr().err
    assert not out.exists()


def test_names_out_of_a_network_are_text_on_the_page(tmp_path: Path) -> None:
    files = [tmp_path / "a.prototxt", tmp_path / "a.caffemodel"]
    small_classifier(*files)
    files[0].write_text(files[0].read_text().replace('"small"', '"<script>alert(1)</script>"'))
    assert main(["fold", *map(str, files), "-o", str(tmp_path / "b"), "--report", str(tmp_path), "-q"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, reports: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page of the detector, offline, in a colour scheme."""
    context = browser.new_context(color_scheme=getattr(request, "param", "light"), offline=True)
    page = context.new_page()
    page.failures = []
    page.on("requestfailed", lambda sent: page.failures.append(sent.url))
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.goto((reports / "detector" / "report" / "report.html").as_uri())
    yield page
    context.close()


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_the_page_is_accessible_in_both_colour_schemes(opened: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(opened)
    assert not found.response["violations"], found.generate_report()


def test_the_page_loads_nothing_from_elsewhere(opened: Any) -> None:
    assert opened.failures == []
    sources = opened.eval_on_selector_all("[src], link[href]", "all => all.map(one => one.src || one.href)")
    assert sources
    assert all(source.startswith("data:") for source in sources)
    loaded = opened.eval_on_selector_all("img", "all => all.every(one => one.complete && one.naturalWidth > 0)")
    assert loaded


def test_the_keyboard_reaches_everything(opened: Any) -> None:
    seen = []
    for _ in range(40):
        opened.keyboard.press("Tab")
        seen.append(opened.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.ariaLabel || '')"))
        if seen[-1].startswith("SUMMARY"):
            break
    assert seen[0].startswith("A")  # the way past the navigation
    assert "DIV Chart of the layers" in seen
    assert not opened.is_visible("details table")
    opened.keyboard.press("Enter")
    assert opened.is_visible("details table")


def test_colours_follow_the_scheme(browser: Any, reports: Path) -> None:
    fills = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto((reports / "detector" / "report" / "report.html").as_uri())
        fills.append(page.eval_on_selector('path[fill="var(--after)"]', "one => getComputedStyle(one).fill"))
        context.close()
    assert fills[0] != fills[1]


def test_a_narrow_screen_scrolls_within_its_regions_only(opened: Any) -> None:
    opened.set_viewport_size({"width": 360, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
