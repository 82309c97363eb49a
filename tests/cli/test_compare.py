"""``compare`` from the outside."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.cli import main
from demitasse.cli.compare import weights_in_words
from demitasse.evaluate.comparison import Comparison
from demitasse.evaluate.outputs import OutputError
from demitasse.evaluate.weights import WeightError
from demitasse.net import Dense, Layer, Net
from networks import small_classifier, small_detector

pytest.importorskip("cv2")
pytest.importorskip("torch")

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"
PAIR = (DEPLOY, MODEL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small classifier, and others that are made from it."""
    small_classifier(tmp_path / DEPLOY, tmp_path / MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def other(amount: float, layer: str = "fc") -> None:
    """Writes other.caffemodel: with noise in one layer's weights."""

    def change(each: Layer) -> Layer:
        if each.name != layer:
            return each
        weight = each.tensors[0].array()
        noise = np.random.default_rng(0).standard_normal(weight.shape) * weight.std() * amount
        return each.with_tensors([Dense((weight + noise).astype(np.float32)), *each.tensors[1:]])

    net = files.load(*PAIR)
    files.save(net.with_layers(map(change, net.layers)), "other.prototxt", "other.caffemodel")


def found(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_network_is_the_same_as_itself_in_every_form(here, capsys):
    net = files.load(*PAIR)
    files.save(net, "x.demi")
    (here / "small").mkdir()
    files.save(net, "small/x.prototxt", "small/x.caffemodel")
    for second in (PAIR, ("x.demi",), ("small",), (MODEL,)):
        assert main(["compare", *PAIR, *second, "--json"]) == 0
        said = found(capsys)
        assert said["same"]
        assert said["comparison"]["runtime"].startswith("OpenCV")
        assert [check["network"] for check in said["checks"]] == ["first", "second"]
        assert all(output["relative"] == 0 for output in said["comparison"]["outputs"])


def test_the_first_layer_that_differs_is_named(here, capsys):
    other(0.5)
    assert main(["compare", *PAIR, "other.caffemodel"]) == 1
    out, err = capsys.readouterr()
    assert 'they part in layer "fc" (InnerProduct)' in err
    assert "3 before it agree" in err
    assert "beyond a relative error of 0.01: fc" in err
    assert "the same class wins in" in out


def test_json_holds_everything_on_exit_1(here, capsys):
    other(0.5, "conv1")
    assert main(["compare", *PAIR, "other.caffemodel", "--json"]) == 1
    said = found(capsys)
    assert said["status"] == 1
    assert said["divergence"]["layer"] == "conv1"
    assert said["divergence"]["agreed"] == 0
    (prob, fc) = said["comparison"]["outputs"]
    assert (prob["kind"], prob["top1_of"]) == ("classes", 4)
    assert fc["relative"] > 0
    assert fc["cosine"] < 1
    assert fc["psnr_db"] > 0


def test_the_tolerance_decides(here, capsys):
    other(0.05)
    assert main(["compare", *PAIR, "other.caffemodel", "--tolerance", "1e-4", "-q"]) == 1
    assert main(["compare", *PAIR, "other.caffemodel", "--tolerance", "1", "--layers"]) == 0
    out = capsys.readouterr().out
    assert "pool1" in out
    assert "Within a relative error of 1." in out


def test_arrays_and_noise(here, capsys):
    np.savez("one.npz", data=np.ones((3, 3, 24, 24)))
    np.savez("two.npz", data=np.ones((2, 1, 3, 24, 24)))
    for given, words in (
        (["--arrays", "one.npz"], "the arrays of one.npz"),
        (["--arrays", "two.npz"], "2 sets of arrays of two.npz"),
        (["--random", "3", "--seed", "5"], "3 sets of random numbers"),
    ):
        assert main(["compare", *PAIR, *PAIR, *given, "--json"]) == 0
        assert found(capsys)["comparison"]["pictures"] == words


def test_the_seed_changes_the_noise(here, capsys):
    other(0.05)
    errors = []
    for seed in ("1", "1", "2"):
        main(["compare", *PAIR, "other.caffemodel", "--random", "1", "--seed", seed, "--tolerance", "1", "--json"])
        errors.append(found(capsys)["comparison"]["outputs"][1]["relative"])
    assert errors[0] == errors[1] != errors[2]


def test_how_pictures_are_prepared(here, capsys):
    Path("p.yaml").write_text("mean: 5\nscale: 2\norder: rgb\nresize: crop\n")
    given = ["compare", *PAIR, *PAIR, "--json", "--preprocess", "p.yaml"]
    assert main(given) == 0
    assert found(capsys)["comparison"]["preprocessing"] == "(pixel - 5) × 2, red first, crop"
    assert main([*given, "--scale", "3", "--mean", "1,2,3", "--resize", "pad:32"]) == 0
    assert found(capsys)["comparison"]["preprocessing"] == "(pixel - (1, 2, 3)) × 3, red first, pad from 32×32"


def test_preparing_is_remembered_in_a_demi(here, capsys):
    for lossless in ([], ["--lossless"]):
        assert main(["compress", *PAIR, "-o", "x.demi", "--mean", "1,2,3", "--scale", "0.5", "-q", *lossless]) == 0
        assert files.load("x.demi").metadata["preprocessing"] == {"mean": [1, 2, 3], "scale": 0.5}
        for given in (["x.demi", *PAIR], [*PAIR, "x.demi"]):
            assert main(["compare", *given, "--json"]) == 0
            assert found(capsys)["comparison"]["preprocessing"] == "(pixel - (1, 2, 3)) × 0.5"


def test_detectors_are_compared_by_their_boxes(here, capsys):
    small_detector(here / DEPLOY, here / MODEL)
    assert main(["compare", *PAIR, *PAIR, "--json"]) == 0
    said = found(capsys)["comparison"]["outputs"]
    assert said[0]["boxes"]["at_50"] == said[0]["boxes"]["expected"]
    assert main(["compare", *PAIR, *PAIR]) == 0
    assert "boxes" in capsys.readouterr().out


def test_an_onnx_of_it(here, capsys):
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name)
    assert main(["export", *PAIR, "-o", "x.onnx", "-q"]) == 0
    for given in ([*PAIR, "x.onnx"], ["x.onnx", *PAIR], ["x.onnx", "x.onnx"]):
        assert main(["compare", *given, "--tolerance", "1e-4", "--json"]) == 0
        assert "ONNX Runtime" in found(capsys)["comparison"]["runtime"]
    assert main(["inspect", "x.onnx"]) == 2
    assert "x.onnx is an ONNX model" in capsys.readouterr().err


PLUGIN = """
import torch

OPERATIONS = {"HomeMade": lambda call: torch.softmax(call.x, 1)}
"""


def test_a_plugin_runs_what_is_not_known(here, capsys):
    Path(DEPLOY).write_text(Path(DEPLOY).read_text().replace('"Softmax"', '"HomeMade"'))
    Path("plugin.py").write_text(PLUGIN)
    assert main(["compare", *PAIR, *PAIR]) == 2
    assert "HomeMade" in capsys.readouterr().err
    assert main(["compare", *PAIR, *PAIR, "--plugin", "plugin.py"]) == 0
    assert "executor" in capsys.readouterr().out


def test_a_layer_that_only_the_first_has(here, capsys):
    net = files.load(*PAIR)
    extra = Layer("extra", "ReLU", ("fc",), ("extra",))
    files.save(net.with_layers([*net.layers, extra]), "longer.prototxt", "longer.caffemodel")
    assert main(["compare", "longer.prototxt", "longer.caffemodel", *PAIR]) == 1
    assert "extra" in capsys.readouterr().err


def odd(change: str) -> None:
    """Other files, each with something wrong."""
    net = files.load(*PAIR)
    text = Path(DEPLOY).read_text()
    if change == "nan":
        other(float("nan"))
    elif change == "empty":
        Path("other.prototxt").write_text(text.replace("input_dim: 1\n", "input_dim: 0\n", 1))
    elif change == "cycle":
        Path("other.prototxt").write_text(text.replace('bottom: "data" top: "conv1"', 'bottom: "fc" top: "conv1"'))
    elif change == "blobs":
        layers = [replace(each, tensors=each.tensors[:1]) if each.name == "fc" else each for each in net.layers]
        files.save(Net(net.name, tuple(layers), net.message), "other.prototxt", "other.caffemodel")
    elif change == "size":
        np.savez("other.npz", data=np.ones((1, 3, 25, 24)))
    elif change == "name":
        np.savez("other.npz", pictures=np.ones((1, 3, 24, 24)))
    elif change == "data":
        data = 'layer { name: "db" type: "Data" top: "data" data_param { source: "x" batch_size: 4 } }\n'
        lines = [line for line in text.splitlines(keepends=True) if not line.startswith("input")]
        Path("other.prototxt").write_text(lines[0] + data + "".join(lines[1:]))
    elif change == "picture":
        Path("photos").mkdir()
        Path("photos/a.png").write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ("", [*PAIR], "one network given: two are needed"),
        ("", [DEPLOY, DEPLOY, MODEL], "its weights should come next"),
        ("", [MODEL, *PAIR], "the prototxt is missing"),
        ("", [*PAIR, DEPLOY], "its weights are missing"),
        ("", [*PAIR, *PAIR, *PAIR], "3 networks given"),
        ("picture", [*PAIR, "photos"], "photos: a folder is taken for one prototxt and one caffemodel"),
        ("", [*PAIR, *PAIR, "--images", "nowhere"], "nowhere: not a folder of pictures"),
        ("picture", [*PAIR, *PAIR, "--images", "photos"], "photos/a.png: not a picture"),
        ("", [*PAIR, *PAIR, "--images", "."], "no pictures in it"),
        ("", [*PAIR, *PAIR, "--arrays", "nowhere.npz"], "nowhere.npz: No such file"),
        ("", [*PAIR, *PAIR, "--arrays", MODEL], "not an .npz"),
        ("size", [*PAIR, *PAIR, "--arrays", "other.npz"], '"data" is 1×3×25×24 float64; the inputs are data 1×3×24×24'),
        ("name", [*PAIR, *PAIR, "--arrays", "other.npz"], 'an array that is no input, "pictures"'),
        ("", [*PAIR, *PAIR, "--random", "0"], "--random"),
        ("", [*PAIR, *PAIR, "--random", "1", "--images", "."], "are both given"),
        ("", [*PAIR, *PAIR, "--random", "1", "--scale", "2"], "has no meaning"),
        ("", [*PAIR, *PAIR, "--mean", "1,2"], "2 values, and the network's input has 3 channels"),
        ("", [*PAIR, *PAIR, "--resize", "squash"], "--resize"),
        ("", [*PAIR, *PAIR, "--device", "nowhere"], 'no device "nowhere"'),
        ("", [*PAIR, *PAIR, "--plugin", "nowhere.py"], "nowhere.py"),
        (
            "nan",
            [*PAIR, "other.caffemodel"],
            'layer "fc" (InnerProduct), blob 0: 19360 of 19360 weights are not finite',
        ),
        (
            "nan",
            ["other.prototxt", "other.caffemodel", *PAIR],
            'layer "fc" (InnerProduct), blob 0: 19360 of 19360 weights are not finite',
        ),
        ("empty", ["other.prototxt", MODEL, *PAIR], 'input "data" has the shape 0×3×24×24'),
        ("cycle", ["other.prototxt", MODEL, *PAIR], 'layer "conv1" (Convolution): reads "fc", which no layer before'),
        ("blobs", [*PAIR, "other.caffemodel"], 'layer "fc" (InnerProduct) needs 2 blobs'),
        ("data", ["other.prototxt", MODEL, *PAIR], 'layer "db" (Data) brings its own data'),
    ],
)
def test_bad_input_is_one_line(here, change, arguments, message, capsys):
    odd(change)
    assert main(["compare", *arguments]) == 2
    _, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert any(part in err for part in message.split("|")), err


def test_weights_are_put_in_decibels_only_where_layers_are_the_same():
    def error(layer: str, noise: float) -> WeightError:
        return WeightError(layer, 0, (4, 4), 1.0, noise, noise)

    outputs = (OutputError("y", "values", 1.0, 1e-12, 1e-6),)
    two = (error("a", 0.0), error("b", 0.3))
    noisy = weights_in_words(Comparison((error("a", 0.0), error("b", 0.002)), ()))
    assert noisy == "30.0 dB signal to noise, in matrices and kernels"
    assert weights_in_words(Comparison(two[:1], ())) == "the same to the bit, in matrices and kernels"
    assert weights_in_words(Comparison(two, (), outputs)) == "others, which give the same outputs"
    assert weights_in_words(Comparison((), ("a",))) == "no layer has weights of the same shapes in both"
    assert weights_in_words(Comparison(two, ("bn",), outputs)) == (
        "1 of 2 layers of the same shapes are the same to the bit; others in number or shape: bn"
    )
