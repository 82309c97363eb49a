import numpy as np
import pytest

from demitasse.net import Dense
from demitasse.transforms.fold import Fold
from filled_networks import conv, data, error, filled, layer, reasons, types

pytest.importorskip("torch")

BN = 'layer {{ name: "bn" type: "BatchNorm" bottom: "{0}" top: "{1}" }}\n'
SCALE = 'layer {{ name: "scale" type: "Scale" bottom: "{0}" top: "{1}" scale_param {{ bias_term: true }} }}\n'
BEHIND = BN.format("x", "x") + SCALE.format("x", "x")

CONVOLUTIONS = {
    "plain": "num_output: 6 kernel_size: 3 pad: 1",
    "no bias": "num_output: 6 kernel_size: 3 bias_term: false",
    "groups": "num_output: 6 kernel_size: 3 stride: 2 group: 2",
    "depthwise": "num_output: 4 kernel_size: 3 group: 4 pad: 1",
    "dilated": "num_output: 5 kernel_h: 3 kernel_w: 1 dilation: 2 bias_term: false",
}


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_behind_a_convolution_it_folds_whatever_the_border(kind, options):
    text = data(2, 4, 9, 8) + layer(kind, "x", "data", f"convolution_param {{ {options} }}") + BEHIND
    net = filled(text)
    folded = Fold()(net)
    assert types(folded) == ["Input", kind]
    assert error(net, folded) < 1e-6
    assert len(folded.layers[1].tensors) == 2


@pytest.mark.parametrize("options", ["", "bias_term: false", "transpose: true", "axis: 2"])
def test_behind_and_before_an_inner_product(options):
    axis = "axis: 2" if "axis" in options else ""
    text = data(3, 4, 5, 2)
    text += layer("Scale", "before", "data", f"scale_param {{ bias_term: true {axis} }}")
    text += layer("InnerProduct", "x", "before", f"inner_product_param {{ num_output: 7 {options} }}")
    text += layer("Scale", "scale", "x", f"scale_param {{ bias_term: true {axis} }}", "x")
    text += layer("Bias", "bias", "x", f"bias_param {{ {axis} }}")
    net = filled(text)
    folded = Fold()(net)
    assert types(folded) == ["Input", "InnerProduct"]
    assert folded.layers[1].outputs == ("bias",)
    assert error(net, folded) < 1e-6


@pytest.mark.parametrize(
    ("options", "shift", "goes"),
    [
        ("num_output: 6 kernel_size: 3", True, True),
        ("num_output: 6 kernel_size: 3 pad: 1", True, False),
        ("num_output: 6 kernel_size: 3 pad: 1", False, True),
        ("num_output: 6 kernel_size: 3 group: 2 stride: 2", True, True),
    ],
)
def test_in_front_of_a_convolution_only_without_padding_or_without_shift(options, shift, goes):
    text = data(2, 4, 9, 8) + layer("Scale", "s", "data", f"scale_param {{ bias_term: {str(shift).lower()} }}")
    net = filled(text + conv("x", "s", options))
    folded = Fold()(net)
    assert (types(folded) == ["Input", "Convolution"]) == goes
    assert error(net, folded) < 1e-6
    if not goes:
        assert "pads its input with zeros" in reasons(folded, "fold")["s"]


@pytest.mark.parametrize(
    ("options", "blobs", "reason"),
    [
        ("bn_param { bn_mode: INFERENCE scale_filler { type: 'constant' } }", 2, ""),
        ("bn_param { scale_filler { type: 'constant' } }", 2, "the statistics of each batch"),
        ("bn_param { slope_filler { type: 'constant' } }", 4, ""),
        ("bn_param { frozen: true eps: 0.01 }", 4, ""),
    ],
)
def test_batch_normalisation_of_forks_folds_if_it_is_one_number_for_each_channel(options, blobs, reason):
    net = filled(data(2, 4, 6, 6) + conv("x", "data") + layer("BN", "b", "x", options))
    assert len(net.layers[-1].tensors) == blobs
    folded = Fold()(net)
    assert ("BN" in types(folded)) == bool(reason)
    assert error(net, folded) < 1e-6
    if reason:
        assert reason in reasons(folded, "fold")["b"]


