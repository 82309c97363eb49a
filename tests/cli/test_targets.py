"""``compress`` to a size, and the plan that it leaves."""

import json
from pathlib import Path

import pytest
import yaml

from demitasse.cli import main
from networks import small_classifier, small_detector

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_detector(tmp_path / DEPLOY, tmp_path / MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def size(name: str) -> int:
    return Path(name).stat().st_size


@pytest.mark.parametrize(("options", "wanted"), [(["--ratio", "5"], None), (["--target-size", "4.5KB"], 4500)])
def test_a_size_is_met_and_never_exceeded(here, options, wanted, capsys):
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", *options, "--no-run", "--json"]) == 0
    wanted = wanted or size(MODEL) // 5
    assert 0.985 * wanted <= size("x.demi") <= wanted
    found = json.loads(capsys.readouterr().out)
    curve = found["plan"]["curve"]
    assert [point["bytes"] for point in curve if point["chosen"]] == [size("x.demi")]
    assert {tensor["name"] for tensor in found["plan"]["tensors"]} >= {"conv1[0]", "loc[1]"}


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_saved_plan_gives_the_same_bytes_again(here, threads):
    given = [DEPLOY, MODEL, "--no-run", "-q"]
    assert main(["compress", *given, "-o", "x.demi", "--ratio", "6", "--save-plan", "p.yaml"]) == 0
    assert main(["apply", "p.yaml", *given, "-o", "y.demi", "--threads", threads]) == 0
    assert Path("y.demi").read_bytes() == Path("x.demi").read_bytes()


def test_a_plan_can_be_edited(here):
    given = [DEPLOY, MODEL, "--no-run", "-q"]
    assert main(["compress", *given, "-o", "x.demi", "--dry-run", "--save-plan", "p.yaml"]) == 0
    assert not Path("x.demi").exists()
    steps = yaml.safe_load(Path("p.yaml").read_text())
    finer = {name: step / 4 for name, step in steps[-1]["quantize"]["steps"].items()}
    Path("p.yaml").write_text(yaml.safe_dump([{"quantize": {"steps": finer}}]))
    assert main(["apply", "p.yaml", *given, "-o", "fine.demi"]) == 0
    assert main(["compress", *given, "-o", "x.demi"]) == 0
    assert size("fine.demi") > size("x.demi")


def test_a_drop_is_held_on_pictures_that_were_held_out(here, capsys):
    pytest.importorskip("cv2")
    small_classifier(here / DEPLOY, here / MODEL)
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--max-drop", "3%", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["held_out"]["share"] <= 0.03
    curve = [(point["bytes"], point["lost"]) for point in plan["curve"]]
    assert min(bytes_ for bytes_, lost in curve if lost <= 0.03) <= size("x.demi") < size(MODEL) / 3
    assert any(lost > 0.03 for _, lost in curve)


def test_what_a_dry_run_shows_is_the_plan(here, capsys):
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--ratio", "5", "--no-run", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("conv1[0]", "conf[0]", "of the error"))
    assert sorted(path.name for path in here.iterdir()) == [DEPLOY, MODEL]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ratio", "5", "--quality", "30"], "--quality and --ratio are targets of their own"),
        (["--ratio", "5", "--target-size", "4KB"], "--ratio and --target-size are targets of their own"),
        (["--ratio", "1"], "--ratio"),
        (["--ratio", "nan"], "--ratio"),
        (["--target-size", "0"], "no size"),
        (["--ratio", "1000"], "cannot be reached"),
        (["--target-size", "600"], "the fewest"),
        (["--lossless", "--ratio", "2"], "no meaning"),
        (["--lossless", "--save-plan", "x.yaml"], "no meaning"),
        (["--max-drop", "0.5%"], "--no-run"),
        (["--max-drop", "5", "--ratio", "2"], "no share"),
        (["--save-plan", "no/x.yaml"], "no/x.yaml"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(here, options, message, capsys):
    before = sorted(path.name for path in here.iterdir())
    assert main(["compress", DEPLOY, MODEL, "-o", "x.demi", "--no-run", *options]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in here.iterdir()) == before
