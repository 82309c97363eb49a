import pytest

from demitasse.caffe.text import dump, parse
from demitasse.caffe.upgrade_v0 import upgrade_v0
from demitasse.errors import NetError
from demitasse.message import Message, Word

TEXT = """\
name: "n" # net
layers { # connection
  layer { # inner
    # its name
    name: "c"
    type: "conv"
    num_output: 4 # channels
    weight_filler {
      type: "xavier" # filler
    }
    blobs_lr: 1.
  }
  bottom: "a"
  top: "b" # out
} # end
input: "a"
"""


def test_a_layer_keeps_its_comments():
    assert (
        dump(upgrade_v0(parse(TEXT))[0]).decode()
        == """\
name: "n" # net
layers { # inner
  # its name
  name: "c"
  type: CONVOLUTION
  bottom: "a"
  top: "b" # out
  blobs_lr: 1.
  convolution_param {
    num_output: 4 # channels
    weight_filler {
      type: "xavier" # filler
    }
  }
} # end
input: "a"
"""
    )


def v0(*layers: str, inputs: str = 'input: "d"') -> Message:
    return upgrade_v0(parse(f"{inputs} " + " ".join(f"layers {{ {layer} }}" for layer in layers)))[0]


PADDING = 'layer { name: "p" type: "padding" pad: 2 } bottom: "d" top: "p"'


@pytest.mark.parametrize(("kind", "param"), [("conv", "convolution_param"), ("pool", "pooling_param")])
def test_padding_moves_into_its_reader(kind, param):
    net = v0(PADDING, f'layer {{ name: "r" type: "{kind}" }} bottom: "p" top: "r"')
    (layer,) = net.messages("layers")
    assert layer.strings("bottom") == ("d",)
    assert layer.message(param).integer("pad") == 2


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ((PADDING, 'layer { type: "relu" } bottom: "p"'), "only conv and pool"),
        ((PADDING, 'layer { type: "padding" } bottom: "p"'), "only conv and pool"),
        ((PADDING, 'layer { type: "conv" } bottom: "p" bottom: "d"'), "only one"),
        (
            ('layer { type: "padding" } bottom: "d" bottom: "d" top: "p"', 'layer { type: "conv" } bottom: "p"'),
            "one bottom",
        ),
        (('layer { type: "padding" } bottom: "d" top: "p" top: "q"', 'layer { type: "conv" } bottom: "q"'), "one top"),
        (('layer { name: "x" type: "relu" } bottom: "nowhere"',), 'layer "x" reads "nowhere"'),
        (('layer { name: "x" type: "teleport" }',), 'unknown layer name.*"x".*"teleport"'),
        (('layer { name: "x" type: "pool" pool: 3 }',), "unknown pool method 3"),
    ],
)
def test_refused_as_in_caffe(layers, problem):
    with pytest.raises(NetError, match=problem):
        v0(*layers)


@pytest.mark.parametrize(("written", "method"), [("0", "MAX"), ("1", "AVE"), ("STOCHASTIC", "STOCHASTIC")])
def test_pool_methods_may_be_numbers(written, method):
    (layer,) = v0(f'layer {{ type: "pool" pool: {written} }} top: "x"').messages("layers")
    assert layer.message("pooling_param").get("pool") == Word(method)


def test_a_connection_without_layer_keeps_only_its_blobs():
    net = v0('layer { name: "r" type: "relu" } top: "x"', 'name: "s" type: RELU bottom: "x" top: "y"')
    assert net.messages("layers")[1] == Message.of(("bottom", "x"), ("top", "y"))


def test_what_v0_networks_do_not_have_is_dropped_with_a_note():
    net, notes = upgrade_v0(parse('debug_info: true layer { name: "v2" } layers { layer { type: "relu" } }'))
    assert [field.name for field in net] == ["layers"]
    assert "debug_info, layer" in notes[0].text


def test_scale_is_a_transformation_even_without_a_type():
    (layer,) = v0('layer { scale: 2 num_output: 3 } top: "x"').messages("layers")
    assert layer == Message.of(("top", "x"), ("transform_param", Message.of(("scale", 2))))


def test_blobs_are_carried_along():
    blob = Message.of(("num", 1), ("data", (0.5, 1.5)))
    old = Message.of(("name", "ip"), ("type", "innerproduct"), ("blobs", blob), ("blobs", Message()))
    net, _ = upgrade_v0(Message.of(("layers", Message.of(("layer", old)))))
    assert net.messages("layers")[0].messages("blobs") == (blob, Message())
    assert net.messages("layers")[0].messages("blobs")[0] is blob
