"""The commands that transform networks, from the outside."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.cli import main
from demitasse.net import Dense
from demitasse.transforms.fold import Fold
from filled_networks import conv, data, filled, layer
from networks import blob, field, random, small_classifier

pytest.importorskip("cv2")

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"

NORMALISED = (
    data(1, 3, 24, 24)
    + conv("x", "data", "num_output: 8 kernel_size: 3")
    + layer("BatchNorm", "bn", "x", top="x")
    + layer("Scale", "scale", "x", "scale_param { bias_term: true }", top="x")
    + layer("ReLU", "relu", "x", top="x")
    + layer("InnerProduct", "fc", "x", "inner_product_param { num_output: 40 }")
)

TRAINED = (
    """layer { name: "d" type: "Data" top: "data" top: "label"
  transform_param { crop_size: 24 mean_value: 1 mean_value: 2 mean_value: 3 } data_param { batch_size: 8 } }
"""
    + NORMALISED.split("\n", 1)[1]
    + """layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with networks to work on, and nothing else."""
    small_classifier(tmp_path / DEPLOY, tmp_path / MODEL)
    for name, text in (("bn", NORMALISED), ("train", TRAINED)):
        files.save(filled(text), tmp_path / f"{name}.prototxt", tmp_path / f"{name}.caffemodel")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def printed(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


BN = ["bn.prototxt", "bn.caffemodel"]


@pytest.mark.parametrize(
    ("command", "output"),
    [(["fold"], "out/"), (["half"], "out/"), (["half"], "x.demi"), (["factorize", "--energy", "0.9"], "x.demi")],
    ids=str,
)
def test_what_is_written_can_be_read(here, capsys, command, output):
    assert main([command[0], *BN, "-o", output, *command[1:], "--json"]) == 0
    found = printed(capsys)
    assert found["verified"]
    assert found["comparison"]["compared"]
    written = files.load(*found["output"]["files"])
    assert found["output"]["parameters"] == written.parameters
    assert found["output"]["file_bytes"] == Path(found["output"]["files"][-1]).stat().st_size


def test_fold_removes_two_layers_and_says_so(here, capsys):
    assert main(["fold", *BN, "-o", "out/"]) == 0
    text = capsys.readouterr().out
    assert "2 of 2 layers into their neighbours" in text
    assert "2 gone: bn, scale" in text
    assert [one.name for one in files.load("out/bn.prototxt", "out/bn.caffemodel").layers] == [
        "data",
        "x",
        "relu",
        "fc",
    ]


def test_strip_declares_the_input_and_runs_beside_the_original(here, capsys):
    assert main(["strip", "train.prototxt", "train.caffemodel", "-o", "out/", "--json"]) == 0
    found = printed(capsys)
    assert found["comparison"]["compared"]
    assert found["comparison"]["outputs"][0]["relative"] < 1e-4
    assert {change["layer"] for change in found["layers"]} >= {"d", "loss", "prob"}


def test_the_json_recipe_can_be_run_again(here, capsys):
    assert main(["factorize", *BN, "-o", "a/", "--rank", "fc=8", "--method", "channel", "--json"]) == 0
    recipe = printed(capsys)["recipe"]
    assert recipe == [{"factorize": {"rank": {"fc": 8}, "method": "channel"}}]
    Path("r.yaml").write_text(json.dumps(recipe))
    assert main(["apply", "r.yaml", *BN, "-o", "b/", "-q", "--no-run"]) == 0
    for name in BN:
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_a_recipe_of_several_steps(here, capsys):
    Path("r.yaml").write_text("- strip\n- fold\n- factorize: {layer: fc, energy: 0.95}\n- half\n")
    assert main(["apply", "r.yaml", "train.prototxt", "train.caffemodel", "-o", "x.demi", "--json"]) == 0
    found = printed(capsys)
    assert found["recipe"] == ["strip", "fold", {"factorize": {"layer": "fc", "energy": 0.95}}, "half"]
    assert found["tolerance"] is None
    assert {note["step"] for note in found["report"]} >= {"strip", "fold", "factorize", "half"}


def test_a_dry_run_writes_nothing_and_shows_every_tensor(here, capsys):
    before = names(here)
    assert main(["half", *BN, "-o", "out/", "--dry-run"]) == 0
    assert names(here) == before
    text = capsys.readouterr().out
    for tensor in ("x[0]", "x[1]", "bn[2]", "fc[0]"):
        assert tensor in text
    assert "would write" in text


def test_quiet_is_quiet(here, capsys):
    assert main(["fold", *BN, "-o", "out/", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_same_bytes_on_any_number_of_threads(here, threads):
    assert main(["factorize", *BN, "-o", f"{threads}/", "--energy", "0.9", "-q", "--no-run", "--threads", threads]) == 0
    assert main(["factorize", *BN, "-o", "0/", "--energy", "0.9", "-q", "--no-run"]) == 0
    assert Path(threads, "bn.caffemodel").read_bytes() == Path("0", "bn.caffemodel").read_bytes()


def test_a_wrong_result_is_kept_beside_and_the_status_says_so(here, capsys, monkeypatch):
    def broken(self, net):
        fc = net.layer("fc")
        wrong = fc.with_tensors([Dense(np.array(fc.tensors[0].array()) * 1.001), fc.tensors[1]])
        return net.with_layers(wrong if one is fc else one for one in net.layers)

    monkeypatch.setattr(Fold, "__call__", broken)
    assert main(["fold", *BN, "-o", "out/", "--json"]) == 1
    found = printed(capsys)
    assert "rounding explains" in found["error"]
    assert found["comparison"]["outputs"][0]["relative"] == pytest.approx(1e-3, rel=0.1)
    assert names(here / "out") == ["bn.caffemodel.unverified", "bn.prototxt.unverified"]


def test_a_lost_output_is_no_success(here, capsys, monkeypatch):
    two = NORMALISED + layer("Softmax", "prob", "fc") + layer("TanH", "other", "x")
    files.save(filled(two), "two.prototxt", "two.caffemodel")
    monkeypatch.setattr(Fold, "__call__", lambda self, net: net.with_layers(net.layers[:-1]))
    assert main(["fold", "two.prototxt", "two.caffemodel", "-o", "out/"]) == 1
    assert "no counterpart of other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fold", *BN, "-o", "x.onnx"], "cannot write .onnx"),
        (["fold", "bn.prototxt", "-o", "out/"], "weights are missing"),
        (["fold", *BN, "-o", "."], "is an input"),
        (["half", *BN, "-o", "out/", "--clam"], "--clam"),
        (["strip", *BN, "-o", "out/", "--input", "data"], "no name and shape"),
        (["strip", *BN, "-o", "out/", "--input", "data=0x3"], "no name and shape"),
        (["strip", *BN, "-o", "out/", "--until", "nothing"], 'no layer gives "nothing"'),
        (["factorize", *BN, "-o", "out/"], "give one of --rank"),
        (["factorize", *BN, "-o", "out/", "--rank", "0"], "no rank"),
        (["factorize", *BN, "-o", "out/", "--rank", "3", "--rank", "fc=2"], "names of layers"),
        (["factorize", *BN, "-o", "out/", "--rank", "fc=2", "--rank", "fc=3"], "named twice"),
        (["factorize", *BN, "-o", "out/", "--macs", "2"], "--macs"),
        (["factorize", *BN, "-o", "out/", "--rank", "relu=2"], "cannot be factorized"),
        (["factorize", *BN, "-o", "out/", "--params", "0.001"], "are left"),
        (["apply", "r.yaml", *BN, "-o", "out/"], "r.yaml: step 2 (half): has no option 'clam'"),
        (["apply", "none.yaml", *BN, "-o", "out/"], "none.yaml: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(here, arguments, message, capsys):
    Path("r.yaml").write_text("- fold\n- half: {clam: true}\n")
    before = names(here)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert out.count("\n") == out.count("✓ read")
    assert names(here) == before


def test_the_factorization_sees_the_pictures(here, capsys):
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("torch")
    Path("photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        cv2.imwrite(f"photos/{i}.png", cv2.resize(rng.integers(0, 255, (4, 4, 3), np.uint8), (24, 24)))
    for more in ([], ["--images", "photos"]):
        assert main(["factorize", DEPLOY, MODEL, "-o", f"o{len(more)}/", "--rank", "fc=3", "--json", *more]) == 0
        (said,) = [note["text"] for note in printed(capsys)["report"] if note["layer"] == "fc"]
        assert ("outputs' variance" in said) == bool(more)


def test_shapes_before_and_after(here, capsys):
    assert main(["factorize", *BN, "-o", "out/", "--rank", "fc=8", "--json"]) == 0
    layers = {change["layer"]: change for change in printed(capsys)["layers"]}
    assert layers["fc"]["after"] is None
    assert layers["fc_L"]["after"] == [[8, 8 * 22 * 22]]
    assert layers["fc_U"]["after"] == [[40, 8], [40]]


def test_inputs_are_never_changed(here):
    before = {name: Path(name).read_bytes() for name in (DEPLOY, MODEL, *BN)}
    main(["half", DEPLOY, MODEL, "-o", "out/", "-q", "--no-run"])
    main(["fold", *BN, "-o", "x.demi", "-q", "--no-run"])
    assert before == {name: Path(name).read_bytes() for name in before}


def test_a_network_in_half_precision_is_read_like_any_other(here, capsys):
    assert main(["half", *BN, "-o", "small/", "-q", "--no-run"]) == 0
    net = files.load("small/bn.prototxt", "small/bn.caffemodel")
    assert {one.dtype for each in net.layers for one in each.tensors} == {np.dtype(np.float16)}
    assert main(["half", "small/bn.prototxt", "small/bn.caffemodel", "-o", "again/"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert replace(net, report=()).parameters == net.parameters


def test_gradients_in_the_file_leave(here, capsys):
    """Snapshots may hold them beside the weights, as large as these."""
    weights = random((40, 3 * 24 * 24), 1)
    gradients = field(6, weights.astype("<f4").tobytes())
    blobs = field(7, blob(weights) + gradients) + field(7, blob(random((40,), 2)))
    Path("fc.caffemodel").write_bytes(field(100, field(1, b"fc") + field(2, b"InnerProduct") + blobs))
    Path("fc.prototxt").write_text(data(1, 3, 24, 24) + NORMALISED.splitlines(True)[-1].replace('"x"', '"data"'))
    assert main(["strip", "fc.prototxt", "fc.caffemodel", "-o", "out/", "--json"]) == 0
    found = printed(capsys)
    assert found["output"]["file_bytes"] < 0.51 * found["input"]["file_bytes"]
    assert np.array_equal(files.load("out/fc.prototxt", "out/fc.caffemodel").layers[1].tensors[0].array(), weights)


def test_what_was_clamped_is_no_rounding(here, capsys):
    """The tolerance of rounding does not judge what ``--clamp`` allowed."""
    net = files.load(DEPLOY, MODEL)
    first = next(layer for layer in net.layers if layer.tensors)
    weights = np.array(first.tensors[0].array())
    weights.flat[0] = 1e9
    changed = first.with_tensors([Dense(weights), *first.tensors[1:]])
    files.save(
        net.with_layers(changed if one is first else one for one in net.layers), "big.prototxt", "big.caffemodel"
    )
    assert main(["half", "big.prototxt", "big.caffemodel", "-o", "out/"]) == 2
    capsys.readouterr()
    assert main(["half", "big.prototxt", "big.caffemodel", "-o", "out/", "--clamp", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tolerance"] is None
    assert found["verified"]
    assert any(note.get("altered") for note in found["report"])


def test_an_error_while_a_recipe_runs_names_its_step(here, capsys):
    Path("r.yaml").write_text("- fold\n- factorize: {layer: nowhere, rank: 3}\n")
    assert main(["apply", "r.yaml", DEPLOY, MODEL, "-o", "out/"]) == 2
    assert 'step 2 (factorize): the network has no layer "nowhere"' in capsys.readouterr().err
