import pytest

from demitasse.caffe.text import dump, parse
from demitasse.caffe.upgrade_v1 import needs_data_upgrade, upgrade_data, upgrade_v1
from demitasse.errors import NetError
from demitasse.message import Message

TEXT = """\
# a V1 network
name: "n"
layers { # open
  name: "c"   # named
  type: CONVOLUTION  # typed
  blobs_lr: 1     # filters
  blobs_lr: 2     # biases
  weight_decay: 1 # also filters
  weight_decay: 0

  # then
  convolution_param { num_output: 0x10 }
}
"""


def test_spacing_and_comments_stay():
    assert (
        dump(upgrade_v1(parse(TEXT))[0]).decode()
        == """\
# a V1 network
name: "n"
layer { # open
  name: "c"   # named
  type: "Convolution"  # typed
  param {
    lr_mult: 1
    decay_mult: 1
  }     # filters
  param {
    lr_mult: 2
    decay_mult: 0
  }     # biases

  # then
  convolution_param { num_output: 0x10 }
}
"""
    )


def upgraded(layer: str) -> Message:
    (new,) = upgrade_v1(parse(f"layers {{ {layer} }}"))[0].messages("layer")
    return new


@pytest.mark.parametrize(
    ("written", "type_"),
    [
        ("NONE", ""),
        ("0", ""),
        ("4", "Convolution"),
        ("39", "Deconvolution"),
        ("0x12", "ReLU"),
        ("SOFTMAX_LOSS", "SoftmaxWithLoss"),
        ("ARGMAX", "ArgMax"),
        ("IMAGE_SEG_DATA", "ImageSegData"),
        ("PRELU", "PReLU"),
    ],
)
def test_types(written, type_):
    assert upgraded(f"type: {written}").get("type") == type_


def test_a_number_that_upstream_does_not_have_is_no_type():
    net, notes = upgrade_v1(parse('layers { name: "x" type: 77 }'))
    assert net == Message.of(("layer", Message.of(("name", "x"))))
    assert "77" in notes[-1].text


def test_no_type_stays_no_type():
    assert "type" not in upgraded('name: "x"')


@pytest.mark.parametrize(
    ("old", "specs"),
    [
        ("blobs_lr: 1", ["lr_mult: 1"]),
        ("blobs_lr: [1, 2] weight_decay: 3", ["lr_mult: 1 decay_mult: 3", "lr_mult: 2"]),
        ("weight_decay: 3 blobs_lr: 1 blobs_lr: 2", ["lr_mult: 1 decay_mult: 3", "lr_mult: 2"]),
        ('param: "w" param: "b"', ['name: "w"', 'name: "b"']),
        ("blob_share_mode: 1 blob_share_mode: STRICT", ["share_mode: PERMISSIVE", "share_mode: STRICT"]),
        ('weight_decay: 4 param: "w" blob_share_mode: 0', ['name: "w" share_mode: STRICT decay_mult: 4']),
    ],
)
def test_what_was_said_of_blobs(old, specs):
    assert upgraded(old).messages("param") == tuple(parse(spec) for spec in specs)


def test_a_list_of_layers():
    net = upgrade_v1(parse('layers: [{ name: "a" type: RELU }, { name: "b" blobs_lr: 1 }] name: "n"'))[0]
    assert dump(net) == b'layer: [{ name: "a" type: "ReLU" }, { name: "b" param { lr_mult: 1 } }] name: "n"'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("layer { } layers { }", "both 'layer' and 'layers'"),
        ('layers { name: "x" blob_share_mode: 2 }', 'layer "x": unknown blob_share_mode 2'),
        ('layers { name: "x" type: "ReLU" }', 'layer "x": .* bare word'),
        ('layers { name: "x" param { lr_mult: 1 } }', "'param' should be a plain value"),
    ],
)
def test_refused(text, problem):
    with pytest.raises(NetError, match=problem):
        upgrade_v1(parse(text))


def test_fields_of_forks_and_blobs_are_carried_along():
    blob = Message.of(("shape", Message.of(("dim", 2))))
    old = Message.of(("type", 14), ("blobs", blob), ("permute_param", Message.of(("order", 1))))
    (new,) = upgrade_v1(Message.of(("layers", old)))[0].messages("layer")
    assert new == Message.of(("type", "InnerProduct"), ("blobs", blob), ("permute_param", Message.of(("order", 1))))
    assert new.messages("blobs")[0] is blob


def test_one_old_transformation_gives_every_data_layer_both_messages():
    net = parse(
        'layers { type: DATA data_param { source: "s" scale: 2 } transform_param { mirror: true } }'
        "layers { type: 12 } layers { type: WINDOW_DATA window_data_param { } } layers { type: RELU }"
    )
    assert needs_data_upgrade(net)
    layers = upgrade_data(net)[0].messages("layers")
    assert layers[0].message("data_param") == Message.of(("source", "s"))
    assert layers[0].message("transform_param") == parse("mirror: true scale: 2")
    assert [sorted(field.name for field in layer) for layer in layers[1:]] == [
        ["image_data_param", "transform_param", "type"],
        ["transform_param", "type", "window_data_param"],
        ["type"],
    ]


@pytest.mark.parametrize(
    "text", ['layers { type: DATA data_param { source: "s" } }', "layers { type: RELU data_param { scale: 2 } }"]
)
def test_no_old_transformation(text):
    assert not needs_data_upgrade(parse(text))
