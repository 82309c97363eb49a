import numpy as np
import pytest

from demitasse.caffe.write import prototxt
from demitasse.errors import NetError, WeightsError
from demitasse.layers import build
from demitasse.message import Message
from demitasse.net import Layer
from demitasse.transforms import surgery
from filled_networks import conv, data, error, filled, layer, types

pytest.importorskip("torch")

TEXT = data(1, 4, 8, 8) + conv("a", "data", "num_output: 4 kernel_size: 3 pad: 1") + layer("ReLU", "r", "a", top="a")
TEXT += conv("b", "a", "num_output: 4 kernel_size: 3 pad: 1") + layer("Eltwise", "sum", "a b")


@pytest.fixture
def net():
    return filled(TEXT)


def test_rename_layers_and_blobs(net):
    found = surgery.rename(net, layers={"a": "first"}, blobs={"a": "x", "b": "y"})
    assert [one.name for one in found.layers] == ["data", "first", "r", "b", "sum"]
    assert found.layers[-1].inputs == ("x", "y")
    assert found.layers[1].tensors is net.layers[1].tensors
    assert error(net, found) == 0


def test_names_can_be_exchanged(net):
    found = surgery.rename(net, layers={"a": "b", "b": "a"})
    assert [one.name for one in found.layers] == ["data", "b", "r", "a", "sum"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"layers": {"x": "y"}}, 'no layer "x"'),
        ({"layers": {"a": "b"}}, "one already"),
        ({"blobs": {"a": "b"}}, "one al"),
    ],
)
def test_names_that_are_not_there_or_taken(net, names, message):
    with pytest.raises(NetError, match=message):
        surgery.rename(net, **names)


def test_replace_keeps_what_is_not_said(net):
    found = surgery.replace(net, "r", 'type: "PReLU" prelu_param { channel_shared: true }')
    assert types(found) == ["Input", "Convolution", "PReLU", "Convolution", "Eltwise"]
    assert (found.layers[2].name, found.layers[2].inputs, found.layers[2].outputs) == ("r", ("a",), ("a",))


def test_replace_keeps_weights_of_the_same_type_if_they_fit(net):
    text = 'layer { type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 pad: 2 dilation: 2 } }'
    found = surgery.replace(net, "b", text)
    assert found.layers[3].tensors is net.layers[3].tensors
    with pytest.raises(WeightsError, match='"b"'):
        surgery.replace(net, "b", text.replace("kernel_size: 3 pad: 2 dilation: 2", "kernel_size: 1"))


def test_insert_leads_all_readers_through_it(net):
    found = surgery.insert(net, 'name: "p" type: "Power" power_param { scale: 2 }', after="r")
    assert [(one.name, one.inputs) for one in found.layers[3:]] == [
        ("p", ("a",)),
        ("b", ("p",)),
        ("sum", ("p", "b")),
    ]
    assert 'name: "p"' in prototxt(found).decode()


def test_insert_behind_the_last_layer_takes_its_output_over(net):
    found = surgery.insert(net, Layer("soft", "Softmax"), after="sum")
    assert types(found)[-2:] == ["Eltwise", "Softmax"]
    assert build(found).outputs == ("sum",)


def test_insert_beside(net):
    found = surgery.insert(net, Layer("side", "ReLU", ("a",), ("side",), Message()), after="r")
    assert build(found).outputs == ("side", "sum")
    assert error(net, found) == 0


def test_insert_needs_a_name_of_its_own(net):
    for name in ("", "b"):
        with pytest.raises(NetError, match="name"):
            surgery.insert(net, Layer(name, "ReLU"), after="r")


def test_remove_joins_the_ends(net):
    found = surgery.remove(net, "r")
    assert types(found) == ["Input", "Convolution", "Convolution", "Eltwise"]
    assert surgery.remove(surgery.insert(net, Layer("p", "ReLU"), after="sum"), "p").layers[-1].outputs == ("sum",)


def test_remove_what_nothing_can_take_the_place_of(net):
    with pytest.raises(NetError, match="nothing else"):
        surgery.remove(net, "data")
    with pytest.raises(NetError, match='no layer "x"'):
        surgery.remove(net, "x")


def test_remove_checks_what_is_left():
    net = filled(data(1, 3, 8, 8) + conv("a", "data") + conv("b", "a"))
    with pytest.raises(WeightsError, match=r'"b" .* needs'):
        surgery.remove(net, "a")


def test_nothing_is_changed_in_place(net):
    before = [np.array(one.array()) for layer in net.layers for one in layer.tensors]
    surgery.remove(net, "r")
    surgery.add_channels(net.with_layers(net.layers[:4]), "a", 2)
    after = [one.array() for layer in net.layers for one in layer.tensors]
    assert all(map(np.array_equal, before, after))
