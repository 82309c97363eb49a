import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.errors import OptionError  # noqa: E402
from demitasse.train.lasso import Groups, Lasso  # noqa: E402
from demitasse.train.settings import parse_solver  # noqa: E402
from demitasse.train.solver import Solver  # noqa: E402

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 2 dim: 6 dim: 6 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { SPEC }
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def solver(extra="", spec="", shapings=()):
    net = parse_net(NET.replace("SPEC", spec).encode())
    text = f'base_lr: 0.1 lr_policy: "fixed" max_iter: 100 {extra}'
    return Solver(parse_solver(text.encode(), net=net), shapings=shapings)


def batch(number):
    random = np.random.default_rng(number % 5)
    return {"data": random.standard_normal((4, 2, 6, 6), np.float32), "label": np.arange(4, dtype=np.float32) % 3}


@pytest.mark.parametrize(
    ("groups", "axes"),
    [
        (Groups("filters"), (1, 2, 3)),
        (Groups("channels"), (0, 2, 3)),
        (Groups("shapes"), (0,)),
        (Groups("depth"), (0, 1, 2, 3)),
        (Groups("single"), ()),
    ],
)
def test_a_group_is_shortened_by_its_price_or_becomes_zero(groups, axes):
    one = solver(shapings=[Lasso(5.0, groups.kind, ("conv",))])
    weight = one.network.weight("conv", 0)
    before = weight.detach().numpy().copy()
    one.shapings[0].after_update(0.1)
    length = np.sqrt((before**2).sum(axes, keepdims=True)) if axes else np.abs(before)
    expected = before * np.maximum(0, 1 - 0.5 / length)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5, atol=1e-7)
    ip = one.network.weight("ip", 0).detach().numpy()
    assert np.count_nonzero(ip) == ip.size, "layers that are not named keep their weights"


def test_filters_become_exactly_zero_in_training():
    one = solver(shapings=[Lasso(0.3, "filters", ("c*",))])
    for _ in range(60):
        one.step(batch)
    rows = one.network.weight("conv", 0).detach().numpy().reshape(6, -1)
    zero = [not row.any() for row in rows]
    assert any(zero)
    assert all(np.count_nonzero(row) == row.size for row, gone in zip(rows, zero, strict=True) if not gone)


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


@pytest.mark.parametrize(
    ("shaping", "said"),
    [
        (Lasso(0.1, "filters", ("conv7",)), 'called "conv7"; there are conv, ip'),
        (Lasso(0.1, "blocks", ("conv",), (4, 4)), "do not fill"),
    ],
)
def test_what_does_not_fit_is_refused(shaping, said):
    with pytest.raises(OptionError, match=said):
        solver(shapings=[shaping])
