"""Networks beside each other, an ``.onnx`` among them: written here by hand, so that no exporter is its own witness."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demitasse import files
from demitasse.evaluate.models import OnnxFile, Subject, counterparts
from demitasse.evaluate.runtimes import Execution, runtimes_for
from demitasse.evaluate.shown import Shown
from demitasse.evaluate.side_by_side import side_by_side
from demitasse.net import Dense, Layer, Net
from networks import small_classifier

pytest.importorskip("cv2")
pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

EXECUTION = Execution(threads=1)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    paths = (tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small_classifier(*paths)
    return Subject(files.load(*paths), *paths)


def exported(net: Net, path: Path, *, changed: float = 1.0, names: dict[str, str] | None = None) -> OnnxFile:
    """The small classifier as an ``.onnx``; the last layer's weights times ``changed``."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = {f"{layer.name}.{i}": t.array() for layer in net.layers for i, t in enumerate(layer.tensors)}
    weights["fc.0"] = weights["fc.0"] * np.float32(changed)
    rename = names or {}

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> object:
        return helper.make_node(kind, [rename.get(n, n) for n in inputs], [rename.get(output, output)], **attributes)

    nodes = [
        node("Conv", ["data", "conv1.0", "conv1.1"], "before"),
        node("Relu", ["before"], "conv1"),
        node("MaxPool", ["conv1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pool1"], "flat"),
        node("Gemm", ["flat", "fc.0", "fc.1"], "fc", transB=1),
        node("Softmax", ["fc"], "prob", axis=1),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(rename.get("data", "data"), kind, ["n", 3, 24, 24])],
        [helper.make_tensor_value_info(rename.get("prob", "prob"), kind, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, str(path))
    return OnnxFile(path)


def noisy(net: Net, name: str, amount: float = 0.5) -> Net:
    def change(layer: Layer) -> Layer:
        if layer.name != name:
            return layer
        weight = layer.tensors[0].array()
        noise = np.random.default_rng(0).standard_normal(weight.shape) * weight.std() * amount
        return layer.with_tensors([Dense((weight + noise).astype(np.float32)), *layer.tensors[1:]])

    return net.with_layers(map(change, net.layers))


def test_a_network_and_its_onnx(subject, tmp_path):
    other = exported(subject.net, tmp_path / "x.onnx")
    for pair in ((subject, other), (other, subject)):
        found = side_by_side(*pair, Shown(count=2), EXECUTION, tolerance=1e-4)
        assert found.same
        assert "OpenCV" in found.comparison.runtime
        assert "ONNX Runtime" in found.comparison.runtime
        assert {(error.name, error.kind) for error in found.comparison.outputs} == {
            ("prob", "classes"),
            ("fc", "values"),
        }
        assert [check.which for check in found.checks] == ["first" if pair[0] is subject else "second"]


def test_where_a_network_and_an_onnx_part(subject, tmp_path):
    other = exported(subject.net, tmp_path / "x.onnx", changed=1.5)
    found = side_by_side(subject, other, Shown(count=1), EXECUTION, tolerance=0.01)
    assert (found.divergence.layer, found.divergence.after, found.divergence.agreed) == ("fc", "pool1", 2)
    assert "executor" in found.walked


def test_two_onnx(subject, tmp_path):
    one, two = exported(subject.net, tmp_path / "1.onnx"), exported(subject.net, tmp_path / "2.onnx", changed=-1)
    found = side_by_side(one, two, Shown(count=2), EXECUTION, tolerance=0.01)
    assert found.comparison.runtime.startswith("ONNX Runtime")
    assert [(error.name, error.kind, error.decisions) for error in found.comparison.outputs] == [("prob", "classes", 2)]
    assert found.divergence.layer == "fc"
    assert side_by_side(one, one, Shown(count=1), EXECUTION, tolerance=0).same


def test_an_onnx_may_call_its_input_otherwise(subject, tmp_path):
    other = exported(subject.net, tmp_path / "x.onnx", names={"data": "pictures"})
    assert side_by_side(subject, other, Shown(count=1), EXECUTION, tolerance=1e-4).same


@pytest.mark.parametrize(("name", "agreed"), [("conv1", 0), ("fc", 3)])
def test_the_first_layer_that_differs(subject, name, agreed):
    other = Subject(noisy(subject.net, name))
    found = side_by_side(subject, other, Shown(count=1), EXECUTION, tolerance=0.01)
    assert (found.divergence.layer, found.divergence.agreed) == (name, agreed)
    assert not found.same
    assert found.beyond == ("fc",)


def test_all_layers_on_demand(subject):
    found = side_by_side(subject, subject, Shown(count=1), EXECUTION, tolerance=0, every=True)
    assert [error.name for error in found.layers] == ["conv1", "relu1", "pool1", "fc", "prob"]
    assert found.divergence is None


def test_counterparts_go_by_blob_and_then_by_name(subject):
    net = subject.net
    renamed = net.with_layers(replace(layer, name=f"my_{layer.name}") for layer in net.layers)
    # conv1 is overwritten by relu1: it has no blob of its own, and no layer of its name.
    assert counterparts(subject, Subject(renamed)) == {
        "relu1": "my_relu1",
        "pool1": "my_pool1",
        "fc": "my_fc",
        "prob": "my_prob",
    }
    assert list(counterparts(subject, subject)) == ["conv1", "relu1", "pool1", "fc", "prob"]


def test_every_program_gives_the_same_at_every_layer(subject):
    feeds = [{"data": np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype(np.float32)}]
    names = ["conv1", "relu1", "pool1", "fc", "prob"]
    one, two = (runtime.run(subject, feeds, names)[0] for runtime in runtimes_for(subject, EXECUTION))
    for name in names:
        assert two[name] == pytest.approx(one[name], abs=1e-4)


def test_json_has_every_part(subject, tmp_path):
    other = Subject(noisy(subject.net, "fc"))
    said = side_by_side(subject, other, Shown(count=1), EXECUTION, tolerance=0.01).as_dict()
    assert said["divergence"]["layer"] == "fc"
    assert said["beyond_tolerance"] == ("fc",)
    assert len(said["checks"]) == 2
