import numpy as np

from demitasse.net import Dense, Layer, Net
from demitasse.report.changes import changes, layer_rows, listed, others, reshaped, tensor_rows


def layer(name: str, *shapes: tuple[int, ...], kind: str = "Convolution", dtype=np.float32) -> Layer:
    return Layer(name, kind, tensors=tuple(Dense(np.zeros(shape, dtype)) for shape in shapes))


BEFORE = Net("n", (layer("a", (4, 3), (4,)), layer("r", kind="ReLU"), layer("b", (8, 4)), layer("c", (2, 2))))
AFTER = Net(
    "n",
    (
        layer("a", (2, 3), (2,)),
        layer("b_L", (1, 4)),
        layer("b_U", (8, 1)),
        layer("prob", kind="Softmax"),
        layer("c", (2, 2)),
    ),
)


def test_what_is_other_gone_and_new_in_order():
    found = changes(BEFORE, AFTER)
    assert [one.layer for one in found] == ["a", "b_L", "b_U", "prob", "r", "b"]
    assert [one.layer for one in reshaped(found)] == ["a", "b_L", "b_U"]
    assert others(found) == "2 gone: r, b; 1 new: prob"


def test_the_same_network_has_no_changes():
    assert changes(BEFORE, BEFORE) == []
    assert others([]) == ""


def test_another_type_of_number_is_a_change():
    small = Net("n", (layer("a", (4, 3), (4,), dtype=np.float16), *BEFORE.layers[1:]))
    (found,) = changes(BEFORE, small)
    assert (found.as_dict()["bytes_before"], found.as_dict()["bytes_after"]) == (64, 32)


def test_layers_of_one_name_are_paired_in_order():
    twice = Net("n", (layer("a", (1,)), layer("a", (2,))))
    (found,) = changes(twice, Net("n", twice.layers[:1]))
    assert (found.before, found.after) == (twice.layers[1].tensors, None)


def test_rows():
    found = changes(BEFORE, AFTER)
    assert layer_rows(found)[0] == ["a", "Convolution", "4×3, 4", "2×3, 2", "64 bytes", "→ 32 bytes"]
    assert layer_rows(found)[1][2:5] == ["–", "1×4", "–"]  # or the heading would go with an empty column
    assert [row[:3] for row in tensor_rows(found)][:3] == [
        ["a[0]", "4×3", "2×3"],
        ["a[1]", "4", "2"],
        ["b_L[0]", "–", "1×4"],
    ]


def test_long_lists_are_cut():
    assert listed(list("abcdef")) == "a, b, c, d and 2 more"
