import gzip
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.caffe.text import dump, parse
from demitasse.caffe.upgrade import (
    needs_batch_norm_upgrade,
    needs_input_upgrade,
    needs_net_upgrade,
    needs_solver_upgrade,
    needs_v0_upgrade,
    needs_v1_upgrade,
    upgrade_input,
    upgrade_net,
    upgrade_solver,
)
from demitasse.errors import NetError, TextError
from demitasse.message import Field, Message, Value, Word

# What protobuf writes in place of other spellings of the same value
SPELLINGS = {"True": "true", "t": "true", "False": "false", "f": "false"}
OPERATIONS = ("PROD", "SUM", "MAX")


def tree(value: Value, name: str = "") -> object:
    """What a message says, for comparing with what Caffe wrote: the order of different fields does not count, numbers
    are float32."""
    if isinstance(value, Message):
        fields: dict[str, list[object]] = {}
        for field in value:
            items = field.value if isinstance(field.value, tuple) else (field.value,)
            fields.setdefault(field.name, []).extend(tree(item, field.name) for item in items)
        return fields
    if isinstance(value, Word):
        return "word", SPELLINGS.get(value, str(value))
    if isinstance(value, str):
        return "string", value
    if name == "operation":
        return "word", OPERATIONS[int(value)]
    return "number", float(np.float32(value))


def difference(ours: object, theirs: object, path: str = "") -> str:
    """Where two trees differ, for a message; "" where they do not."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return "" if ours == theirs else f"{path}: {ours} is {theirs} in Caffe's output"
    for name in sorted(ours.keys() | theirs.keys()):
        mine, its = ours.get(name, []), theirs.get(name, [])
        if len(mine) != len(its):
            return f"{path}.{name}: {len(mine)} times, {len(its)} in Caffe's output"
        for i, pair in enumerate(zip(mine, its, strict=True)):
            if found := difference(*pair, f"{path}.{name}[{i}]"):
                return found
    return ""


def reference(golden, name: str):
    with gzip.open(golden / "upgrade" / name) as file:
        return json.load(file)


UPGRADES = {"net": upgrade_net, "solver": upgrade_solver}


def disagreement(case: dict, kind: str, text: str | bytes) -> str:
    """How our upgrade differs from what Caffe's tool did with the text."""
    try:
        upgraded, notes = UPGRADES[kind](parse(text))
    except NetError as error:
        return "" if case["exit_code"] < 0 else f"refused: {error}"
    if case["exit_code"] < 0:
        return "not refused"
    if case["output"] is None:
        return "" if not case["already_latest"] or upgraded == parse(text) else "changed"
    if parse(dump(upgraded)) != upgraded:
        return "does not read back"
    unknown = [message[3:] for message in case["messages"] if message.startswith("E: Unknown parameter")]
    if [note.text for note in notes if note.data.get("problem")] != unknown:
        return f"messages: {notes}"
    return difference(tree(upgraded), tree(parse(case["output"])))


@pytest.mark.zoo
def test_cases_as_in_caffe(golden):
    cases = reference(golden, "cases.json.gz")
    assert len(cases) > 100
    wrong = {case["name"]: found for case in cases if (found := disagreement(case, case["kind"], case["input"]))}
    assert wrong == {}


@pytest.mark.zoo
@pytest.mark.parametrize(("name", "kind"), [("zoo_text.json.gz", "net"), ("zoo_solvers.json.gz", "solver")])
def test_real_files_as_in_caffe(golden, zoo, name, kind):
    wrong = {}
    for file, case in reference(golden, name).items():
        data = (zoo / file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == case["sha256"]
        if found := disagreement({"already_latest": False, **case}, kind, data):
            wrong[file] = found
    assert wrong == {}


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("caffenet_v0_deploy", "golden_v1_caffenet_deploy"),
        ("caffenet_v0_train", "golden_v1_caffenet_train"),
        ("cifar10_full_v0_train", "golden_v1_cifar10_full_train"),
        ("lenet_v0_deploy", "golden_v1_lenet_deploy"),
        ("lenet_v0_train", "golden_v1_lenet_train"),
        ("caffenet_v1_train_val", "golden_v2_caffenet_train_val"),
        ("googlenet_v1_train_val", "golden_v2_googlenet_train_val"),
        ("siamese_v1_train_test", "golden_v2_siamese_train_test"),
    ],
)
def test_conversions_that_upstream_made(zoo, old, new):
    before, after = (parse((zoo / "prototxt" / f"{name}.prototxt").read_bytes()) for name in (old, new))
    assert difference(tree(upgrade_net(before)[0]), tree(upgrade_net(after)[0])) == ""


LATEST = 'layer { name: "r" type: "ReLU" param { lr_mult: 1 } }  # as it is\n'


