"""``evaluate`` from the outside. Pictures are labelled with what the network itself answers, and some then wrongly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import demitasse as dm
from demitasse import files
from demitasse.cli import main
from demitasse.net import Dense
from networks import small_classifier, small_detector

cv2 = pytest.importorskip("cv2")
pytest.importorskip("torch")

DEPLOY, MODEL = "deploy.prototxt", "face.caffemodel"
PAIR = (DEPLOY, MODEL)
NUMBER, WRONG = 12, 3


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A classifier and pictures: in a folder, in folders by class, and listed; labels are right but for three."""
    monkeypatch.chdir(tmp_path)
    small_classifier(tmp_path / DEPLOY, tmp_path / MODEL)
    net = dm.to_opencv(dm.load(*PAIR))
    random = np.random.default_rng(0)
    Path("pictures").mkdir()
    lines = []
    for i in range(NUMBER):
        picture = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        cv2.imwrite(f"pictures/{i}.png", picture)
        net.setInput(cv2.dnn.blobFromImage(picture, 1.0, (24, 24), (104.0, 117.0, 123.0)))
        answer = int(net.forward().argmax())
        label = answer if i >= WRONG else (answer + 1) % 10
        lines.append(f"{i}.png {label}")
    Path("list.txt").write_text("\n".join(lines))
    return tmp_path


def found(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def top1(said: dict) -> float:
    (first, *_) = said["figures"]
    assert first["name"] == "top-1"
    return first["first"]["value"]


LISTED = ("--data", "list.txt", "--root", "pictures", "--json", "--bootstrap", "50")


@pytest.mark.parametrize("runtime", ["executor", "opencv"])
@pytest.mark.parametrize("batch", ["1", "5"])
def test_a_list_by_either_program(here, capsys, runtime, batch):
    assert main(["evaluate", *PAIR, *LISTED, "--runtime", runtime, "--batch", batch]) == 0
    said = found(capsys)
    assert top1(said) == pytest.approx(1 - WRONG / NUMBER)
    assert said["first"]["runtime"].startswith("OpenCV" if runtime == "opencv" else "demitasse")
    assert (said["pictures"], said["classes"]) == (NUMBER, 10)


def test_other_forms_of_the_same_pictures(here, capsys):
    pytest.importorskip("lmdb")
    from demitasse.datasets.database import write_database
    from demitasse.datasets.labelled import labelled

    write_database(Path("db"), labelled(Path("list.txt"), root="pictures/"))
    labels = dict(line.split() for line in Path("list.txt").read_text().splitlines())
    for name, label in labels.items():
        (here / "folders" / label).mkdir(parents=True, exist_ok=True)
        (here / "folders" / label / name).write_bytes((here / "pictures" / name).read_bytes())
    for i in range(10):
        (here / "folders" / str(i)).mkdir(exist_ok=True)
    for data in ("db", "folders"):
        assert main(["evaluate", *PAIR, "--data", data, "--json"]) == 0
        assert top1(found(capsys)) == pytest.approx(1 - WRONG / NUMBER)


def test_a_second_network_on_the_same_pictures(here, capsys):
    net = files.load(*PAIR)
    last = net.layer("fc")
    zero = replace(last, tensors=(Dense(last.tensors[0].array() * 0), last.tensors[1]))
    (here / "bad").mkdir()
    changed = net.with_layers(zero if layer.name == "fc" else layer for layer in net.layers)
    files.save(changed, "bad/x.prototxt", "bad/x.caffemodel")
    for against in (["--against", "bad"], ["--against", DEPLOY, "--against", "bad/x.caffemodel"]):
        assert main(["evaluate", *PAIR, *LISTED, *against]) == 0
        said = found(capsys)
        figure = said["figures"][0]
        assert figure["second"]["value"] < figure["first"]["value"]
        assert figure["difference"]["value"] == figure["second"]["value"] - figure["first"]["value"]
        assert said["same_answers"] < NUMBER
    assert main(["evaluate", *PAIR, "--data", "list.txt", "--root", "pictures", "--against", "bad"]) == 0
    assert "the second is worse" in capsys.readouterr().out
    assert main(["evaluate", *PAIR, "--data", "list.txt", "--root", "pictures", "--against", MODEL]) == 2
    assert "prototxt is missing" in capsys.readouterr().err


def test_a_limit_and_an_output(here, capsys):
    assert main(["evaluate", *PAIR, *LISTED, "--limit", "3", "--output", "prob"]) == 0
    said = found(capsys)
    assert (said["pictures"], said["output"], top1(said)) == (3, ["prob"], 0)


@pytest.fixture
def faces(here: Path) -> Path:
    """A detector instead; what it is surest of is annotated, in two of three pictures."""
    small_detector(here / DEPLOY, here / MODEL)
    net = dm.to_opencv(dm.load(*PAIR))
    rows = []
    for i in range(3):
        picture = cv2.imread(f"pictures/{i}.png")
        net.setInput(cv2.dnn.blobFromImage(picture, 0.01, (48, 48), (104.0, 117.0, 123.0)))
        boxes = net.forward().reshape(-1, 7)
        corners = np.clip(boxes[boxes[:, 2].argmax(), None, 3:] * 24, 0, 24)
        lines = [f"{a} {b} {c - a} {d - b}" for a, b, c, d in corners]
        rows += [f"{i}.png", *(["0"] if i == 2 else [str(len(lines)), *lines])]
    Path("truth.txt").write_text("\n".join(rows))
    return here


FACES = ("--data", "truth.txt", "--root", "pictures", "--scale", "0.01", "--bootstrap", "50")


@pytest.mark.parametrize("metric", ["voc", "voc07", "coco"])
def test_a_detector_is_measured_by_its_boxes(faces, capsys, metric):
    if metric == "coco":
        pytest.importorskip("pycocotools")
    values = []
    for runtime in ("executor", "opencv"):
        arguments = ["--metric", metric, "--score", "0.1", "--runtime", runtime]
        assert main(["evaluate", *PAIR, *FACES, *arguments, "--json"]) == 0
        said = found(capsys)
        figures = {figure["name"]: figure["first"]["value"] for figure in said["figures"]}
        assert figures["recall at 0.1"] == 1
        assert 0 < figures["precision at 0.1"] < 1
        values.append(figures)
    assert values[0] == pytest.approx(values[1])


@pytest.fixture
def onnx(here: Path) -> None:
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name)


