import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from caffe.protobufs import blob, layer, number, packed, payload, shape
from demitasse.caffe.match import with_weights
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.read import parse_net, read_binary
from demitasse.caffe.write import buffers, prototxt, write_caffemodel
from demitasse.errors import NetError
from demitasse.message import Message
from demitasse.net import Dense, Layer, Levels, Net

TEXT = b"""# a net
name: 'n'   # its name
input: "x"  input_dim: 1 input_dim: 3
  input_dim: 8
input_dim: 8  # wide
layer { name: "a" type: "ReLU" bottom: "x" top: "a" }
force_backward: true # kept
layer {
  name: "b"  # second
  type: "ReLU"
  bottom: "a"
  top: "b"
}
# the last
layer { name: "c" type: "ReLU" bottom: "b" top: "c" fork_param < odd: 0x10; > }
# the end
"""


def change(net: Net, name: str, *new: Layer) -> Net:
    return net.with_layers(one for found in net.layers for one in ((found,) if found.name != name else new))


def test_an_unchanged_net_gives_the_same_bytes():
    assert prototxt(parse_net(TEXT)) == TEXT


def test_a_changed_layer_changes_its_own_bytes():
    net = parse_net(TEXT)
    net = change(net, "b", replace(net.layer("b"), inputs=("z", "zz"), type="PReLU"))
    assert prototxt(net) == TEXT.replace(b'type: "ReLU"\n', b'type: "PReLU"\n').replace(
        b'bottom: "a"\n', b'bottom: "z"\n  bottom: "zz"\n'
    )


def test_a_removed_layer_leaves_and_nothing_else_moves():
    net = change(parse_net(TEXT), "b")
    before, rest = TEXT.split(b"\nlayer {\n  name")
    after = rest.split(b"\n}", 1)[1]
    assert prototxt(net) == before + after


@pytest.mark.parametrize(("behind", "order"), [("a", "axbc"), ("b", "abxc"), ("c", "abcx"), ("input", "xabc")])
def test_a_new_layer_stands_behind_its_predecessor(behind, order):
    net = parse_net(TEXT)
    new = Layer("x", "Power", ("a",), ("p",), Message.of(("power_param", Message.of(("scale", 2)))))
    text = prototxt(change(net, behind, net.layer(behind), new))
    again = parse_net(text)
    assert [found.name for found in again.layers] == ["input", *order]
    found = again.layer("x")
    assert (found.type, found.inputs, found.outputs) == ("Power", ("a",), ("p",))
    assert found.message.message("power_param").integer("scale") == 2
    assert text.index(b"name: 'n'") < text.index(b'"x"')


def test_order_follows_the_net():
    net = parse_net(TEXT)
    first, a, b, c = net.layers
    assert [found.name for found in parse_net(prototxt(net.with_layers([first, c, b, a]))).layers] == [
        "input",
        "c",
        "b",
        "a",
    ]


def test_changed_inputs_become_a_layer():
    net = parse_net(TEXT)
    text = prototxt(change(net, "input", replace(net.layer("input"), outputs=("data",))))
    again = parse_net(text)
    assert b"input_dim" not in text
    assert b"force_backward: true # kept" in text
    assert (again.layers[0].type, again.layers[0].outputs) == ("Input", ("data",))
    assert again.layers[0].message.message("input_param").message("shape").integers("dim") == (1, 3, 8, 8)


def test_a_net_without_a_text_is_printed():
    net = Net("new", (Layer("d", "Input", (), ("d",)), Layer("r", "ReLU", ("d",), ("r",))))
    again = parse_net(prototxt(net))
    assert again.name == "new"
    assert [(found.name, found.type, found.inputs, found.outputs) for found in again.layers] == [
        ("d", "Input", (), ("d",)),
        ("r", "ReLU", ("d",), ("r",)),
    ]


def test_a_new_name_replaces_the_old():
    assert prototxt(replace(parse_net(TEXT), name="m")) == TEXT.replace(b"'n'", b'"m"')


def test_names_given_twice_are_left_alone():
    text = b'layer { name: "a" name: "b" type: "ReLU" }'
    assert prototxt(parse_net(text)) == text


def binary(net: Net) -> bytes:
    file = io.BytesIO()
    size = write_caffemodel(net, file)
    assert size == len(file.getvalue())
    return file.getvalue()


def test_the_binary_is_what_caffe_would_write():
    net = parse_net(
        b'name: "n" layer { name: "ip" type: "InnerProduct" top: "y" bottom: "x" fork: 1 loss_weight: 1 '
        b"include { phase: TEST } inner_product_param { num_output: 2 axis: -1 } }"
    )
    weights = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    net = net.with_layers([net.layers[0].with_tensors([Dense(weights)])])
    inside = payload(1, "ip") + payload(2, "InnerProduct") + payload(3, "x") + payload(4, "y") + b"\x2d\0\0\x80\x3f"
    inside += payload(7, blob(weights)) + payload(8, number(1, 1)) + payload(117, number(1, 2) + number(5, -1))
    assert binary(net) == payload(1, "n") + payload(100, inside)