def test_a_network_in_v2_is_returned_itself():
    net = parse(LATEST)
    assert not needs_net_upgrade(net)
    assert upgrade_net(net)[0] is net
    assert upgrade_net(net)[1] == ()


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("layers { layer { } }", {needs_v0_upgrade, needs_v1_upgrade}),
        ("layers { }", {needs_v1_upgrade}),
        ('input: "a"', {needs_input_upgrade}),
        ("input: []", set()),
        ("input_dim: 1", set()),
        ('layer { type: "BatchNorm" param {} param {} param {} }', {needs_batch_norm_upgrade}),
        ('layer { type: "BatchNorm" param {} param {} }', set()),
        ('layer { type: "Scale" param {} param {} param {} }', set()),
    ],
)
def test_what_needs_an_upgrade(text, needs):
    net = parse(text)
    predicates = {needs_v0_upgrade, needs_v1_upgrade, needs_input_upgrade, needs_batch_norm_upgrade}
    assert {predicate for predicate in predicates if predicate(net)} == needs
    assert needs_net_upgrade(net) == bool(needs)


def test_inputs_become_a_layer_where_they_were():
    text = '# head\nname: "n"\ninput: "a"  # in\ninput_dim: [1, 2, 3, 4]\n\nlayer { name: "r" }\n'
    net, notes = upgrade_input(parse(text))
    assert dump(net).decode() == (
        '# head\nname: "n"\nlayer {\n  name: "input"\n  type: "Input"\n  top: "a"\n  input_param {\n    shape {\n'
        '      dim: 1\n      dim: 2\n      dim: 3\n      dim: 4\n    }\n  }\n}  # in\n\nlayer { name: "r" }\n'
    )
    assert [note.step for note in notes] == ["upgrade"]


def test_inputs_behind_layers_come_first_all_the_same():
    net, _ = upgrade_input(parse('layer { name: "r" }\ninput: "a" input_shape { dim: 7 # batch\n dim: 8 }\n'))
    assert [layer.string("name") for layer in net.messages("layer")] == ["input", "r"]
    shape = net.messages("layer")[0].message("input_param").message("shape")
    assert shape.integers("dim") == (7, 8)
    assert b"# batch" in dump(net)
    assert parse(dump(net)) == net


@pytest.mark.parametrize(
    "text", ['input: "a" input: "b" input_shape { dim: 1 }', 'input: "a" input_dim: 1 input_dim: 2 input_dim: 3']
)
def test_inputs_without_enough_shapes_are_refused(text):
    with pytest.raises(NetError, match="every input needs"):
        upgrade_net(parse(text))


def test_batch_norm_is_frozen_in_place():
    params = "  param { lr_mult: 1 } # mean\n  param { lr_mult: 0 decay_mult: 0 }\n  param { }\n"
    text = f'layer {{\n  type: "BatchNorm"\n{params}}}\n'
    net, notes = upgrade_net(parse(text))
    assert dump(net).decode() == (
        'layer {\n  type: "BatchNorm"\n  param { lr_mult: 0 decay_mult: 0 } # mean\n'
        "  param { lr_mult: 0 decay_mult: 0 }\n  param { lr_mult: 0 decay_mult: 0 }\n}\n"
    )
    assert len(notes) == 1
    assert upgrade_net(net) == (net, ())


@pytest.mark.parametrize("value", [Word("RMSPROP"), 3])
def test_a_solver_keeps_its_text(value):
    solver = parse("# s\nsolver_type: RMSPROP # t\nbase_lr: 0.10\n").set("solver_type", value)
    assert needs_solver_upgrade(solver)
    assert dump(upgrade_solver(solver)[0]) == b'# s\ntype: "RMSProp" # t\nbase_lr: 0.10\n'


@pytest.mark.parametrize(
    "text", ["solver_type: 6", "solver_type: -1", "solver_type: FOO", "solver_type: ADAM type: 'SGD'"]
)
def test_solvers_refused(text):
    with pytest.raises(NetError, match="solver_type"):
        upgrade_solver(parse(text))


NAMES = [
    *("layers", "layer", "name", "type", "bottom", "top", "input", "input_dim", "input_shape", "dim", "blobs"),
    *("param", "blobs_lr", "blob_share_mode", "weight_decay", "pad", "pool", "scale", "num_output", "weight_filler"),
    *("data_param", "transform_param", "solver_type"),
]
WORDS = [Word("DATA"), Word("RELU"), Word("MAX"), Word("X")]
VALUES = st.sampled_from(["conv", "padding", "pool", "a", "BatchNorm", *WORDS, 5, 1, -1, 1e999, ()])


def networks(depth: int) -> st.SearchStrategy[Message]:
    """Trees of the names that upgrades look at, most of them senseless."""
    values = VALUES | networks(depth - 1) if depth else VALUES
    return st.lists(st.builds(Field, st.sampled_from(NAMES), values), max_size=5).map(Message)


@given(networks(3))
def test_any_network_is_upgraded_or_refused(net):
    for upgrade in (upgrade_net, upgrade_solver):
        try:
            new, _ = upgrade(parse(dump(net)))
        except (NetError, TextError):
            continue
        assert upgrade(new)[0] == new
        assert parse(dump(new)) == new
