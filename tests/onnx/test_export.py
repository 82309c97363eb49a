"""What is exported, under which names, for which batch; what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from demitasse.errors import FileError, NetError, OptionError  # noqa: E402
from demitasse.files import load, save  # noqa: E402
from demitasse.onnx import OPSET, to_onnx  # noqa: E402
from demitasse.runtime.onnxruntime import run_onnx, signature  # noqa: E402
from filled_networks import conv, data, fed, filled, layer  # noqa: E402
from onnx_networks import both, largest_error  # noqa: E402

RELU = layer("ReLU", "relu", "conv", top="conv")
POOL = layer("Pooling", "pool", "conv", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
PRODUCT = layer("InnerProduct", "fc", "pool", "inner_product_param { num_output: 5 }")
SOFTMAX = layer("Softmax", "prob", "fc")
CLASSIFIER = data(2, 3, 9, 8) + conv("conv", "data") + RELU + POOL + PRODUCT + SOFTMAX


def test_a_network_is_for_any_batch_and_checked_whole(tmp_path: Path) -> None:
    done, expected, found = both(filled(CLASSIFIER), fed(filled(CLASSIFIER)), tmp_path)
    assert (done.batch, done.inputs, done.outputs) == (None, {"data": (None, 3, 9, 8)}, {"prob": (None, 5)})
    assert largest_error(expected, found) < 1e-5
    onnx.checker.check_model(str(done.path), full_check=True)
    model = onnx.load(done.path)
    assert [(x.domain, x.version) for x in model.opset_import] == [("", OPSET)]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    assert {"conv", "pool", "fc"} <= {value.name for value in inferred.graph.value_info}


def test_three_at_once_are_what_each_is_alone(tmp_path: Path) -> None:
    done = to_onnx(filled(CLASSIFIER), tmp_path / "a.onnx")
    x = np.random.default_rng(0).standard_normal((3, 3, 9, 8)).astype(np.float32)
    together, *alone = run_onnx(done.path, [{"data": x}, *({"data": x[i : i + 1]} for i in range(3))])
    np.testing.assert_allclose(together["prob"], np.concatenate([one["prob"] for one in alone]), atol=1e-6)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        to_onnx(filled(CLASSIFIER), tmp_path / f"{name}.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_batch_can_be_asked_for(tmp_path: Path) -> None:
    done = to_onnx(filled(CLASSIFIER), tmp_path / "a.onnx", batch=7)
    assert (done.batch, done.inputs["data"], done.outputs["prob"]) == (7, (7, 3, 9, 8), (7, 5))
    with pytest.raises(OptionError, match="a batch is at least 1"):
        to_onnx(filled(CLASSIFIER), tmp_path / "a.onnx", batch=0)


FIXED = {
    "a batch written into a Reshape": (
        layer("Reshape", "out", "conv", "reshape_param { shape { dim: 1 dim: -1 dim: 6 } }"),
        "does not stay the first axis",
    ),
    "all of it in one number": (layer("Flatten", "out", "conv", "flatten_param { axis: 0 }"), ""),
    "parts of a batch": (
        'layer { name: "s" type: "Slice" bottom: "conv" top: "out" top: "b" slice_param { axis: 0 } }',
        "cuts the batch into parts",
    ),
}


@pytest.mark.parametrize("case", FIXED)
def test_a_batch_that_cannot_vary_is_fixed_and_the_reason_said(case: str, tmp_path: Path) -> None:
    rest, reason = FIXED[case]
    net = filled(data(2, 3, 9, 8) + conv("conv", "data") + rest)
    done, expected, found = both(net, fed(net), tmp_path)
    assert largest_error(expected, found) < 1e-5
    if reason:
        assert done.batch == 2
        assert any(reason in note.text and "for a batch of 2 only" in note.text for note in done.notes)
    else:
        assert done.batch is None
        assert done.outputs["out"] == (None,)


def test_blobs_to_end_with_are_the_outputs_and_nothing_behind_them_is_written(tmp_path: Path) -> None:
    net = filled(CLASSIFIER)
    done, expected, found = both(net, fed(net), tmp_path, until=["pool", "conv"])
    assert list(done.outputs) == ["pool", "conv"]
    assert largest_error(expected, found) < 1e-5
    assert "fc" not in signature(done.path).values
    with pytest.raises(OptionError, match='--until nothing: the network has no blob "nothing"'):
        to_onnx(net, tmp_path / "b.onnx", until=["nothing"])
    with pytest.raises(OptionError, match="is an input"):
        to_onnx(net, tmp_path / "b.onnx", until=["data"])


def test_an_output_with_the_name_of_an_input_gets_another(tmp_path: Path) -> None:
    net = filled(data(1, 3, 4, 4) + layer("ReLU", "relu", "data", top="data"))
    done = to_onnx(net, tmp_path / "a.onnx")
    assert list(done.outputs) == ["data_out"]
    assert 'the output "data" is called "data_out"' in done.notes[0].text
    (found,) = run_onnx(done.path, [fed(net)])
    np.testing.assert_array_equal(found["data_out"], np.maximum(fed(net)["data"], 0))


def test_one_value_under_two_names_is_two_outputs(tmp_path: Path) -> None:
    split = 'layer { name: "s" type: "Split" bottom: "conv" top: "a" top: "b" }'
    net = filled(data(1, 3, 9, 8) + conv("conv", "data") + split)
    done, expected, found = both(net, fed(net), tmp_path)
    assert set(done.outputs) == {"a", "b"}
    assert largest_error(expected, found) < 1e-5


def test_shared_weights_are_stored_once(tmp_path: Path) -> None:
    shared = 'param { name: "w" } param { name: "b" }'
    twice = conv("one", "data", "num_output: 3 kernel_size: 3 pad: 1").replace("conv", f"{shared} conv")
    text = data(1, 3, 9, 8) + twice + twice.replace('"one"', '"two"').replace('"data"', '"one"')
    net = filled(text)
    done, expected, found = both(net, fed(net), tmp_path)
    assert largest_error(expected, found) < 1e-5
    assert len(onnx.load(done.path).graph.initializer) == 2


LOSSES = (
    'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }'
    + layer("SoftmaxWithLoss", "loss", "fc label")
    + layer("Accuracy", "accuracy", "fc label")
    + 'layer { name: "quiet" type: "Silence" bottom: "label" }'
)


def test_what_only_a_trainer_needs_is_left_out(tmp_path: Path) -> None:
    net = filled(data(2, 3, 9, 8) + conv("conv", "data") + RELU + POOL + PRODUCT + LOSSES)
    done = to_onnx(net, tmp_path / "a.onnx")
    assert (list(done.inputs), list(done.outputs)) == (["data"], ["fc"])
    assert {note.layer for note in done.notes} == {"loss", "accuracy", "quiet"}


def test_data_layers_become_inputs_of_a_shape_that_is_given(tmp_path: Path) -> None:
    database = 'layer { name: "d" type: "Data" top: "data" data_param { source: "x" batch_size: 4 } }'
    net = filled(CLASSIFIER)
    net = net.with_layers([filled(database).layers[0], *net.layers[1:]])
    with pytest.raises(NetError, match='the shape of "data" is not known'):
        to_onnx(net, tmp_path / "a.onnx")
    done = to_onnx(net, tmp_path / "a.onnx", shapes={"data": (4, 3, 9, 8)})
    assert done.inputs == {"data": (None, 3, 9, 8)}
    with pytest.raises(OptionError, match='a shape is given for "other"'):
        to_onnx(net, tmp_path / "a.onnx", shapes={"other": (1,)})


REFUSED = {
    "a type that ONNX lacks": (
        layer("MarginInnerProduct", "m", "conv conv", "margin_inner_product_param { num_output: 2 }"),
        r'"m" \(MarginInnerProduct\): cannot',
    ),
    "an unknown type": (layer("Invented", "i", "conv"), r'"i" \(Invented\): cannot be expressed .* --until conv'),
    "somebody's code": (
        layer("Python", "p", "conv", 'python_param { module: "m" layer: "C" }'),
        r'"p" \(Python\): is somebody\'s Python code \(m\.C\); --until BLOB',
    ),
    "random numbers": (
        'layer { name: "r" type: "DummyData" top: "r" dummy_data_param { shape { dim: 1 } '
        'data_filler { type: "gaussian" } } }',
        "other random numbers in every run",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_expressed_is_refused_by_name(case: str, tmp_path: Path) -> None:
    rest, reason = REFUSED[case]
    net = filled(data(1, 3, 9, 8) + conv("conv", "data"))
    net = net.with_layers([*net.layers, *filled(data(1, 1, 1, 1, name="conv") + rest).layers[1:]])
    with pytest.raises(NetError, match=reason):
        to_onnx(net, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
    assert list(to_onnx(net, tmp_path / "a.onnx", until=["conv"]).outputs) == ["conv"]


def test_a_network_without_weights_is_refused(tmp_path: Path) -> None:
    net = filled(CLASSIFIER)
    with pytest.raises(NetError, match=r'"conv" \(Convolution\): has no weights'):
        to_onnx(net.with_layers(one.with_tensors(()) for one in net.layers), tmp_path / "a.onnx")
    with pytest.raises(NetError, match="weight 0 has 360 elements; 540 are needed"):
        to_onnx(net, tmp_path / "a.onnx", shapes={"data": (1, 3, 13, 8)})
    with pytest.raises(FileError, match="cannot be written"):
        to_onnx(net, tmp_path / "nowhere" / "a.onnx")


def test_large_weights_go_into_a_file_of_their_own(tmp_path: Path) -> None:
    net = filled(CLASSIFIER)
    done, expected, found = both(net, fed(net), tmp_path, external_above=100)
    assert done.data == tmp_path / "model.onnx.data"
    assert largest_error(expected, found) == 0 or largest_error(expected, found) < 1e-5
    assert done.path.stat().st_size < 3000
    onnx.checker.check_model(str(done.path), full_check=True)


def test_half_computes_in_float16_between_inputs_and_outputs_of_float32(tmp_path: Path) -> None:
    net = filled(CLASSIFIER)
    done, expected, found = both(net, fed(net), tmp_path, half=True)
    assert 1e-6 < largest_error(expected, found) < 5e-3
    model = onnx.load(done.path)
    kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert set(done.weights) == {"float16"}
    whole = to_onnx(net, tmp_path / "whole.onnx")
    assert done.weights["float16"] * 2 == whole.weights["float32"]


def test_half_leaves_layers_in_float32_that_need_its_range(tmp_path: Path) -> None:
    text = data(1, 3, 6, 6) + conv("conv", "data") + layer("LRN", "n", "conv") + layer("MVN", "m", "n")
    net = filled(text + layer("Concat", "both", "m conv"))
    _, expected, found = both(net, fed(net), tmp_path, half=True)
    assert largest_error(expected, found) < 2e-2


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    net = filled(data(1, 3, 9, 8) + conv("conv", "data"))
    odd = net.with_layers(replace(x, name="\udc80") if x.name == "conv" else x for x in net.layers)
    with pytest.raises(NetError, match="no text"):
        to_onnx(odd, tmp_path / "a.onnx")


def test_an_empty_input_is_refused_and_an_input_file_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(NetError, match="0×3×9×8: nothing is in it"):
        to_onnx(filled(CLASSIFIER), tmp_path / "a.onnx", shapes={"data": (0, 3, 9, 8)})
    save(filled(CLASSIFIER), tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    with pytest.raises(FileError, match="the network was read from this file"):
        to_onnx(load(tmp_path / "a.prototxt", tmp_path / "a.caffemodel"), tmp_path / "a.caffemodel")
