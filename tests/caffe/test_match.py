import json
from pathlib import Path

import numpy as np
import pytest

from caffe.protobufs import blob, layer, legacy, number, packed, shape, v1_layer
from demitasse.caffe.match import with_weights
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.read import parse_net
from demitasse.caffe.write import buffers
from demitasse.errors import OptionError, WeightsError
from demitasse.net import Net

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 2 kernel_size: 2 } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "y" inner_product_param { num_output: 5 bias_term: false } }
"""
CONV = blob(np.ones((2, 3, 2, 2), np.float32)), blob(np.zeros(2, np.float32))
ONES = [1] * 24
IP = blob(np.ones((5, 18), np.float32))


def matched(weights: bytes, text: str = NET, missing: str = "error") -> Net:
    return with_weights(parse_net(text.encode()), Caffemodel.parse(weights, "w.caffemodel"), missing=missing)


def shapes(net: Net) -> dict[str, list]:
    return {found.name: [tensor.shape for tensor in found.tensors] for found in net.layers if found.tensors}


FIT = {
    "as Caffe writes it": layer("conv", "Convolution", *CONV) + layer("ip", "InnerProduct", IP),
    "in another order": layer("ip", "InnerProduct", IP) + layer("relu", "ReLU") + layer("conv", "Convolution", *CONV),
    "of another type": layer("conv", "Deconvolution", *CONV) + layer("ip", "Whatever", IP),
    "legacy shapes": v1_layer(
        "conv", 4, legacy(2, 3, 2, 2) + packed(5, [1] * 24), legacy(1, 1, 1, 2) + packed(5, [0, 0])
    )
    + v1_layer("ip", 14, legacy(1, 1, 5, 18) + packed(5, [1] * 90)),
    "twice, the last counts": layer("conv", "Convolution", CONV[0], blob(np.ones(2, np.float32)))
    + layer("conv", "Convolution", *CONV)
    + layer("ip", "InnerProduct", IP),
}


@pytest.mark.parametrize("weights", FIT.values(), ids=FIT)
def test_weights_find_their_layers(weights):
    net = matched(weights)
    assert shapes(net) == {"conv": [(2, 3, 2, 2), (2,)], "ip": [(5, 18)]}
    assert net.layer("conv").tensors[0].array().sum() == 24
    assert net.layer("conv").tensors[1].array().sum() == 0


REFUSED = {
    "another shape": (
        layer("conv", "Convolution", blob(np.ones((2, 3, 3, 3), np.float32)), CONV[1]),
        r'layer "conv" (Convolution), blob 0: the network needs [2, 3, 2, 2] (24 numbers), and the file has '
        r"[2, 3, 3, 3] (54)",
    ),
    "transposed": (
        layer("conv", "Convolution", *CONV) + layer("ip", "InnerProduct", blob(np.ones((18, 5), np.float32))),
        r"needs [5, 18] (90 numbers), and the file has [18, 5] (90)",
    ),
    "too few": (
        layer("conv", "Convolution", CONV[0]),
        "needs 2 blobs ([2, 3, 2, 2], [2]), and the file has 1 ([2, 3, 2, 2])",
    ),
    "none": (layer("conv", "Convolution"), "and the file has 0 (none)"),
    "for a layer without weights": (layer("relu", "PReLU", CONV[1]), 'layer "relu" (ReLU) needs 0 blobs (none)'),
    "wrong, then right": (
        layer("conv", "Convolution", CONV[1]) + layer("conv", "Convolution", *CONV) + layer("ip", "InnerProduct", IP),
        "and the file has 1 ([2])",
    ),
    "layers that are missing": (
        layer("Conv", "Convolution", *CONV) + layer("ip", "InnerProduct", IP),
        'no weights for layer "conv" (Convolution) [2, 3, 2, 2] [2]; unused in the file are "Conv" [2, 3, 2, 2] [2]',
    ),
    "a layer that is missing": (
        layer("conv", "Convolution", *CONV),
        'no weights for layer "ip" (InnerProduct) [5, 18]; the file has weights for "conv"',
    ),
    "too few numbers": (
        layer("conv", "Convolution", packed(5, [1] * 5) + shape(2, 3, 2, 2), CONV[1]),
        'layer "conv", blob 0 has 5 numbers, and its shape [2, 3, 2, 2] needs 24',
    ),
}


@pytest.mark.parametrize(("weights", "said"), REFUSED.values(), ids=REFUSED)
def test_a_mismatch_lists_both_sides(weights, said):
    with pytest.raises(WeightsError) as caught:
        matched(weights)
    assert str(caught.value).startswith("w.caffemodel: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_layers_without_weights_can_be_kept():
    net = matched(layer("conv", "Convolution", *CONV), missing="keep")
    assert shapes(net) == {"conv": [(2, 3, 2, 2), (2,)]}
    assert [note.layer for note in net.report if note.layer] == ["ip"]


def test_leftovers_are_reported():
    net = matched(FIT["as Caffe writes it"] + layer("loss", "SoftmaxWithLoss") + layer("aux", "InnerProduct", IP))
    assert [(note.layer, note.data["unused"]) for note in net.report if note.layer] == [("aux", 90)]


def test_an_unknown_type_takes_what_there_is():
    text = NET.replace('type: "InnerProduct"', 'type: "Unheard"')
    assert matched(FIT["legacy shapes"], text).layer("ip").tensors[0].shape == (1, 1, 5, 18)
    assert matched(FIT["as Caffe writes it"], text).layer("ip").tensors[0].shape == (5, 18)
    assert not matched(layer("conv", "Convolution", *CONV), text).layer("ip").tensors


def test_what_follows_an_unknown_type_is_judged_by_its_number_of_blobs():
    text = NET.replace('type: "ReLU"', 'type: "Unheard"')
    assert shapes(matched(FIT["as Caffe writes it"], text)) == {"conv": [(2, 3, 2, 2), (2,)], "ip": [(5, 18)]}
    assert shapes(matched(FIT["legacy shapes"], text)) == {"conv": [(2, 3, 2, 2), (2,)], "ip": [(5, 18)]}
    with pytest.raises(WeightsError, match='no weights for layer "ip"'):
        matched(layer("conv", "Convolution", *CONV), text)
    with pytest.raises(WeightsError, match="needs 1 blobs"):
        matched(layer("conv", "Convolution", *CONV) + layer("ip", "InnerProduct", IP, IP), text)


PHASES = """
layer { name: "data" type: "Data" top: "x" include { phase: TRAIN } data_param { source: "a" } }
layer { name: "data" type: "Data" top: "x" include { phase: TEST } data_param { source: "b" } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c" include { phase: TRAIN }
  convolution_param { num_output: 2 kernel_size: 2 } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c" include { phase: TEST }
  convolution_param { num_output: 2 kernel_size: 2 } }
