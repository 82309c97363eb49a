import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.errors import NetError, OptionError  # noqa: E402
from demitasse.runtime import run  # noqa: E402
from demitasse.train.settings import parse_solver  # noqa: E402
from demitasse.train.solver import Solver  # noqa: E402
from demitasse.transforms.shrink import Shrink  # noqa: E402
from demitasse.transforms.strip import Strip  # noqa: E402

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 2 dim: 6 dim: 6 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" MODE param { SPEC } param { BIAS }
  convolution_param { num_output: 6 kernel_size: 3 GROUP weight_filler { type: "msra" }
    bias_filler { type: "constant" value: 0.25 } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def solver(extra="", spec="", *, bias="", mode="", group="", weights=None):
    said = {"SPEC": spec, "BIAS": bias, "MODE": mode and f"connectivity_mode: {mode}", "GROUP": group}
    text = NET
    for name, value in said.items():
        text = text.replace(name, value)
    settings = parse_solver(f'base_lr: 0.1 lr_policy: "fixed" {extra}'.encode(), net=parse_net(text.encode()))
    return Solver(settings, weights=weights)


def batch(number):
    random = np.random.default_rng(number % 5)
    return {"data": random.standard_normal((4, 2, 6, 6), np.float32), "label": np.arange(4, dtype=np.float32) % 3}


@pytest.mark.parametrize(
    ("extra", "spec", "axes"),
    [
        ("breadth_decay: 5", "breadth_decay_mult: 1", (1,)),
        ("kernel_shape_decay: 2.5", "kernel_shape_decay_mult: 2", (0,)),
        ("block_group_decay: 5", "block_group_lasso { xdimen: 18 ydimen: 1 block_decay_mult: 1 }", (1,)),
        ("block_group_decay: 5", "block_group_lasso { xdimen: 1 ydimen: 6 block_decay_mult: 1 }", (0,)),
    ],
)
def test_the_authors_own_fields_say_the_same(extra, spec, axes):
    one = solver(extra, spec)
    weight = one.network.weight("conv", 0)
    before = weight.detach().numpy().reshape(6, -1).copy()
    one.shapings[0].after_update(0.1)
    expected = before * np.maximum(0, 1 - 0.5 / np.sqrt((before**2).sum(axes, keepdims=True)))
    np.testing.assert_allclose(weight.detach().numpy().reshape(6, -1), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["scnn_lenet_grouplasso_train", "scnn_cifar10_full_ssl_train", "scnn_resnet_n3_depth"])
def test_the_authors_own_networks_are_read(zoo, name):
    from demitasse.layers import build

    net = parse_net((zoo / f"prototxt/{name}.prototxt").read_bytes())
    graph = build(net, "TRAIN")
    data = graph.layers[0].outputs
    size = {"scnn_lenet_grouplasso_train": (4, 1, 28, 28)}.get(name, (4, 3, 32, 32))
    text = 'base_lr: 0.1 lr_policy: "fixed" breadth_decay: 1 kernel_shape_decay: 1 block_group_decay: 1'
    one = Solver(parse_solver(text.encode(), net=net), {data[0]: size, data[1]: (4,)})
    assert one.shapings[0].priced


def test_columns_are_those_of_each_group_of_a_convolution():
    one = solver("kernel_shape_decay: 5", "kernel_shape_decay_mult: 1", group="group: 2")
    weight = one.network.weight("conv", 0)
    before = weight.detach().numpy().reshape(2, 3, -1).copy()
    one.shapings[0].after_update(0.1)
    expected = before * np.maximum(0, 1 - 0.5 / np.sqrt((before**2).sum(1, keepdims=True)))
    np.testing.assert_allclose(weight.detach().numpy().reshape(2, 3, -1), expected, rtol=1e-5, atol=1e-7)


def test_biases_have_prices_where_they_are_given_any():
    one = solver("breadth_decay: 1", bias="breadth_decay_mult: 0.5")
    one.shapings[0].after_update(0.1)
    np.testing.assert_allclose(one.network.weight("conv", 1).detach().numpy(), 0.25 - 0.1 * 0.5, rtol=1e-6)


def test_nothing_is_priced_without_both_the_decay_and_its_multiplier():
    assert not solver("breadth_decay: 1", "kernel_shape_decay_mult: 1").shapings[0].priced
    assert not solver("", "breadth_decay_mult: 1 kernel_shape_decay_mult: 1").shapings


def sparse():
    """Weights with a row of zeros, a column of zeros, and one zero elsewhere."""
    net = solver().net()
    weights = np.array(next(layer for layer in net.layers if layer.name == "conv").tensors[0].array())
    weights[2] = 0
    weights[:, 1, 0, 2] = 0
    weights[0, 0, 0, 0] = 0
    return weights


@pytest.mark.parametrize(
    ("mode", "comes_back"), [("DISCONNECTED_ELTWISE", False), ("DISCONNECTED_GRPWISE", True), ("1", False), ("2", True)]
)
def test_zeros_stay_as_connectivity_mode_says(mode, comes_back):
    one = solver("momentum: 0.9", mode=mode)
    weight, zeros = one.network.weight("conv", 0), sparse()
    with torch.no_grad():
        weight.copy_(torch.from_numpy(zeros))
    for _ in range(3):
        one.step(batch)
    found = weight.detach().numpy()
    assert not found[2].any()
    assert not found[:, 1, 0, 2].any()
    assert (found[0, 0, 0, 0] != 0) == comes_back
    others = zeros != 0
    assert (found[others] != zeros[others]).all()


def test_a_continued_run_keeps_the_zeros_of_its_beginning():
    first, second = (solver(mode="DISCONNECTED_GRPWISE") for _ in range(2))
    with torch.no_grad():
        first.network.weight("conv", 0).copy_(torch.from_numpy(sparse()))
    first.step(batch)
    second.restore(first.state(""), first.net())
    with torch.no_grad():
        second.network.weight("conv", 0)[4] = 0  # zero by chance, and connected
    second.restore_shaping(first.shaping_state())
    second.step(batch)
    rows = second.network.weight("conv", 0).detach().numpy().reshape(6, -1).any(axis=1)
    assert rows.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize(("kind", "expected"), [("L1", 0.1), ("L2", 0.1 * 0.25)])
def test_a_param_may_decay_by_a_rule_of_its_own(kind, expected):
    one = solver("weight_decay: 0.1 regularization_type: 'L2'", bias=f"regularization_type: '{kind}'")
    bias = next(p for p in one.learned if p.name == "conv/1")
    one.updater([None for _ in one.learned], 1.0, 0)
    np.testing.assert_allclose(bias.values.detach().numpy(), 0.25 - expected, rtol=1e-6)


def test_a_rule_of_decay_that_is_not_known_is_refused():
    with pytest.raises(NetError, match='conv/0: its regularization_type is "ISTA", not one of L1, L2'):
        solver("weight_decay: 0.1", "regularization_type: 'ISTA'")


def test_blocks_that_do_not_fill_a_layer_are_refused():
    with pytest.raises(OptionError, match="conv/0: blocks of 4×5 do not fill a matrix of 6×18"):
        solver("block_group_decay: 1", "block_group_lasso { xdimen: 5 ydimen: 4 }")


def test_what_the_prices_leave_is_a_smaller_plain_network_that_computes_the_same():
    one = solver("momentum: 0.5 breadth_decay: 0.4", "breadth_decay_mult: 1")
    while one.iteration < 60:
        one.step(batch)
    trained = Strip()(one.net())
    small = Shrink()(trained)
    before, after = (net.layers[1].tensors[0].shape[0] for net in (trained, small))
    assert before == 6
    assert 0 < after < 6
    pictures = {"data": batch(7)["data"]}
    np.testing.assert_allclose(run(small, pictures)["prob"], run(trained, pictures)["prob"], atol=1e-6)
