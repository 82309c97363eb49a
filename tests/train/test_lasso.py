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
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 group: GROUP weight_filler { type: "msra" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def solver(shapings=(), *, group=1, extra="", text=NET):
    net = parse_net(text.replace("GROUP", str(group)).encode())
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
    one = solver([Lasso(5.0, groups.kind, ("conv",))])
    weight = one.network.weight("conv", 0)
    before = weight.detach().numpy().copy()
    one.shapings[0].after_update(0.1)
    length = np.sqrt((before**2).sum(axes, keepdims=True)) if axes else np.abs(before)
    expected = before * np.maximum(0, 1 - 0.5 / length)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5, atol=1e-7)
    ip = one.network.weight("ip", 0).detach().numpy()
    assert np.count_nonzero(ip) == ip.size, "layers that are not named keep their weights"


def test_filters_become_exactly_zero_in_training():
    one = solver([Lasso(0.3, "filters", ("c*",))])
    for _ in range(60):
        one.step(batch)
    rows = one.network.weight("conv", 0).detach().numpy().reshape(6, -1)
    zero = [not row.any() for row in rows]
    assert any(zero)
    assert all(np.count_nonzero(row) == row.size for row, gone in zip(rows, zero, strict=True) if not gone)


@pytest.mark.parametrize(
    ("shaping", "said"),
    [
        (Lasso(0.1, "filters", ("conv7",)), 'called "conv7"; there are conv, ip'),
        (Lasso(0.1, "blocks", ("conv",), (4, 4)), "do not fill"),
    ],
)
def test_what_does_not_fit_is_refused(shaping, said):
    with pytest.raises(OptionError, match=said):
        solver([shaping])


@pytest.mark.parametrize("kind", ["shapes", "channels"])
def test_each_group_of_a_convolution_has_columns_of_its_own(kind):
    one = solver([Lasso(5.0, kind, ("conv",))], group=2)
    weight = one.network.weight("conv", 0)
    before = weight.detach().numpy().copy()
    one.shapings[0].after_update(0.1)
    for half in (slice(0, 3), slice(3, 6)):
        axes = (0,) if kind == "shapes" else (0, 2, 3)
        length = np.sqrt((before[half] ** 2).sum(axes, keepdims=True))
        expected = before[half] * np.maximum(0, 1 - 0.5 / length)
        np.testing.assert_allclose(weight.detach().numpy()[half], expected, rtol=1e-5, atol=1e-7)


BY_INPUT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 2 dim: 6 dim: 6 } } }
layer { name: "one" type: "TYPE" bottom: "data" top: "one" loss_weight: 1 PARAM }
"""


@pytest.mark.parametrize(
    ("type_", "param"),
    [
        ("Deconvolution", 'convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } }'),
        ("InnerProduct", 'inner_product_param { num_output: 4 transpose: true weight_filler { type: "xavier" } }'),
    ],
)
@pytest.mark.parametrize(("kind", "axis"), [("filters", 1), ("channels", 0)])
def test_a_filter_makes_one_output_whichever_way_round_weights_are_stored(type_, param, kind, axis):
    one = solver([Lasso(1.0, kind)], text=BY_INPUT.replace("TYPE", type_).replace("PARAM", param))
    weight = one.network.weight("one", 0)
    before = weight.detach().numpy().copy()
    one.shapings[0].after_update(0.1)
    others = tuple(i for i in range(before.ndim) if i != axis)
    expected = before * np.maximum(0, 1 - 0.1 / np.sqrt((before**2).sum(others, keepdims=True)))
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_price_holds_a_group_against_gradients_up_to_its_size_whatever_the_momentum(momentum):
    lasso = Lasso(2.0, "filters", ("conv",))
    one = solver([lasso], extra=f"momentum: {momentum}")
    parameter = next(p for p in one.learned if p.name == "conv/0")
    with torch.no_grad():
        parameter.values.zero_()
    pull = torch.zeros_like(parameter.values)
    pull.view(6, -1)[:, 0] = torch.tensor([0.0, 1.0, 1.9, 2.1, 3.0, 4.0])
    for i in range(200):
        one.updater([pull.clone() if p is parameter else None for p in one.learned], 0.01, i)
        one.shapings[0].after_update(0.01)
    alive = parameter.values.detach().view(6, -1).abs().sum(1) > 0
    assert alive.tolist() == [False, False, False, True, True, True]
