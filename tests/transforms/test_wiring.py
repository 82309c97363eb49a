import pytest

from demitasse.caffe.read import parse_net
from demitasse.errors import NetError
from demitasse.net import Layer
from demitasse.transforms.wiring import Wiring, fresh
from filled_networks import conv, data, layer

CHAIN = data(1, 3, 8, 8) + conv("x", "data") + layer("ReLU", "r", "x", top="x") + conv("y", "x")


def wiring(text: str) -> Wiring:
    return Wiring.of(parse_net(text.encode()))


def test_what_is_not_changed_is_the_same():
    net = parse_net(CHAIN.encode())
    assert Wiring.of(net).net().layers == net.layers


def test_a_value_in_place_is_another_value():
    work = wiring(CHAIN)
    assert work.sources == {0: [], 1: [(0, 0)], 2: [(1, 0)], 3: [(2, 0)]}
    assert work.only_reader((1, 0)) == 2
    assert work.only_reader((3, 0)) is None
    assert work.fixed == {(3, 0): "y"}


def test_bypass_joins_the_ends():
    work = wiring(CHAIN)
    assert work.bypass(2)
    assert [(one.name, one.inputs, one.outputs) for one in work.net().layers][1:] == [
        ("x", ("data",), ("x",)),
        ("y", ("x",), ("y",)),
    ]


def test_bypassing_the_last_layer_keeps_the_name_of_the_output():
    work = wiring(data(1, 3, 8, 8) + conv("x", "data") + layer("ReLU", "r", "x"))
    assert work.bypass(2)
    assert work.net().layers[-1].outputs == ("r",)


def test_an_input_that_is_an_output_cannot_be_renamed():
    work = wiring(data(1, 3, 8, 8) + layer("ReLU", "r", "data"))
    assert not work.bypass(1)
    assert [one.name for one in work.net().layers] == ["data", "r"]


def test_a_name_that_is_still_needed_is_not_given_away():
    """Reading the value before the ReLU keeps the ReLU from working in place."""
    work = wiring(CHAIN)
    work.redirect((2, 0), (1, 0))
    work.add(Layer("z", "ReLU", ("x",), ("z",)), [(2, 0)])
    net = work.net()
    assert [(one.inputs, one.outputs) for one in net.layers[2:]] == [
        (("x",), ("x_2",)),
        (("x",), ("y",)),
        (("x_2",), ("z",)),
    ]


def test_what_is_read_from_outside_gets_its_name_before_others():
    work = wiring(CHAIN)
    work.fixed[1, 0] = "x"
    names = {one.name: one.outputs for one in work.net().layers}
    assert names["x"] == ("x",)
    assert names["r"] != ("x",)


def test_what_is_read_cannot_be_removed():
    with pytest.raises(NetError, match='"x" is still read'):
        wiring(CHAIN).remove(1)


def test_layers_of_the_training_phase_stay_where_they_are():
    text = CHAIN + 'layer { name: "t" type: "EuclideanLoss" bottom: "x" bottom: "x" include { phase: TRAIN } }\n'
    text += layer("ReLU", "end", "y")
    work = wiring(text)
    assert (2, 0) in work.fixed
    assert [one.name for one in work.net().layers] == ["data", "x", "r", "y", "t", "end"]


def test_distinct_names_for_all_values():
    work = wiring(CHAIN)
    net, names = work.distinct()
    assert sorted(names.values()) == ["data", "x", "x_2", "y"]
    assert net.layers[3].inputs == ("x_2",)


def test_what_reads_nothing_is_told():
    with pytest.raises(NetError, match='reads "nothing"'):
        wiring(CHAIN + conv("z", "nothing"))


@pytest.mark.parametrize(("taken", "name"), [([], "a"), (["a"], "a_2"), (["a", "a_2"], "a_3")])
def test_fresh_names(taken, name):
    assert fresh("a", taken) == name
