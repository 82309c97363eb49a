"""Every method, at full rank, is the layer itself: whatever stride, padding, dilation and groups."""

from dataclasses import replace

import numpy as np
import pytest

from demitasse.layers import build, infer
from demitasse.transforms.consistency import consistent
from demitasse.transforms.factorize import put, thin_layers
from demitasse.transforms.lowrank.method import SMOOTH
from demitasse.transforms.lowrank.methods import methods_for
from demitasse.transforms.lowrank.ranks import Choice
from demitasse.transforms.lowrank.spectrum import decaying, root
from demitasse.transforms.lowrank.statistics import observe
from demitasse.transforms.weighted import weighted
from demitasse.transforms.wiring import Wiring
from filled_networks import conv, data, error, fed, filled, layer, relative

pytest.importorskip("torch")

KERNELS = {
    "plain": "num_output: 6 kernel_size: 3",
    "padded": "num_output: 7 kernel_size: 5 pad: 2 stride: 2",
    "oblong": "num_output: 4 kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 2 stride_h: 1 stride_w: 2",
    "dilated": "num_output: 8 kernel_size: 3 dilation: 2 pad: 2 bias_term: false",
    "oblong dilation": "num_output: 5 kernel_size: 3 dilation: 1 dilation: 2",
    "groups": "num_output: 6 kernel_size: 3 pad: 1 group: 2",
    "one by one": "num_output: 5 kernel_size: 1 stride: 2",
}
TRANSPOSED = {
    "doubling": "num_output: 6 kernel_size: 4 stride: 2 pad: 1",
    "oblong": "num_output: 3 kernel_h: 3 kernel_w: 2 stride_h: 3 stride_w: 1 pad_h: 1 bias_term: false",
    "groups": "num_output: 6 kernel_size: 3 group: 2",
    "one by one": "num_output: 5 kernel_size: 1 stride: 2",
}
PRODUCTS = {
    "plain": "num_output: 7",
    "wide": "num_output: 100 bias_term: false",
    "transposed": "num_output: 7 transpose: true",
    "last axis": "num_output: 3 axis: -1",
    "middle axis": "num_output: 9 axis: 2",
}


def target_of(net):
    """The last layer in its place, with its key."""
    shapes = infer(build(net)).blobs
    wiring = Wiring.of(net)
    key = max(wiring.layers)
    return wiring, key, weighted(wiring.layers[key], shapes[wiring.layers[key].inputs[0]])


def factorized(net, method, rank):
    wiring, key, _ = target_of(net)
    put(wiring, key, thin_layers(wiring, key, Choice(method, rank)))
    return consistent(wiring.net())


def cases():
    for name, options in KERNELS.items():
        for method in ("channel", "spatial", "tucker"):
            yield pytest.param(conv("x", "data", options), method, id=f"{method} {name}")
    for name, options in TRANSPOSED.items():
        for method in ("channel", "spatial", "tucker"):
            text = layer("Deconvolution", "x", "data", f"convolution_param {{ {options} }}")
            yield pytest.param(text, method, id=f"{method} transposed {name}")
    for name, options in PRODUCTS.items():
        text = layer("InnerProduct", "x", "data", f"inner_product_param {{ {options} }}")
        yield pytest.param(text, "auto", id=f"inner {name}")


@pytest.mark.parametrize(("text", "name"), list(cases()))
@pytest.mark.parametrize("seeing", [False, True], ids=["blind", "seeing"])
def test_at_full_rank_nothing_is_lost(text, name, seeing):
    net = filled(data(3, 4, 10, 9) + text)
    _, key, target = target_of(net)
    seen = observe(net, {key: target}, activations)[key] if seeing else None
    methods = methods_for(target, name, seen)
    if isinstance(methods, str):
        assert "kernel" in methods
        return
    for method in methods:
        found = factorized(net, method, len(method.errors) - 1)
        assert error(net, found) < 2e-5
        assert method.errors[-1] < 1e-6
        assert method.errors[0] == pytest.approx(1)


