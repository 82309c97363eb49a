import csv

import pytest

from demitasse.caffe.schema import (
    UPSTREAM,
    blocks,
    dialects,
    enum_names,
    enum_numbers,
    facts_by_name,
    facts_by_number,
    is_enum,
)
from demitasse.caffe.wire import BYTES, FIXED32, VARINT


@pytest.mark.parametrize(
    ("message", "name", "number", "kind", "repeated", "packed", "default"),
    [
        ("NetParameter", "layer", 100, BYTES, True, False, None),
        ("LayerParameter", "blobs", 7, BYTES, True, False, None),
        ("BlobProto", "data", 5, FIXED32, True, True, None),
        ("BlobShape", "dim", 1, VARINT, True, True, None),
        ("ConvolutionParameter", "kernel_size", 4, VARINT, True, False, None),
        ("ConvolutionParameter", "bias_term", 2, VARINT, False, False, "true"),
        ("PoolingParameter", "pool", 1, VARINT, False, False, "MAX"),
        ("LRNParameter", "beta", 3, FIXED32, False, False, "0.75"),
        ("V0LayerParameter", "blobs", 50, BYTES, True, False, None),
    ],
)
def test_upstream_facts(message, name, number, kind, repeated, packed, default):
    fact = facts_by_name(message)[name]
    assert (fact.number, fact.kind, fact.repeated, fact.packed, fact.default) == (
        number,
        kind,
        repeated,
        packed,
        default,
    )


def test_one_number_has_many_meanings_and_upstreams_is_first():
    facts = facts_by_number("LayerParameter")[147]
    assert facts[0].name == "swish_param"
    assert {"center_loss_param", "margin_inner_product_param", "reorg_param"} <= {fact.name for fact in facts}


def test_upstream_has_one_meaning_for_each_number():
    for name, lines in blocks().items():
        if lines[0].startswith("message "):
            numbers = [fact.number for fact in facts_by_name(name).values()]
            assert len(numbers) == len(set(numbers)), name


def test_every_type_is_known():
    for name, lines in blocks().items():
        for facts in facts_by_number(name).values() if lines[0].startswith("message ") else ():
            for fact in facts:
                if fact.is_message and fact.spoken_in(UPSTREAM):
                    assert facts_by_number(fact.type), f"{name}.{fact.name} is a {fact.type}"


def test_enums():
    assert is_enum("EltwiseParameter.EltwiseOp")
    assert not is_enum("EltwiseParameter")
    assert not is_enum("float")
    assert enum_numbers("EltwiseParameter.EltwiseOp", UPSTREAM) == {"PROD": 0, "SUM": 1, "MAX": 2}
    assert enum_names("Phase") == {0: "TRAIN", 1: "TEST"}


def test_what_is_unknown_has_no_facts():
    assert facts_by_number("NoSuchParameter") == {}
    assert facts_by_name("Phase") == {}


@pytest.mark.zoo
def test_nothing_of_the_survey_is_lost(zoo):
    with (zoo / "schema.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    letters = {name: letter for letter, name in dialects().items()}
    for row in rows:
        spoken = "".join(letters) if row["in"] == "all" else "".join(letters[name] for name in row["in"].split(","))
        if row["label"] == "enum":
            names = enum_names(row["message"], spoken)
            assert row["name"] in blocks_of_enum(row["message"]), row
            assert int(row["number"]) in names
            continue
        same = [
            fact
            for fact in facts_by_number(row["message"])[int(row["number"])]
            if fact.name == row["name"]
            and fact.repeated == (row["label"] == "repeated")
            and fact.packed == bool(row["packed"])
            and (fact.default or "") == row["default"]
            and fact.type.endswith(row["type"].split(".")[-1])
        ]
        assert any(all(fact.spoken_in(letter) for letter in spoken) for fact in same), row


def blocks_of_enum(name: str) -> set[str]:
    return {line.split(" ")[1] for line in blocks()[name][1:]}
