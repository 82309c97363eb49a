import numpy as np
import pytest

from demitasse.errors import NetError, OptionError, WeightsError
from demitasse.transforms import surgery
from filled_networks import conv, data, fed, filled, layer, relative, types

pytest.importorskip("torch")
from demitasse.runtime import run

FC = layer("InnerProduct", "fc", "x", "inner_product_param { num_output: 5 }")
PLAIN = data(2, 3, 8, 8) + conv("x", "data") + FC
PADDED = data(2, 3, 8, 8) + conv("x", "data", "num_output: 6 kernel_size: 3 pad: 1") + FC


def test_weights_by_name():
    net, source = filled(PLAIN, 1), filled(PLAIN, 2)
    found = surgery.copy_weights(net, source)
    assert all(a.tensors == b.tensors for a, b in zip(found.layers, source.layers, strict=True))


def test_weights_by_mapping_keep_their_order_in_another_shape():
    source = filled(PLAIN, 1)
    text = data(2, 3, 8, 8) + conv("x", "data") + conv("fc-conv", "x", "num_output: 5 kernel_size: 6")
    found = surgery.copy_weights(filled(text, 2), source, {"x": "x", "fc-conv": "fc"})
    inputs = fed(source)
    assert relative(run(source, inputs)["fc"], run(found, inputs)["fc-conv"][..., 0, 0]) < 1e-6


def test_a_network_without_weights_gets_them():
    source = filled(PLAIN, 1)
    bare = source.with_layers(one.with_tensors(()) for one in source.layers)
    assert surgery.copy_weights(bare, source).parameters == source.parameters


@pytest.mark.parametrize(
    ("mapping", "kind", "message"),
    [
        ({"x": "nothing"}, NetError, 'no layer "nothing"'),
        ({"nothing": "x"}, NetError, 'no layer "nothing"'),
        ({"x": "fc"}, WeightsError, '"x".*that of "fc"'),
        (None, WeightsError, '"x"'),
    ],
)
def test_weights_that_do_not_fit(mapping, kind, message):
    other = filled(PLAIN.replace("num_output: 6 kernel_size: 3", "num_output: 7 kernel_size: 3"))
    with pytest.raises(kind, match=message):
        surgery.copy_weights(filled(PLAIN), other, mapping)


@pytest.mark.parametrize("text", [PLAIN, PADDED, data(2, 3, 8, 8) + FC.replace('"x"', '"data"')])
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_channels_in_another_order(text, order):
    net = filled(text)
    swapped = surgery.swap_channels(net, order)
    picture = fed(net)["data"]
    other = np.empty_like(picture)
    for channel, place in enumerate(order):
        other[:, place] = picture[:, channel]
    assert relative(run(net, {"data": picture})["fc"], run(swapped, {"data": other})["fc"]) < 1e-6
    back = surgery.swap_channels(swapped, tuple(np.argsort(order)))
    assert np.array_equal(back.layers[1].tensors[0].array(), net.layers[1].tensors[0].array())


def test_an_order_names_each_channel_once():
    for order in ((0, 1), (0, 1, 1), (1, 2, 3)):
        with pytest.raises(OptionError, match="3 channels"):
            surgery.swap_channels(filled(PLAIN), order)


def test_only_first_layers_with_weights_can_be_swapped():
    with pytest.raises(NetError, match="ReLU"):
        surgery.swap_channels(filled(data(2, 3, 8, 8) + layer("ReLU", "r", "data")))
    with pytest.raises(NetError, match='no input "x"'):
        surgery.swap_channels(filled(PLAIN), input="x")


@pytest.mark.parametrize(("text", "added"), [(PLAIN, 0), (PADDED, 1)])
def test_preprocessing_moves_into_the_network(text, added):
    net = filled(text)
    folded = surgery.fold_preprocessing(net, (104.0, 117.0, 123.0), 0.017)
    assert types(folded).count("Scale") == added
    raw = np.random.default_rng(0).uniform(0, 255, (2, 3, 8, 8)).astype(np.float32)
    prepared = (raw - np.float32([104, 117, 123]).reshape(-1, 1, 1)) * np.float32(0.017)
    assert relative(run(net, {"data": prepared})["fc"], run(folded, {"data": raw})["fc"]) < 1e-5


def test_a_scale_alone_needs_no_layer():
    assert types(surgery.fold_preprocessing(filled(PADDED), scale=1 / 255)) == types(filled(PADDED))


def test_a_mean_for_each_channel_or_one():
    with pytest.raises(OptionError, match="3 channels"):
        surgery.fold_preprocessing(filled(PLAIN), (1.0, 2.0))
