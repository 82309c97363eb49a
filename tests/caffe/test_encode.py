import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe.protobufs import fixed32, layer, number, payload, varint
from demitasse.caffe import encode as coder
from demitasse.caffe.decode import decode_net
from demitasse.caffe.encode import encode
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.schema import SCALAR_KINDS, UPSTREAM, enum_names, facts_by_name
from demitasse.caffe.text import parse
from demitasse.message import Field, Message, Word


@given(st.integers(0, 2**64 - 1))
def test_varints(value):
    assert coder.varint(value) == varint(value)


ENCODED = {
    'name: "a" type: "ReLU"': payload(1, "a") + payload(2, "ReLU"),
    'type: "ReLU" name: "a"': payload(1, "a") + payload(2, "ReLU"),
    'name: "a" name: "b"': payload(1, "b"),
    'bottom: "x" top: "z" bottom: "y"': payload(3, "x") + payload(3, "y") + payload(4, "z"),
    "phase: TEST": number(10, 1),
    "phase: 1": number(10, 1),
    "loss_weight: [1, 0.5]": fixed32(5, 1) + fixed32(5, 0.5),
    "loss_weight: inf": fixed32(5, float("inf")),
    "loss_weight: 1e60": fixed32(5, float("inf")),
    "concat_param { axis: -1 }": payload(104, number(2, -1)),
    "convolution_param { num_output: 4 } convolution_param { num_output: 6 pad: 1 }": payload(
        106, number(1, 6) + number(3, 1)
    ),
    "convolution_param { bias_term: f }": payload(106, number(2, 0)),
    "reshape_param { shape { dim: 0 dim: -1 } }": payload(133, payload(1, payload(1, varint(0) + varint(-1)))),
    "reshape_param { shape { } }": payload(133, payload(1, b"")),
    "prior_box_param { min_size: 1 } relu_param { }": payload(123, b""),
    "relu_param { negative_slope: 0.5 fork_only: 1 }": payload(123, fixed32(1, 0.5)),
    "pooling_param { pool: FORK_ONLY stride: 2 }": payload(121, number(3, 2)),
    "pooling_param { pool: 77 }": payload(121, b""),
    "convolution_param { num_output: -1 }": payload(106, b""),
    'convolution_param { num_output: "4" }': payload(106, b""),
    "convolution_param: 4": b"",
    "name { }": b"",
}


@pytest.mark.parametrize(("text", "data"), ENCODED.items(), ids=list(ENCODED))
def test_what_upstream_knows_is_encoded_and_nothing_else(text, data):
    assert encode(parse(text.encode()), "LayerParameter") == data


def test_a_range_of_numbers():
    message = parse(b'name: "a" relu_param { } phase: TEST')
    assert encode(message, "LayerParameter", before=7) == payload(1, "a")
    assert encode(message, "LayerParameter", after=7) == number(10, 1) + payload(123, b"")


def values(kind: str) -> st.SearchStrategy:
    if kind in ("string", "bytes"):
        return st.text(st.characters(exclude_categories=["C"]), max_size=6)
    if kind in ("float", "double"):
        return st.sampled_from([0.0, -0.5, 1e-4, 3e38, Word("inf"), Word("-inf"), Word("nan")])
    if kind == "bool":
        return st.sampled_from([Word("true"), Word("false")])
    if kind not in SCALAR_KINDS:
        return st.sampled_from(sorted(enum_names(kind, UPSTREAM).values())).map(Word)
    bits = 64 if kind.endswith("64") else 32
    return st.integers(0, 2**bits - 1) if kind.startswith("u") else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@st.composite
def parameters(draw: st.DrawFn, kind: str, first: int = 1) -> Message:
    """A message of that kind with some of upstream's fields, in the order of their numbers."""
    facts = [fact for fact in facts_by_name(kind).values() if fact.number >= first and fact.type != "BlobProto"]
    chosen = draw(st.lists(st.sampled_from(facts), max_size=4, unique=True)) if facts else []
    out = []
    for fact in sorted(chosen, key=lambda fact: fact.number):
        one = parameters(fact.type) if fact.is_message else values(fact.type)
        out += [Field(fact.name, draw(one)) for _ in range(draw(st.integers(1, 3)) if fact.repeated else 1)]
    return Message(out)


@given(parameters("LayerParameter", first=5))
def test_what_is_encoded_decodes_to_the_same(message):
    data = layer("a", "Unheard", extra=encode(message, "LayerParameter"))
    (found,) = decode_net(Caffemodel.parse(data), UPSTREAM).messages("layer")
    assert Message(found.fields[2:]) == message


def test_floats_are_rounded_to_the_nearest():
    assert encode(parse(b"loss_weight: 0.1"), "LayerParameter") == b"\x2d" + struct.pack("<f", 0.1)