@pytest.mark.parametrize(("text", "name"), list(cases()))
def test_costs_and_losses_are_those_of_the_new_layers(text, name):
    net = filled(data(3, 4, 10, 9) + text)
    _, _, target = target_of(net)
    methods = methods_for(target, name, None)
    for method in [] if isinstance(methods, str) else methods:
        for rank in range(1, len(method.errors), max(2, len(method.errors) // 8)):
            made = method.layers(rank)
            whole = factorized(net, method, rank)
            assert sum(one.tensors[0].size for one in made) == method.parameters(rank)
            old, new = (infer(build(one)).total_macs for one in (net, whole))
            assert new - old + target.placed.macs() == method.macs(rank)
            assert method.smaller(rank) == (method.parameters(rank) < method.weights and new <= old)
        below = [rank for rank in range(1, len(method.errors)) if method.smaller(rank)]
        assert method.break_even == max(below, default=0)


@pytest.mark.parametrize("name", ["channel", "spatial"])
def test_the_error_is_the_one_that_was_foretold(name):
    """Without activations: of what the layer gives for inputs as smooth as maps are supposed to be."""
    net = filled(data(1, 6, 3, 3) + conv("x", "data", "num_output: 8 kernel_size: 3 bias_term: false"))
    _, _, target = target_of(net)
    (method,) = methods_for(target, name, None)
    from demitasse.runtime import run

    smooth, _ = root(decaying(SMOOTH, 3, 1))
    windows = np.kron(np.eye(6), np.kron(smooth, smooth))
    given = {"data": windows.reshape(54, 6, 3, 3).astype(np.float32)}

    for rank in (1, 3, 5):
        found = factorized(net, method, rank)
        expected = run(net, given)["x"]
        assert relative(expected, run(found, given)["x"]) ** 2 == pytest.approx(method.errors[rank], rel=1e-4)


def test_activations_make_the_same_rank_better():
    """On other samples than those that were seen, for inputs that are correlated as those of real layers are."""
    for text in (
        conv("x", "data", "num_output: 24 kernel_size: 3 pad: 1"),
        layer("InnerProduct", "x", "data", "inner_product_param { num_output: 40 }"),
    ):
        net = filled(data(4, 16, 8, 8) + text)
        _, key, target = target_of(net)
        seen = observe(net, {key: target}, correlated)[key]
        for blind, seeing in zip(methods_for(target, "auto", None), methods_for(target, "auto", seen), strict=True):
            for rank in (4, 8):
                errors = [error_on(net, factorized(net, method, rank)) for method in (blind, seeing)]
                assert errors[1] < 0.97 * errors[0], (blind.name, rank)


def error_on(net, candidate):
    from demitasse.runtime import run

    inputs = {"data": mixed(99)}
    return relative(run(net, inputs)["x"], run(candidate, inputs)["x"])


def activations(net, wanted):
    from demitasse.runtime import run

    for seed in range(6):
        yield run(net, fed(net, seed), wanted)


def correlated(net, wanted):
    from demitasse.runtime import run

    for seed in range(40):
        yield run(net, {"data": mixed(seed)}, wanted)


def mixed(seed):
    """Sixteen channels that are mixtures of few, and not about zero; smooth in space."""
    mixing = np.random.default_rng(5).standard_normal((16, 5))
    rng = np.random.default_rng(seed)
    sources = np.repeat(np.repeat(rng.standard_normal((4, 5, 4, 4)), 2, axis=2), 2, axis=3)
    values = np.einsum("cs,nshw->nchw", mixing, sources) + 0.3 * rng.standard_normal((4, 16, 8, 8)) + 1
    return values.astype(np.float32)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (conv("x", "data", "num_output: 4 kernel_size: 3 group: 4"), "single input channel"),
        (layer("Deconvolution", "x", "data", "convolution_param { num_output: 4 group: 4 kernel_size: 3 }"), "single"),
        (layer("ConvolutionDepthwise", "x", "data", "convolution_param { num_output: 4 kernel_size: 3 }"), "Depthwise"),
        (conv("x", "data", "num_output: 4 kernel_size: 3 pad_l: 1 pad_r: 0 pad_t: 0 pad_b: 0"), "each side"),
    ],
)
def test_what_has_no_method_says_why(text, reason):
    _, _, target = target_of(filled(data(3, 4, 10, 9) + text))
    assert reason in methods_for(target, "auto", None)


def test_half_precision_is_left_alone():
    net = filled(data(1, 4, 6, 6) + conv("x", "data"))
    halves = [replace(t, values=t.array().astype(np.float16)) for t in net.layers[1].tensors]
    assert "half precision" in target_of(net.with_layers([net.layers[0], net.layers[1].with_tensors(halves)]))[2]