def test_an_onnx_that_classifies(here, onnx, capsys):
    assert main(["export", *PAIR, "-o", "x.onnx", "-q"]) == 0
    assert main(["evaluate", "x.onnx", *LISTED, "--against", "x.onnx"]) == 0
    said = found(capsys)
    assert top1(said) == pytest.approx(1 - WRONG / NUMBER)
    assert said["second"]["runtime"].startswith("ONNX Runtime")
    assert main(["evaluate", "x.onnx", *LISTED, "--runtime", "opencv"]) == 2


def test_an_onnx_that_detects(faces, onnx, capsys):
    assert main(["export", *PAIR, "-o", "x.onnx", "-q", "--scale", "0.01"]) == 0
    assert main(["evaluate", *PAIR, *FACES, "--against", "x.onnx", "--json"]) == 0
    said = found(capsys)
    assert said["figures"][0]["first"]["value"] > 0
    assert said["figures"][0]["difference"]["value"] == pytest.approx(0)


def test_a_detector_and_a_classifier_are_not_compared(faces, capsys):
    (faces / "other").mkdir()
    small_classifier(faces / "other" / "x.prototxt", faces / "other" / "x.caffemodel")
    assert main(["evaluate", *PAIR, *FACES, "--against", "other"]) == 2
    assert "one network detects and the other classifies" in capsys.readouterr().err


