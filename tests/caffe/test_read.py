from pathlib import Path

import numpy as np
import pytest

from caffe.protobufs import legacy, number, packed, payload, v1_layer
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.read import parse_net, read_binary, read_net
from demitasse.caffe.write import prototxt
from demitasse.errors import FileError, NetError, TextError, WireError
from demitasse.message import Message

LAYER = 'layer { name: "a" type: "ReLU" bottom: "x" top: "y" relu_param { negative_slope: 0.1 } my_param { z: 1 } }'


def test_layers_are_what_the_text_says():
    net = parse_net(f'name: "n" state {{ phase: TEST }} {LAYER} {LAYER}'.encode())
    first, second = net.layers
    assert (net.name, first.name, first.type, first.inputs, first.outputs) == ("n", "a", "ReLU", ("x",), ("y",))
    assert first.message.message("my_param").integer("z") == 1
    assert (first.origin, second.origin) == ((2,), (3,))
    assert net.message.fields[2].value is first.message


@pytest.mark.parametrize(
    ("text", "outputs", "shapes", "origin"),
    [
        ('input: "x" input_shape { dim: 1 dim: 3 }', ("x",), [(1, 3)], (0, 1)),
        ('input: "x" input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 5', ("x",), [(1, 3, 4, 5)], (0, 1, 2, 3, 4)),
        ('input: ["x", "y"] input_dim: [1, 2, 3, 4, 5, 6, 7, 8]', ("x", "y"), [(1, 2, 3, 4), (5, 6, 7, 8)], (0, 1)),
        ('input: "x" input_shape { dim: 7 } input: "y" input_shape { }', ("x", "y"), [(7,), ()], (0, 1, 2, 3)),
        ('input: "x"', ("x",), [], (0,)),
    ],
)
def test_inputs_of_the_net_become_an_input_layer(text, outputs, shapes, origin):
    net = parse_net(f"{text} {LAYER}".encode())
    found = net.layers[0]
    assert (found.name, found.type, found.outputs, found.origin) == ("input", "Input", outputs, origin)
    assert [one.integers("dim") for one in found.message.message("input_param").messages("shape")] == shapes
    assert net.message.fields[origin[0]].name == "input"


@pytest.mark.parametrize("text", ['input: "x" input_dim: 1', 'input: "x" input: "y" input_shape { dim: 1 }'])
def test_inputs_without_enough_shapes_are_refused(text):
    with pytest.raises(NetError, match=r"n\.prototxt: \d inputs"):
        parse_net(f"{text} {LAYER}".encode(), "n.prototxt")


@pytest.mark.parametrize(
    "text",
    [
        'layers { name: "c" type: CONVOLUTION bottom: "x" top: "c" convolution_param { num_output: 2 } }',
        'input: "x" layers { layer { name: "c" type: "conv" num_output: 2 } bottom: "x" top: "c" }',
    ],
)
def test_older_texts_are_upgraded(text):
    net = parse_net(text.encode())
    assert (net.layers[-1].type, net.layers[-1].inputs) == ("Convolution", ("x",))
    assert net.layers[-1].message.message("convolution_param").integer("num_output") == 2
    assert [field.name for field in net.message if field.name == "layers"] == []
    assert net.report


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("base_lr: 0.1 max_iter: 100", FileError, "no layers in it; it is a solver"),
        ('name: "empty"', FileError, "no layers in it"),
        ("layer: 5", TextError, 'n.prototxt:1:1: "layer" should be a message'),
        ("layer { name { } }", TextError, 'n.prototxt:1:9: layer "": "name" should be a string'),
        ("layer {", TextError, "n.prototxt:1"),
    ],
)
def test_what_is_no_network(text, error, said):
    with pytest.raises(error, match=said):
        parse_net(text.encode(), "n.prototxt")


def test_a_prototxt_alone_has_no_weights(tmp_path: Path):
    path = tmp_path / "n.prototxt"
    path.write_text(LAYER)
    net = read_net(path)
    assert net.parameters == 0
    assert [(note.step, note.data["files"]) for note in net.report] == [("read", [str(path)])]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b" \n"), lambda path: None])
def test_what_cannot_be_read(tmp_path, make):
    path = tmp_path / "n.prototxt"
    make(path)
    with pytest.raises(FileError, match=r"n\.prototxt: "):
        read_net(path)


def test_a_caffemodel_alone_describes_a_network(tmp_path: Path):
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    parameters = payload(17, number(1, 3) + number(2, 0)) + number(9999, 1)
    path = tmp_path / "old.caffemodel"
    path.write_bytes(
        payload(1, "n")
        + payload(3, "x")
        + b"".join(number(4, dim) for dim in (1, 4, 1, 1))
        + v1_layer("ip", 14, legacy(1, 1, 3, 4) + packed(5, weights.ravel()), extra=payload(2, "x") + parameters)
    )
    net = read_binary(path)
    assert [(found.name, found.type) for found in net.layers] == [("input", "Input"), ("ip", "InnerProduct")]
    assert np.array_equal(net.layer("ip").tensors[0].array(), weights)
    assert parse_net(prototxt(net)).layer("ip").message == net.layer("ip").message


@pytest.mark.zoo
def test_every_model_describes_a_network(zoo: Path):
    for path in sorted(zoo.glob("models/*/*.caffemodel")):
        net, model = read_binary(path), Caffemodel.open(path)
        assert net.parameters == sum(blob.count for found in model.layers for blob in found.blobs)
        assert [found.name for found in net.layers] == [found.name for found in model.layers]
        assert [found.name for found in parse_net(prototxt(net)).layers] == [found.name for found in net.layers]


@pytest.mark.zoo
def test_every_model_loads_with_every_text_of_its_own(zoo: Path):
    folders = [path.parent for path in sorted(zoo.glob("models/*/*.caffemodel"))]
    assert len(folders) == 28
    for folder in folders:
        for text in sorted(folder.glob("*.prototxt")):
            net = read_net(text, folder / f"{folder.name}.caffemodel")
            assert net.parameters > 3000
            assert all(found.message.string("name") == found.name for found in net.layers)


@pytest.mark.zoo
def test_every_text_is_read_with_all_its_phases(zoo: Path):
    paths = [path for path in sorted(zoo.glob("prototxt/*.prototxt")) if "solver" not in path.name]
    assert len(paths) > 90
    for path in paths:
        net = read_net(path)
        texts = sum(field.name == "layer" for field in net.message)
        assert texts <= len(net.layers) <= texts + 1
        assert isinstance(net.layers[0].message, Message)


@pytest.mark.zoo
def test_truncated_models_name_the_layer(zoo: Path, tmp_path: Path):
    folder = zoo / "models" / "lenet_mnist"
    cut = tmp_path / "cut.caffemodel"
    cut.write_bytes((folder / "lenet_mnist.caffemodel").read_bytes()[:1_000_000])
    with pytest.raises(WireError, match=r'layer "ip1", blob 0 ends after .* of 400 000 floats \(byte 1 000 000\)'):
        read_net(folder / "deploy.prototxt", cut)