@pytest.mark.parametrize("kernel", [1, 2])
def test_a_deconvolution_sees_a_shift_everywhere_only_if_it_covers_each_place_once(kernel):
    text = data(1, 3, 4, 4) + SCALE.format("data", "s")
    text += layer("Deconvolution", "x", "s", f"convolution_param {{ num_output: 2 kernel_size: {kernel} }}")
    net = filled(text)
    folded = Fold()(net)
    assert ("Scale" in types(folded)) == (kernel == 2)
    assert error(net, folded) < 1e-6


def test_all_readers_take_it_in_or_none_does():
    front = data(1, 4, 6, 6) + SCALE.format("data", "s") + conv("a", "s")
    both = filled(front + conv("b", "s", "num_output: 2 kernel_size: 1"))
    assert types(Fold()(both)) == ["Input", "Convolution", "Convolution"]
    assert error(both, Fold()(both)) < 1e-6
    other = filled(front + layer("ReLU", "b", "s"))
    assert "Scale" in types(Fold()(other))


def test_another_reader_of_the_value_between_prevents_it():
    net = filled(data(1, 4, 6, 6) + conv("x", "data") + SCALE.format("x", "s") + layer("ReLU", "r", "x"))
    folded = Fold()(net)
    assert types(folded) == types(net)
    assert reasons(folded, "fold") == {"scale": "others read x, too: r"}


def test_an_output_of_the_network_keeps_its_value():
    text = (
        data(1, 4, 6, 6)
        + conv("x", "data")
        + SCALE.format("x", "s")
        + layer("Silence", "q", "x").replace('top: "q"', "")
    )
    net = filled(text)
    assert error(net, Fold()(net)) < 1e-6
    assert "Scale" in types(Fold()(net))


def test_two_become_one_where_nothing_takes_them_in():
    text = data(2, 4, 6, 6) + layer("Pooling", "p", "data", "pooling_param { kernel_size: 2 }")
    net = filled(text + BN.format("p", "b") + SCALE.format("b", "s") + layer("ReLU", "r", "s", top="s"))
    folded = Fold()(net)
    assert types(folded) == ["Input", "Pooling", "Scale", "ReLU"]
    assert [one.name for one in folded.layers][2] == "scale"
    assert error(net, folded) < 1e-6


def test_power_of_exponent_one_is_linear_and_others_are_not():
    power = 'layer {{ name: "p" type: "Power" bottom: "x" top: "x" power_param {{ scale: -0.5 shift: 0.25 {} }} }}\n'
    for more, left in (("", 0), ("power: 2", 1)):
        net = filled(data(1, 4, 6, 6) + conv("x", "data") + power.format(more))
        folded = Fold()(net)
        assert types(folded).count("Power") == left
        assert error(net, folded) < 1e-6


def test_a_factor_of_zero_means_no_mean_and_no_variance():
    net = filled(data(1, 4, 6, 6) + conv("x", "data") + BEHIND)
    zero = Dense(np.zeros(1, np.float32))
    net = net.with_layers(
        one.with_tensors((*one.tensors[:2], zero)) if one.type == "BatchNorm" else one for one in net.layers
    )
    folded = Fold()(net)
    assert types(folded) == ["Input", "Convolution"]
    assert error(net, folded) < 1e-6


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("batch_norm_param { use_global_stats: false }", "statistics of each batch"),
        ('param { name: "m" lr_mult: 0 }', ""),
    ],
)
def test_batch_statistics_stay(options, reason):
    net = filled(data(2, 4, 6, 6) + conv("x", "data") + layer("BatchNorm", "b", "x", options))
    folded = Fold()(net)
    assert ("BatchNorm" in types(folded)) == bool(reason)
    assert reason in reasons(folded, "fold").get("b", "")


def test_shared_weights_stay():
    shared = 'param {{ name: "w" }} convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 }}'.replace(
        "{{", "{"
    ).replace("}}", "}")
    text = data(1, 4, 6, 6) + layer("Convolution", "x", "data", shared) + SCALE.format("x", "s")
    net = filled(text + layer("Convolution", "y", "s", shared))
    folded = Fold()(net)
    assert "shared" in reasons(folded, "fold")["scale"]
    assert error(net, folded) < 1e-6


