import numpy as np
import pytest

from demitasse.layers import LAYERS
from demitasse.layers.sizes import UNKNOWN
from demitasse.layers.ties import tie
from demitasse.layers.ties_table import TIES
from demitasse.layers.units import Knots, Units, carried, spread
from demitasse.message import Message
from demitasse.net import Dense, Layer, Net


def layer(name, kind, inputs, outputs, field="", *tensors, **param):
    message = Message.of((field, Message.of(*param.items()))) if field else Message()
    return Layer(name, kind, tuple(inputs), tuple(outputs), message, tuple(map(Dense, tensors)))


def data(*dims, name="data"):
    return layer(name, "Input", [], [name], "input_param", shape=Message.of(("dim", dims)))


def conv(name, source, filters, channels, group=1, kernel=1):
    weights = np.ones((filters, channels // group, kernel, kernel), np.float32)
    param = {"num_output": filters, "kernel_size": kernel, "group": group, "bias_term": False}
    return layer(name, "Convolution", [source], [name], "convolution_param", weights, **param)


def groups(net, *names):
    """For each blob, the groups of its channels, numbered in order of appearance."""
    ties = tie(net)
    units = {}
    for tied in ties.placed:
        units.update(dict(zip(tied.layer.outputs, tied.outputs, strict=True)))
    found = [ties.groups[units[name].ids].tolist() for name in names]
    numbers = {}
    return [[numbers.setdefault(group, len(numbers)) for group in one] for one in found]


def test_every_type_of_layer_has_a_row():
    assert set(TIES) == set(LAYERS)


def test_groups_are_the_connected_components():
    knots = Knots()
    ids = knots.fresh(8)
    knots.tie(ids[[5, 3, 6]], ids[[3, 1, 7]], 0)
    knots.tie(ids[:1], ids[:1], 0)
    assert knots.groups().tolist() == [0, 1, 2, 1, 4, 1, 6, 6]


@pytest.mark.parametrize(
    ("shape", "axis", "out", "expected"),
    [
        ((2, 3, 2, 2), 1, (2, 12), (1, [0] * 4 + [1] * 4 + [2] * 4)),
        ((2, 2, 2, 3), 3, (2, 12), (1, [0, 1, 2] * 4)),
        ((2, 3, 2, 2), 1, (2, 3, 4), (1, [0, 1, 2])),
        ((2, 6, 2, 2), 1, (2, 2, 3, 4), None),
        ((2, 3, 1, 1), 1, (2, 3), (1, [0, 1, 2])),
        ((UNKNOWN, 3, 2, 1), 1, (UNKNOWN, 6), (1, [0, 0, 1, 1, 2, 2])),
        ((2, 3, UNKNOWN, 4), 1, (2, 3, UNKNOWN, 4), (1, [0, 1, 2])),
        ((2, 3, UNKNOWN, 4), 1, (2, UNKNOWN), None),
    ],
)
def test_channels_are_found_again_in_another_shape(shape, axis, out, expected):
    moved = carried(Units(axis, np.arange(shape[axis])), shape, out)
    assert (moved and (moved.axis, moved.ids.tolist())) == expected


def test_columns_of_a_matrix_read_the_channels_in_order():
    units = Units(1, np.array([7, 8]))
    assert spread(units, (1, 2, 2, 1), 1, 4).tolist() == [0, 0, 1, 1]
    assert spread(units, (1, 2, UNKNOWN, 3), 1, 12).tolist() == [0] * 6 + [1] * 6
    assert spread(units, (1, 2, 3), 2, 3) is None
    assert spread(Units(2, np.arange(3)), (1, 2, 3), 1, 6).tolist() == [0, 1, 2, 0, 1, 2]


CASES = {
    "a sum ties its branches": (
        [conv("a", "data", 2, 3), conv("b", "data", 2, 3), layer("c", "Eltwise", "ab", "c")],
        ("a", "b", "c"),
        [[0, 1], [0, 1], [0, 1]],
    ),
    "a list puts channels behind each other, also the same ones twice": (
        [conv("a", "data", 2, 3), conv("b", "data", 1, 3), layer("c", "Concat", ["a", "b", "a"], "c")],
        ("a", "b", "c"),
        [[0, 1], [2], [0, 1, 2, 0, 1]],
    ),
    "pieces keep their channels": (
        [conv("a", "data", 3, 3), layer("s", "Slice", "a", "bc", "slice_param", slice_point=1)],
        ("a", "b", "c"),
        [[0, 1, 2], [0], [1, 2]],
    ),
    "a filter makes channels of its own": ([conv("a", "data", 2, 3), conv("b", "a", 2, 2)], "ab", [[0, 1], [2, 3]]),
    "shuffling ties channels at the same place of each group": (
        [conv("a", "data", 4, 3), layer("s", "ShuffleChannel", "a", "s", "shuffle_channel_param", group=2)],
        ("a", "s"),
        [[0, 1, 0, 1], [0, 0, 1, 1]],
    ),
    "a probability ties all classes": ([conv("a", "data", 3, 3), layer("p", "Softmax", "a", "p")], "p", [[0, 0, 0]]),
    "a factor from another branch goes with its channel": (
        [
            conv("a", "data", 2, 3),
            layer("m", "Pooling", "a", "m", "pooling_param", global_pooling=True),
            layer("f", "InnerProduct", "m", "f", "inner_product_param", np.ones((2, 2)), num_output=2, bias_term=False),
            layer("s", "Scale", "af", "s", "scale_param", axis=0),
        ],
        ("a", "f", "s"),
        [[0, 1], [0, 1], [0, 1]],
    ),
    "tiles are copies": (
        [conv("a", "data", 2, 3), layer("t", "Tile", "a", "t", "tile_param", tiles=2)],
        ("a", "t"),
        [[0, 1], [0, 1, 0, 1]],
    ),
    "pixels from several channels": (
        [conv("a", "data", 8, 3), layer("p", "PixelShuffle", "a", "p", "pixelshuffle_param", upscale_factor=2)],
        ("a", "p"),
        [[0, 0, 0, 0, 1, 1, 1, 1], [0, 1]],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_hangs_together(case):
    layers, names, expected = CASES[case]
    net = Net("small", (data(1, 3, 4, 4), *layers))
    assert groups(net, *names) == expected


def test_shared_weights_tie_what_they_make_and_what_they_read():
    param = Message.of(("name", "w"))
    a, b = (conv(name, source, 3, 3) for name, source in (("a", "data"), ("b", "a")))
    a, b = (
        Layer(one.name, one.type, one.inputs, one.outputs, one.message.add("param", param), one.tensors)
        for one in (a, b)
    )
    assert groups(Net("siamese", (data(1, 3, 4, 4), a, b)), "data", "a", "b") == [[0, 1, 2]] * 3


def test_what_an_unknown_layer_touches_is_pinned_and_named():
    net = Net("odd", (data(1, 3, 4, 4), conv("a", "data", 2, 3), layer("q", "Quux", "a", "q")))
    ties = tie(net)
    (pin,) = (pin for pin in ties.pins if pin.kind == "opaque")
    assert ties.net.layers[pin.layer].name == "q"
    assert "type is not known" in pin.text
    assert ties.pinned.all()


def test_outputs_are_pinned_unless_they_are_named():
    net = Net("small", (data(1, 3, 4, 4), conv("a", "data", 2, 3)))
    assert tie(net).pinned.all()
    assert tie(net, allow=["a"]).pinned.tolist() == [True] * 3 + [False] * 2


def test_a_layer_of_both_phases_is_one():
    train = Message.of(("include", Message.of(("phase", "TRAIN"))))
    extra = Layer("b", "Convolution", ("a",), ("b",), Message((*conv("b", "a", 2, 2).message, *train)))
    net = Net("two", (data(1, 3, 4, 4), conv("a", "data", 2, 3), conv("c", "a", 2, 2), extra))
    ties = tie(net)
    assert len(ties.by_position[1]) == 2
    assert len(ties.by_position[3]) == 1
    first, second = (tied.outputs[0].ids for tied in ties.by_position[1])
    assert (ties.groups[first] == ties.groups[second]).all()
