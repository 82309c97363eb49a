import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from caffe.protobufs import blob, fixed32, fixed64, layer, number, payload, v0_layer, v1_layer
from demitasse.caffe.decode import decode_net
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.schema import UPSTREAM, facts_by_name
from demitasse.caffe.text import parse
from demitasse.caffe.upgrade import upgrade_net
from demitasse.errors import WireError
from demitasse.message import Field, Message, Word

ONE = blob(np.ones(1, np.float32))


def decoded(data: bytes, spoken: str | None = None) -> Message:
    return decode_net(Caffemodel.parse(data), spoken)


def only_layer(extra: bytes, kind: str = "X", spoken: str | None = None) -> Message:
    (found,) = decoded(layer("a", kind, extra=extra), spoken).messages("layer")
    return Message(found.fields[2:])


VALUES = {
    "whole numbers": (payload(106, number(1, 8)), "convolution_param { num_output: 8 }"),
    "negative numbers": (payload(104, number(2, -2)), "concat_param { axis: -2 }"),
    "repeated": (payload(106, number(4, 3) + number(4, 5)), "convolution_param { kernel_size: 3 kernel_size: 5 }"),
    "repeated, packed": (payload(106, payload(4, b"\x03\x05")), "convolution_param { kernel_size: 3 kernel_size: 5 }"),
    "enums": (payload(121, number(1, 1)), "pooling_param { pool: AVE }"),
    "flags": (payload(106, number(2, 0)), "convolution_param { bias_term: false }"),
    "the shortest decimal of a float": (payload(118, fixed32(3, 0.75) + fixed32(2, 1e-4)), None),
    "runs of floats": (fixed32(5, 1) + fixed32(5, 0.5), "loss_weight: 1.0 loss_weight: 0.5"),
    "infinity": (fixed32(5, float("inf")), "loss_weight: inf"),
    "text": (payload(3, "data") + payload(4, "a\nb"), 'bottom: "data" top: "a\\nb"'),
    "messages in order": (payload(6, fixed32(3, 1)) + payload(6, b""), "param { lr_mult: 1.0 } param { }"),
}


@pytest.mark.parametrize(("data", "text"), VALUES.values(), ids=VALUES)
def test_values_are_what_text_would_say(data, text):
    expected = parse((text or "lrn_param { beta: 0.75 alpha: 0.0001 }").encode())
    assert only_layer(data) == expected


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [
        ("ReLU", number(145, 1), "forward_type"),
        ("ShuffleChannel", payload(145, number(1, 3)), "shuffle_channel_param"),
        ("Parameter", payload(145, payload(1, b"\x08\x03")), "parameter_param"),
        ("Reorg", payload(147, number(1, 2)), "reorg_param"),
        ("Swish", payload(147, fixed32(1, 1.0)), "swish_param"),
        ("CenterLoss", payload(147, number(1, 10) + payload(2, payload(1, "xavier"))), "center_loss_param"),
        ("PriorBox", payload(203, fixed32(1, 30.0)), "prior_box_param"),
        ("Interp", payload(205, number(1, 33) + number(2, 33)), "interp_param"),
        ("DetectionEvaluate", payload(205, number(1, 33) + number(2, 33)), "detection_evaluate_param"),
    ],
)
def test_a_number_of_many_meanings_is_read_as_what_fits(kind, data, name):
    assert [found.name for found in only_layer(data, kind)] == [name]


def test_the_rest_of_the_file_decides_between_equals():
    rfcn = layer("p", "PSROIPooling", extra=payload(10001, fixed32(1, 0.0625)))
    assert "psroi_pooling_param" in decoded(rfcn).messages("layer")[0]
    undecided = layer("x", "Unheard", extra=payload(147, b""))
    ncnn = layer("y", "Z", extra=payload(603, b"")) + layer("z", "Z", extra=payload(8266711, b"") + payload(601, b""))
    assert "reorg_param" in decoded(undecided + ncnn).messages("layer")[0]
    assert "swish_param" in decoded(undecided).messages("layer")[0]


