import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.errors import FileError, OptionError, VerificationError
from demitasse.evaluate import runtimes
from demitasse.evaluate.compare import Shown, Subject, compare, runs
from demitasse.evaluate.runtimes import Execution
from demitasse.message import Message
from demitasse.net import Dense, Layer, Net
from networks import small_classifier, small_detector

NOT_FOR_OPENCV = {"lenet_autopruning_masked", "mobilenet_yolov3_tusimple", "waifu2x_upresnet10"}
"""Real models with layers of their own forks."""

cv2 = pytest.importorskip("cv2")


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    found = (tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small_classifier(*found)
    return found


def noisy(net: Net, amount: float) -> Net:
    """With that share of noise in every matrix of weights."""

    def change(layer: Layer) -> Layer:
        random = np.random.default_rng(0)
        return layer.with_tensors(
            Dense((t.array() * (1 + amount * random.standard_normal(t.shape))).astype(np.float32))
            if len(t.shape) > 1
            else t
            for t in layer.tensors
        )

    return net.with_layers(change(layer) for layer in net.layers)


def test_a_network_is_equal_to_itself(paths):
    net = files.load(*paths)
    found = compare(Subject(net, *paths), net)
    assert found.weight_snr == math.inf
    assert [(o.name, o.kind, o.snr) for o in found.outputs] == [
        ("prob", "classes", math.inf),
        ("fc", "values", math.inf),
    ]
    assert (found.outputs[0].top1, found.outputs[0].decisions) == (4, 4)
    assert (found.skipped, found.pictures) == ("", "4 generated pictures")
    assert found.runtime.startswith("OpenCV 4")


def test_weights_of_other_shapes_are_not_called_equal(paths):
    net = files.load(*paths)
    other = net.with_layers(layer.with_tensors(()) for layer in net.layers)
    found = compare(net, other, run=False)
    assert found.unmatched == ("conv1", "fc")
    assert found.weight_snr is None
    assert not found.as_dict()["weights"]["exact"]


def test_noise_in_the_weights_shows_in_the_outputs(paths):
    net = files.load(*paths)
    little, much = (compare(net, noisy(net, amount)) for amount in (0.01, 0.1))
    assert little.weight_snr == pytest.approx(40, abs=1)
    assert much.weight_snr == pytest.approx(20, abs=1)
    assert little.worst.name == "fc"
    assert math.inf > little.worst.snr > much.worst.snr + 10


def test_a_detector_is_measured_before_its_last_layer(tmp_path):
    paths = (tmp_path / "d.prototxt", tmp_path / "d.caffemodel")
    small_detector(*paths)
    net = files.load(*paths)
    found = compare(Subject(net, *paths), net)
    assert {o.name: o.kind for o in found.outputs} == {
        "found": "detections",
        "loc_flat": "values",
        "conf_rows": "values",
    }
    assert found.outputs[0].boxes.same


def test_photographs_are_used(paths, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((30, 50, 3), 80 * i, np.uint8))
    net = files.load(*paths)
    assert compare(net, net, images=folder).pictures == "3 photographs"
    assert compare(net, net, images=Shown(folder, mean=(0.0,), scale=0.5)).prepared == "(pixel - 0) × 0.5"
    with pytest.raises(OptionError, match="2 values"):
        compare(net, net, images=Shown(folder, mean=(1.0, 2.0)))
    with pytest.raises(FileError):
        compare(net, net, images=tmp_path / "missing")


def test_what_cannot_run_is_not_compared(paths):
    net = files.load(*paths)
    odd = net.with_layers(replace(layer, type="HomeMade") if layer.name == "prob" else layer for layer in net.layers)
    found = compare(odd, odd)
    assert "OpenCV" in found.skipped
    assert (found.outputs, found.worst) == ((), None)
    assert found.weights
    program, reason = runs(Subject(odd), Execution(1))
    assert program == ""
    assert "HomeMade" in reason or "OpenCV" in reason
    program, reason = runs(Subject(net, *paths), Execution(1))
    assert program.startswith("OpenCV")
    assert reason == ""


def test_what_need_not_be_tried_is_not_tried(paths, monkeypatch):
    def run(*arguments, **options):
        raise AssertionError("was tried")

    monkeypatch.setattr(runtimes, "run_files", run)
    monkeypatch.setattr(runtimes, "have_torch", lambda: False)
    net = files.load(*paths)
    python = Layer("own", "Python", ("prob",), ("own",))
    assert "Python" in compare(net.with_layers([*net.layers, python]), net).skipped
    monkeypatch.setattr(runtimes, "available_memory", lambda: 1000)
    assert "memory" in compare(net, net).skipped


def test_a_result_that_does_not_run_is_an_error(paths):
    net = files.load(*paths)
    odd = net.with_layers(replace(layer, type="HomeMade") if layer.name == "prob" else layer for layer in net.layers)
    with pytest.raises(VerificationError, match="runs the original"):
        compare(net, odd)


def test_with_nothing_to_run_them_weights_are_compared(paths, monkeypatch):
    monkeypatch.setattr(runtimes, "have_opencv", lambda: False)
    monkeypatch.setattr(runtimes, "have_torch", lambda: False)
    net = files.load(*paths)
    found = compare(net, noisy(net, 0.01))
    assert "installed" in found.skipped
    assert found.weight_snr == pytest.approx(40, abs=1)


def test_our_executor_runs_what_opencv_cannot(paths, monkeypatch):
    pytest.importorskip("torch")
    net = files.load(*paths)
    independent = compare(net, noisy(net, 0.01))
    assert independent.independent
    monkeypatch.setattr(runtimes, "have_opencv", lambda: False)
    alone = compare(net, noisy(net, 0.01))
    assert not alone.independent
    assert "executor" in alone.runtime
    assert alone.worst.snr == pytest.approx(independent.worst.snr, abs=0.01)


def test_unrelated_networks_are_not_compared(paths, tmp_path):
    net = files.load(*paths)
    other = (tmp_path / "d.prototxt", tmp_path / "d.caffemodel")
    small_detector(*other)
    found = compare(net, files.load(*other))
    assert "different inputs: data 1×3×24×24, and data 1×3×48×48" in found.skipped
    assert set(found.unmatched) == {"conv1", "fc", "conv2", "loc", "conf"} - {"conv1"}


def test_networks_without_a_common_output(paths):
    net = files.load(*paths)
    renamed = [
        replace(layer, name=f"other_{layer.name}", inputs=new(layer.inputs), outputs=new(layer.outputs))
        for layer in net.layers
    ]
    found = compare(net, net.with_layers(renamed))
    assert "no output in common" in found.skipped


def new(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name if name == "data" else f"other_{name}" for name in names)


def test_outputs_are_matched_by_their_blobs(paths):
    """A layer more or less in place at the end changes the layer's name, and not what is compared."""
    net = files.load(*paths)
    fc = net.layer("fc")
    layers = [layer for layer in net.layers if layer.name != "prob"]
    longer = net.with_layers([*layers, Layer("same", "ReLU", fc.outputs, fc.outputs, Message.of(RELU))])
    found = compare(longer, net.with_layers(layers))
    assert [(error.name, error.snr) for error in found.outputs] == [("same", math.inf)]


RELU = ("relu_param", Message.of(("negative_slope", 1.0)))


def test_a_network_that_brings_its_own_data(paths):
    net = files.load(*paths)
    data = Layer("data", "Data", (), ("data",), Message.of(("data_param", Message.of(("batch_size", 4)))))
    own = net.with_layers([data, *(layer for layer in net.layers if layer.type != "Input")])
    found = compare(own, own)
    assert 'layer "data" (Data) brings its own data' in found.skipped
    assert "demitasse strip" in found.skipped


def test_weights_that_are_no_numbers_are_named(paths):
    net = files.load(*paths)
    broken = net.with_layers(
        layer.with_tensors([Dense(layer.tensors[0].array() * np.float32(np.nan)), layer.tensors[1]])
        if layer.name == "fc"
        else layer
        for layer in net.layers
    )
    assert 'layer "fc", blob 0 holds weights that are not finite' in compare(broken, net).skipped
    assert compare(net, broken).worst.snr == -math.inf


def test_an_empty_batch_is_named(paths):
    paths[0].write_text(paths[0].read_text().replace("input_dim: 1\n", "input_dim: 0\n", 1))
    net = files.load(*paths)
    assert 'input "data" has the shape 0×3×24×24' in compare(net, net).skipped


def test_a_batch_size_that_is_built_in_is_kept(paths):
    text = paths[0].read_text().replace("input_dim: 1\n", "input_dim: 2\n", 1)
    shape = "reshape_param { shape { dim: 2 dim: 5 dim: 2 } }"
    paths[0].write_text(text + f'layer {{ name: "rows" type: "Reshape" bottom: "fc" top: "rows" {shape} }}\n')
    net = files.load(*paths)
    assert compare(Subject(net, *paths), net).skipped == ""


def test_a_comparison_is_json(paths):
    net = files.load(*paths)
    found = compare(net, noisy(net, 0.01)).as_dict()
    assert found["compared"]
    assert {output["layer"] for output in found["outputs"]} == {"prob", "fc"}
    assert len(found["weights"]["tensors"]) == 4


@pytest.mark.zoo
@pytest.mark.slow
def test_every_real_model_runs_as_we_write_it(zoo):
    """What we write gives what the original files give, through OpenCV, or where it cannot, through our executor."""
    pytest.importorskip("torch")
    for folder in sorted((zoo / "models").iterdir()):
        paths = (folder / "deploy.prototxt", folder / f"{folder.name}.caffemodel")
        net = files.load(*paths)
        found = compare(Subject(net, *paths), net, images=Shown(count=1))
        assert not found.skipped, (folder.name, found.skipped)
        assert found.independent == (folder.name not in NOT_FOR_OPENCV), (folder.name, found.notes)
        assert all(output.snr > 80 for output in found.measured), folder.name