FORMS = {
    "float32": (Dense(np.ones((2, 1), np.float32)), packed(5, [1, 1]) + shape(2, 1)),
    "float64": (Dense(np.ones((2, 1))), shape(2, 1) + packed(8, [1, 1], "<f8")),
    "float16": (Dense(np.ones(2, np.float16)), shape(2) + number(10, 2) + packed(12, [1, 1], "<f2")),
    "big-endian": (Dense(np.ones(2, ">f4")), packed(5, [1, 1]) + shape(2)),
    "not contiguous": (Dense(np.arange(6, dtype="f4").reshape(2, 3).T), packed(5, [0, 3, 1, 4, 2, 5]) + shape(3, 2)),
    "no axes": (Dense(np.array(3, np.float32)), packed(5, [3]) + payload(7, b"")),
    "nothing in it": (Dense(np.empty((0, 3), np.float32)), packed(5, []) + shape(0, 3)),
    "coded": (Levels(np.array([2, -1], np.int32), np.array([0.5], np.float32)), packed(5, [1, -0.5]) + shape(2)),
}


@pytest.mark.parametrize(("tensor", "data"), FORMS.values(), ids=FORMS)
def test_tensors_of_every_form(tensor, data):
    net = Net("", (Layer("a", "X", tensors=(tensor,)),))
    assert binary(net) == layer("a", "X", data)


def test_integers_are_refused():
    net = Net("", (Layer("a", "X", tensors=(Dense(np.ones(2, np.int32)),)),))
    with pytest.raises(NetError, match=r'layer "a" .*blob 0: int32'):
        binary(net)


bits = arrays.arrays(
    np.uint32, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0), elements=st.integers(0, 2**32 - 1)
)


@given(st.lists(bits, max_size=3))
def test_every_bit_of_every_float_comes_back(patterns):
    tensors = tuple(Dense(pattern.view(np.float32).reshape(pattern.shape)) for pattern in patterns)
    (found,) = Caffemodel.parse(binary(Net("n", (Layer("a", "X", tensors=tensors),)))).layers
    assert [one.array().view(np.uint32).tolist() for one in found.blobs] == [pattern.tolist() for pattern in patterns]


@pytest.mark.zoo
def test_caffes_own_files_come_back_byte_for_byte(zoo: Path, golden: Path):
    """Where they hold nothing but what upstream knows, and no gradients."""
    names = ["cifar10_quick", "lenet_mnist", "resnet20_cifar10", "squeezenet_deep_compression", "vdsr"]
    paths = [zoo / "models" / name / f"{name}.caffemodel" for name in names]
    for path in [golden / "snapshots" / "sgd_binaryproto_iter_10.caffemodel", *paths]:
        assert binary(read_binary(path)) == path.read_bytes(), path.name


@pytest.mark.zoo
def test_every_text_of_the_zoo_is_unchanged_or_upgraded(zoo: Path):
    for path in sorted(zoo.glob("prototxt/*.prototxt")):
        if "solver" in path.name:
            continue
        net = parse_net(path.read_bytes(), path.name)
        upgraded = any(note.step == "upgrade" for note in net.report)
        assert (prototxt(net) == path.read_bytes()) != upgraded, path.name


@pytest.mark.zoo
def test_opencv_computes_the_same_from_what_is_written(zoo: Path):
    cv2 = pytest.importorskip("cv2")
    ran = 0
    for folder in sorted((zoo / "models").iterdir()):
        files = folder / "deploy.prototxt", folder / f"{folder.name}.caffemodel"
        net = with_weights(parse_net(files[0].read_bytes()), Caffemodel.open(files[1]))
        source = next(found for found in net.layers if found.type == "Input")
        dims = source.message.message("input_param").messages("shape")[0].integers("dim")
        values = np.random.default_rng(0).standard_normal(dims, dtype=np.float32)
        text, weights = (np.frombuffer(data, np.uint8) for data in buffers(net))
        original, written = cv2.dnn.readNetFromCaffe(*map(str, files)), cv2.dnn.readNetFromCaffe(text, weights)
        try:
            expected = run(original, values)
        except cv2.error:
            continue
        for a, b in zip(expected, run(written, values), strict=True):
            assert np.array_equal(a, b), folder.name
        ran += 1
    assert ran >= 25


@pytest.mark.zoo
def test_opencv_reads_halves(zoo: Path):
    cv2 = pytest.importorskip("cv2")
    folder = zoo / "models" / "lenet_mnist"
    files = folder / "deploy.prototxt", folder / "lenet_mnist.caffemodel"
    net = with_weights(parse_net(files[0].read_bytes()), Caffemodel.open(files[1]))
    halves = net.with_layers(
        one.with_tensors(Dense(tensor.array().astype(np.float16)) for tensor in one.tensors) for one in net.layers
    )
    text, weights = (np.frombuffer(data, np.uint8) for data in buffers(halves))
    assert len(weights) < 0.51 * files[1].stat().st_size
    values = np.random.default_rng(0).random((64, 1, 28, 28), np.float32)
    (expected,) = run(cv2.dnn.readNetFromCaffe(*map(str, files)), values)
    (found,) = run(cv2.dnn.readNetFromCaffe(text, weights), values)
    assert 0 < np.abs(found - expected).max() < 0.01


def run(net, values: np.ndarray) -> tuple:
    net.setInput(values)
    return net.forward(net.getUnconnectedOutLayersNames())