def test_the_text_keeps_its_comments_and_names():
    from demitasse.caffe.write import prototxt

    text = data(1, 4, 6, 6) + "# the first\n" + conv("x", "data") + BEHIND + "# the end\n" + layer("ReLU", "r", "x")
    written = prototxt(Fold()(filled(text))).decode()
    assert "# the first" in written
    assert "# the end" in written
    assert "BatchNorm" not in written


def test_running_it_again_changes_nothing():
    net = Fold()(filled(data(1, 4, 6, 6) + conv("x", "data", "num_output: 4 kernel_size: 3") + BEHIND))
    assert Fold()(net).layers == net.layers


def test_nan_is_not_spread():
    net = filled(data(1, 4, 6, 6) + conv("x", "data") + BN.format("x", "x"))
    broken = [Dense(np.full(6, -1, np.float32))]
    net = net.with_layers(
        one.with_tensors((one.tensors[0], *broken, one.tensors[2])) if one.type == "BatchNorm" else one
        for one in net.layers
    )
    assert reasons(Fold()(net), "fold") == {"bn": "its numbers are not finite"}


def test_a_layer_that_looks_at_the_shape_alone_does_not_hold_it():
    text = data(1, 4, 6, 6) + SCALE.format("data", "s") + conv("a", "s")
    text += layer("PriorBox", "boxes", "s data", "prior_box_param { min_size: 2 }")
    net = filled(text)
    assert "Scale" not in types(Fold()(net))
    assert error(net, Fold()(net)) < 1e-6


def random_text(seed: int) -> str:
    """Chains of layers that can be folded and layers that cannot, in place or not, with readers in between."""
    rng = np.random.default_rng(seed)
    text, blobs, count = data(2, 4, 9, 9), [("data", 9)], 0
    for _ in range(int(rng.integers(4, 14))):
        bottom, size = blobs[-1] if rng.random() < 0.8 else blobs[rng.integers(len(blobs))]
        kind = rng.choice(["conv", "BatchNorm", "Scale", "Bias", "Power", "ReLU", "Eltwise", "Deconvolution"])
        count += 1
        name = f"l{count}"
        top = (
            bottom
            if kind not in ("conv", "Eltwise", "Deconvolution") and bottom != "data" and rng.random() < 0.5
            else name
        )
        if kind == "conv":
            kernel, pad = rng.choice([1, 3]), rng.choice([0, 1])
            if size + 2 * pad - kernel < 1:
                continue
            group = rng.choice([1, 2, 4])
            text += conv(name, bottom, f"num_output: 4 kernel_size: {kernel} pad: {pad} group: {group}")
            size = int(size + 2 * pad - kernel + 1)
        elif kind == "Deconvolution":
            size += 1
            text += layer(kind, name, bottom, "convolution_param { num_output: 4 kernel_size: 2 group: 2 }")
        elif kind == "Eltwise":
            other = next((one for one, its in blobs if its == size and one != bottom), None)
            if other is None:
                continue
            text += layer(kind, name, f"{bottom} {other}")
        else:
            options = {"Scale": "scale_param { bias_term: true }", "Power": "power_param { scale: -0.5 shift: 0.3 }"}
            text += layer(kind, name, bottom, options.get(kind, ""), top=top)
        if top == name:
            blobs.append((name, size))
    return text + layer("InnerProduct", "end", blobs[-1][0], "inner_product_param { num_output: 3 }")


@pytest.mark.parametrize("seed", range(30))
def test_random_networks_stay_what_they_are(seed):
    net = filled(random_text(seed), seed)
    folded = Fold()(net)
    assert error(net, folded) < 2e-5
    assert Fold()(folded).layers == folded.layers


def test_random_networks_do_fold():
    nets = [filled(random_text(seed), seed) for seed in range(30)]
    assert sum(len(net.layers) - len(Fold()(net).layers) for net in nets) > 30