UNKNOWN = {
    "a number": (number(7777, 5), Field("7777", 5)),
    "text": (payload(7777, "abc"), Field("7777", "abc")),
    "a float": (fixed32(7777, 1.0), Field("7777", Word("0x3f800000"))),
    "a double": (fixed64(7777, 1.0), Field("7777", Word("0x3ff0000000000000"))),
    "an enum's number without a name": (payload(121, number(1, 99)), None),
    "another wire type": (number(106, 5), Field("106", 5)),
    "a message that does not decode": (payload(106, b"\xff"), Field("106", "\udcff")),
}


@pytest.mark.parametrize(("data", "kept"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_unknown_is_kept_under_its_number(data, kept):
    expected = kept or Field("pooling_param", Message.of(("1", 99)))
    assert only_layer(data).fields == (expected,)


def test_upstream_alone_can_be_asked():
    assert [found.name for found in only_layer(payload(203, fixed32(1, 30.0)), "PriorBox", UPSTREAM)] == ["203"]


def test_fields_of_the_net_and_blobs_as_indices():
    net = decoded(payload(1, "n") + payload(3, "data") + number(4, 1) + v1_layer("a", 4, ONE) + v1_layer("b", 4, ONE))
    assert net == parse(
        b'name: "n" input: "data" input_dim: 1 layers { blobs { index: 0 } name: "a" type: CONVOLUTION }'
        b'layers { blobs { index: 1 } name: "b" type: CONVOLUTION }'
    )


@pytest.mark.parametrize(
    "data",
    [
        layer("c", "Convolution", ONE),
        v1_layer("c", 4, ONE),
        payload(3, "data") + v0_layer("c", "conv", ONE),
        payload(4, payload(1, "c") + number(2, 4) + payload(5, ONE)),
        payload(100, payload(1, "c") + payload(2, "Convolution") + payload(77, ONE)),
    ],
    ids=["V2", "V1", "V0", "March 2014", "a fork"],
)
def test_every_generation_upgrades_with_its_blobs(data):
    net, _ = upgrade_net(decoded(data))
    (found,) = net.messages("layer")
    assert (found.string("name"), found.string("type")) == ("c", "Convolution")
    assert [one.integers("index") for one in found.messages("blobs")] == [(0,)]


def test_a_list_longer_than_any_is_not_expanded():
    (kept,) = only_layer(payload(106, payload(4, b"\x01" * (1 << 18))))
    assert kept.name == "106"


def test_a_file_of_nothing_but_small_fields_is_refused():
    with pytest.raises(WireError, match="more fields than any network has"):
        decoded(layer("a", "X", extra=payload(106, number(1, 1) * (1 << 18))))


def in_order(message: Message, kind: str) -> Message:
    """Upstream's fields in the order of their numbers, without blobs: what Caffe prints."""
    facts = facts_by_name(kind)
    fields = [
        (facts[one.name].number, Field(one.name, in_order(one.value, facts[one.name].type)))
        if isinstance(one.value, Message)
        else (facts[one.name].number, one)
        for one in message
        if not one.name.isdigit() and one.name != "blobs"
    ]
    return Message(one for _, one in sorted(fields, key=lambda pair: pair[0]))


@pytest.mark.zoo
def test_upgraded_models_are_what_caffe_makes_of_them(zoo: Path, golden: Path):
    with gzip.open(golden / "upgrade" / "zoo_binary.json.gz") as file:
        expected = json.load(file)
    assert len(expected) == 28
    for path, caffe in expected.items():
        model = Caffemodel.open(zoo / path)
        net, _ = upgrade_net(decode_net(model, UPSTREAM))
        every = [one for found in model.layers for one in found.blobs]
        layers = [
            {
                "name": found.string("name"),
                "type": found.string("type"),
                "blobs": [
                    {
                        "shape": None if one.shape is None else list(one.shape),
                        "legacy": None if one.legacy is None else list(one.legacy),
                        "count": one.count,
                        "sha256": hashlib.sha256(one.array().tobytes()).hexdigest(),
                        "has_diff": bool(one.diff),
                    }
                    for one in (every[index.integer("index")] for index in found.messages("blobs"))
                ],
            }
            for found in net.messages("layer")
        ]
        assert layers == caffe["layers"], path
        text = parse(caffe["text_without_blobs"].encode())
        assert in_order(net, "NetParameter") == in_order(text, "NetParameter"), path