layer { name: "conv" type: "Convolution" bottom: "c" top: "d" convolution_param { num_output: 2 kernel_size: 2 } }
"""


def test_the_first_of_a_name_in_each_phase_gets_the_weights():
    net = matched(layer("conv", "Convolution", *CONV), PHASES, missing="keep")
    assert [len(found.tensors) for found in net.layers] == [0, 0, 2, 2, 0]


def test_rules_that_contradict_each_other_do_not_stop_reading():
    text = NET.replace('name: "conv"', 'name: "conv" include { phase: TEST } exclude { phase: TRAIN }')
    assert shapes(matched(FIT["as Caffe writes it"], text))["conv"] == [(2, 3, 2, 2), (2,)]


def test_doubles_and_halves_keep_their_type():
    doubles = packed(8, [0.1] * 24, "<f8") + shape(2, 3, 2, 2)
    halves = number(10, 2) + packed(12, [1, 2], "<f2") + shape(2)
    net = matched(layer("conv", "Convolution", doubles, halves) + layer("ip", "InnerProduct", IP))
    assert [tensor.dtype for tensor in net.layer("conv").tensors] == [np.float64, np.float16]


def test_missing_is_one_of_two_words():
    with pytest.raises(OptionError, match="missing must be"):
        matched(FIT["as Caffe writes it"], missing="ignore")


@pytest.mark.zoo
def test_caffe_accepts_and_refuses_the_same(golden: Path):
    cases = json.loads((golden / "load" / "load.json").read_text())
    after = np.load(golden / "load" / "load.npz")
    assert len(cases["cases"]) >= 16
    for case in cases["cases"]:
        model = Caffemodel.open(golden / "load" / case["file"])
        net = parse_net(cases["target_prototxt"].encode())
        if case.get("rejected"):
            with pytest.raises(WeightsError):
                with_weights(net, model, missing="keep")
            continue
        for found in with_weights(net, model, missing="keep").layers:
            for i, tensor in enumerate(found.tensors):
                expected = after[f"{case['name']}/{found.name}/{i}"]
                assert tensor.shape == expected.shape
                assert np.array_equal(tensor.array().astype(np.float32), expected), case["name"]


def test_weights_alone_are_written_alone():
    weights = FIT["as Caffe writes it"]
    net = matched(weights)
    _, written = buffers(net)
    assert len(written) == len(weights)
    assert shapes(matched(written)) == shapes(net)
    assert [record.type for record in Caffemodel.parse(written).layers] == ["Convolution", "InnerProduct"]