def test_a_table_for_people(faces, capsys):
    assert main(["evaluate", *PAIR, *FACES, "--against", DEPLOY, "--against", MODEL]) == 0
    out = capsys.readouterr().out
    assert "recall at 0.5" in out
    assert "AP at 0.5: no difference on any of these pictures." in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere: there is no such file"),
        (["--data", "list.txt"], "0.png: No such file"),
        (["--data", "broken.txt", "--root", "pictures"], "broken.png: not a picture"),
        (["--data", "empty"], "holds no database"),
        (["--data", "high.txt", "--root", "pictures"], "a picture is labelled 77, and fc tells 10 classes apart"),
        (["--data", "pictures.txt"], "line 1"),
        (["--data", "list.txt", "--root", "pictures", "--output", "conv9"], "no such layer"),
        (["--data", "list.txt", "--root", "pictures", "--output", "conv1"], "gives 12×16×22×22"),
        (["--data", "list.txt", "--root", "pictures", "--metric", "voc"], "--metric has no meaning for a classifier"),
        (["--data", "list.txt", "--root", "pictures", "--runtime", "onnx"], "does not run a Caffe network"),
        (["--data", "list.txt", "--root", "pictures", "--batch", "0"], "--batch"),
        (["--data", "list.txt", "--runtime", "opencv", "--plugin", "p.py"], "p.py|--plugin is for our executor"),
        (["--data", "list.txt", "--root", "pictures", "--mean", "1,2"], "2 values"),
        (["--data", "list.txt", "--root", "pictures", "--resize", "stretch:5"], "reads 24×24"),
        (["--data", "list.txt", "--root", "pictures", "--preprocess", "list.txt"], "list.txt"),
    ],
)
def test_bad_input_is_one_line(here, capsys, arguments, message):
    Path("pictures/broken.png").write_bytes(b"no picture")
    Path("broken.txt").write_text("broken.png 1")
    Path("high.txt").write_text("4.png 77")
    Path("pictures.txt").write_text("4.png\n")
    Path("empty").mkdir()
    assert main(["evaluate", *PAIR, *arguments]) == 2
    _, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert any(part in err for part in message.split("|")), err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "truth.txt"], "0.png: No such file"),
        (["--data", "truth.txt", "--root", "pictures", "--output", "x"], "--output has no meaning for a detector"),
        (["--data", "truth.txt", "--root", "pictures", "--metric", "coco", "--iou", "0.5"], "--iou has no meaning"),
        (["--data", "list.txt", "--root", "pictures"], "line 2"),
        (["--data", "truth.txt", "--root", "pictures", "--classes", "none.txt"], "none.txt: No such file"),
        (["--data", "truth.txt", "--root", "pictures", "--classes", "other.txt"], "'face', which is none"),
        (["--data", "nothing.txt", "--root", "pictures"], "no box to be found"),
    ],
)
def test_bad_annotations_are_one_line(faces, capsys, arguments, message):
    Path("other.txt").write_text("cat\ndog\n")
    Path("nothing.txt").write_text("0.png\n0\n")
    assert main(["evaluate", *PAIR, *arguments]) == 2
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert message in err


ANCHORED = """name: "anchored"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 24, 24] } } }
layer { name: "loc" type: "Convolution" bottom: "data" top: "loc"
  convolution_param { num_output: 4 kernel_size: 8 stride: 8 } }
layer { name: "conf" type: "Convolution" bottom: "data" top: "conf"
  convolution_param { num_output: 2 kernel_size: 8 stride: 8 } }
layer { name: "loc_last" type: "Permute" bottom: "loc" top: "loc_last" permute_param { order: [0, 2, 3, 1] } }
layer { name: "conf_last" type: "Permute" bottom: "conf" top: "conf_last" permute_param { order: [0, 2, 3, 1] } }
layer { name: "boxes" type: "Reshape" bottom: "loc_last" top: "boxes" reshape_param { shape { dim: [1, -1, 4] } } }
layer { name: "rows" type: "Reshape" bottom: "conf_last" top: "rows" reshape_param { shape { dim: [1, -1, 2] } } }
layer { name: "scores" type: "Softmax" bottom: "rows" top: "scores" softmax_param { axis: 2 } }
"""
"""Nine cells of one anchor each, which are faces where they are bright."""


