import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import demitasse as dm
from demitasse.cli import main
from demitasse.net import Dense
from networks import small_classifier

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small network in which a filter of conv1 is zero, and an input of fc."""
    small_classifier(tmp_path / DEPLOY, tmp_path / MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(capsys):
    return json.loads(capsys.readouterr().out)


def test_shrinking_writes_a_smaller_model_that_gives_the_same(here, capsys):
    assert main(["shrink", DEPLOY, MODEL, "-o", "small/", "--json"]) == 0
    found = printed(capsys)
    assert found["verified"]
    assert found["recipe"] == ["shrink"]
    assert found["comparison"]["outputs"]
    changes = {note["layer"]: note for note in found["report"] if "shapes_after" in note}
    assert changes["conv1"]["shapes_before"] == [[16, 3, 3, 3], [16]]
    assert changes["conv1"]["shapes_after"] == [[14, 3, 3, 3], [14]]
    assert changes["fc"]["shapes_after"] == [[10, 14 * 121], [10]]
    assert (here / "small" / "face.caffemodel").stat().st_size < (here / MODEL).stat().st_size
    before, after = (here / DEPLOY).read_text(), (here / "small" / "face.prototxt").read_text()
    assert after == before.replace("num_output: 16", "num_output: 14")


def test_shrinking_twice_changes_nothing(here, capsys):
    main(["shrink", DEPLOY, MODEL, "-o", "small/", "-q"])
    assert main(["shrink", "small/face.prototxt", "small/face.caffemodel", "-o", "again/"]) == 0
    assert "nothing can leave" in capsys.readouterr().out
    for name in ("face.prototxt", "face.caffemodel"):
        assert (here / "again" / name).read_bytes() == (here / "small" / name).read_bytes()


def test_why_a_channel_stays_is_said(here, capsys):
    net = dm.load(DEPLOY, MODEL)
    fc = net.layer("fc")
    weights = np.array(fc.tensors[0].array())
    weights[3] = 0
    layers = [one.with_tensors([dm.Dense(weights), fc.tensors[1]]) if one is fc else one for one in net.layers]
    dm.save(net.with_layers(layers), "dead.prototxt", "dead.caffemodel")
    assert main(["shrink", "dead.prototxt", "dead.caffemodel", "-o", "small/"]) == 0
    assert "fc: 1 outputs whose weights are all zero stay: outputs of the network keep their form" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "channels"),
    [
        (["--keep", "0.5"], 8),
        (["--keep", "conv1=0.25"], 4),
        (["--keep", "0.3", "--round-to", "8"], 8),
        (["--params", "0.5", "--criterion", "l1"], 7),
        (["--macs", "0.4", "--ranking", "layer", "--no-repair"], 6),
    ],
)
def test_pruning_to_a_target(here, capsys, arguments, channels):
    assert main(["prune", DEPLOY, MODEL, "-o", "small/", "--json", *arguments]) == 0
    found = printed(capsys)
    assert found["tolerance"] is None
    (note,) = (note for note in found["report"] if note["layer"] == "conv1")
    assert (note["before"], note["after"]) == (16, channels)
    assert dm.load("small/face.prototxt", "small/face.caffemodel").layer("fc").tensors[0].shape == (10, channels * 121)


def test_pruning_on_photographs(here, capsys):
    cv2 = pytest.importorskip("cv2")
    (here / "photos").mkdir()
    for i in range(3):
        picture = np.random.default_rng(i).integers(0, 255, (24, 24, 3), np.uint8)
        cv2.imwrite(str(here / "photos" / f"{i}.png"), picture)
    arguments = ["prune", DEPLOY, MODEL, "-o", "small/", "--images", "photos"]
    assert main([*arguments, "--keep", "0.5", "--criterion", "taylor"]) == 0
    assert "by taylor; re-solved on pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--layer", "prob", "--keep", "0.5"],
            "prob (Softmax) has no weights. Did you mean fc (InnerProduct), an output",
        ),
        (["--keep", "fc=0.5"], "fc (InnerProduct) is an output of the network: name it with --allow-outputs"),
        (["--keep", "0.5", "--macs", "0.5"], "give one of"),
        (["--keep", "half"], "no share"),
        (["--macs", "nan"], "not a finite number"),
        ([], "give one of --keep, --macs and --params"),
        (["--keep", "0.5", "--keep", "conv1=0.5"], "needs the names of layers"),
        (["--keep", "0.5", "--criterion", "taylor"], "give --images"),
    ],
)
def test_what_pruning_refuses(here, capsys, arguments, message):
    assert main(["prune", DEPLOY, MODEL, "-o", "small/", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "small").exists()


def test_sensitivity_as_a_table_csv_and_json(here, capsys):
    assert main(["sensitivity", DEPLOY, MODEL, "--keep", "0.5", "--keep", "0.25"]) == 0
    assert "conv1" in capsys.readouterr().out
    assert main(["sensitivity", DEPLOY, MODEL, "--keep", "0.5", "--keep", "0.25", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["layers"], row["keep"], row["left"]) for row in rows] == [
        ("conv1", "0.5", "8"),
        ("conv1", "0.25", "4"),
    ]
    assert 0 < float(rows[0]["error"]) < float(rows[1]["error"])
    assert main(["sensitivity", DEPLOY, MODEL, "--json"]) == 0
    (layer,) = printed(capsys)["layers"]
    assert layer["layers"] == ["conv1"]
    assert [point["keep"] for point in layer["points"]] == [0.75, 0.5, 0.25]
    assert main(["sensitivity", DEPLOY, MODEL, "--json", "--csv"]) == 2


def test_weights_that_are_not_numbers_have_no_sensitivity(here, capsys):
    net = dm.load(DEPLOY, MODEL)
    broken = [layer.with_tensors(Dense(t.array() * np.float32("nan")) for t in layer.tensors) for layer in net.layers]
    dm.save(net.with_layers(broken), "nan.prototxt", "nan.caffemodel")
    assert main(["sensitivity", "nan.prototxt", "nan.caffemodel"]) == 2
    assert "not finite numbers" in capsys.readouterr().err