@pytest.fixture
def anchored(here: Path) -> Path:
    """A network with a head of anchors, and two pictures of bright squares."""
    Path(DEPLOY).write_text(ANCHORED)
    bright = np.zeros((2, 3, 8, 8), np.float32)
    bright[1] = 1 / 100
    weights = {"loc": (np.zeros((4, 3, 8, 8)), np.zeros(4)), "conf": (bright, np.array([0, -100.0]))}
    net = dm.load(DEPLOY)
    files.save(
        net.with_layers(
            layer.with_tensors([Dense(values.astype(np.float32)) for values in weights.get(layer.name, ())])
            for layer in net.layers
        ),
        "saved.prototxt",
        MODEL,
    )
    rows = []
    for i, (left, top) in enumerate(((8, 0), (16, 16))):
        picture = np.zeros((24, 24, 3), np.uint8)
        picture[top : top + 8, left : left + 8] = 255
        cv2.imwrite(f"pictures/{i}.png", picture)
        rows += [f"{i}.png", "1", f"{left} {top} 8 8"]
    Path("truth.txt").write_text("\n".join(rows))
    Path("head.yaml").write_text("strides: [8]\nanchors: [[8]]")
    return here


HEAD = ("--data", "truth.txt", "--root", "pictures", "--mean", "0", "--bootstrap", "10")


def test_a_head_of_anchors_as_it_is_described(anchored, onnx, capsys):
    assert main(["export", *PAIR, "-o", "x.onnx", "-q"]) == 0
    for network in (PAIR, ("x.onnx",)):
        assert main(["evaluate", *network, *HEAD, "--head", "head.yaml", "--json"]) == 0
        assert [figure["first"]["value"] for figure in found(capsys)["figures"]] == [1, 1, 1]


def test_boxes_of_a_described_head_are_compared(anchored, capsys):
    arguments = [*PAIR, MODEL, "--images", "pictures", "--mean", "0", "--head", "head.yaml", "--json"]
    assert main(["compare", *arguments]) == 0
    (boxes,) = [one["boxes"] for one in found(capsys)["comparison"]["outputs"] if "boxes" in one]
    assert boxes["matched"] == boxes["expected"] > 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "for each of 9 anchors, and which these are is not in the file: describe them with --head"),
        (["--head", "ultralight"], "it has 40 anchors in a picture of 24×24"),
        (["--head", "mtcnn"], "ultralight, or the name of a .yaml"),
        (["--head", "none.yaml"], "none.yaml: No such file"),
        (["--head", "cascade.yaml"], "--head describes a cascade"),
        (["--head", "other.yaml"], '"loc9", and no layer gives that'),
    ],
)
def test_heads_that_do_not_fit(anchored, capsys, arguments, message):
    Path("cascade.yaml").write_text("smallest: 40")
    Path("other.yaml").write_text("strides: [8]\nanchors: [[8]]\nboxes: loc9\nscores: scores")
    assert main(["evaluate", *PAIR, *HEAD, *arguments]) == 2
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert message in err


def test_a_head_for_a_classifier_has_no_meaning(here, capsys):
    Path("head.yaml").write_text("strides: [8]\nanchors: [[8]]")
    assert main(["evaluate", *PAIR, *LISTED, "--head", "head.yaml"]) == 2
    assert "not those of a head of anchors" in capsys.readouterr().err


@pytest.mark.zoo
def test_mtcnn_is_given_as_three_networks(zoo, tmp_path, capsys):
    three = [zoo / "models" / name / end for name in MTCNN for end in ("deploy.prototxt", f"{name}.caffemodel")]
    (tmp_path / "one.txt").write_text("2007_007763.jpg\n1\n194 90 37 37\n")
    data = ["--data", str(tmp_path / "one.txt"), "--root", str(zoo / "data/faces"), "--bootstrap", "10", "--json"]
    assert main(["evaluate", *map(str, three), *data]) == 0
    figures = {figure["name"]: figure["first"]["value"] for figure in found(capsys)["figures"]}
    assert figures["recall at 0.5"] == 1
    assert main(["evaluate", *map(str, three), *data, "--mean", "0"]) == 2
    assert "a cascade prepares pictures itself" in capsys.readouterr().err
    assert main(["evaluate", *map(str, three[:4]), *data]) == 2
    assert "2 networks given" in capsys.readouterr().err


MTCNN = ("mtcnn_det1", "mtcnn_det2", "mtcnn_det3")
