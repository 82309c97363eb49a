import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.errors import OptionError  # noqa: E402
from demitasse.files import load, save  # noqa: E402
from demitasse.net import Levels  # noqa: E402
from demitasse.train.rate import Rate  # noqa: E402
from demitasse.train.settings import parse_solver  # noqa: E402
from demitasse.train.solver import Solver  # noqa: E402

NET = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 32 dim: 40 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 32 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  inner_product_param { num_output: 60 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""

SOLVER = b'type: "Adam" base_lr: 0.01 momentum: 0.9 lr_policy: "poly" power: 1 max_iter: 480'


def solver(shaping):
    return Solver(parse_solver(SOLVER, net=parse_net(NET)), shapings=[shaping])


def batch(number):
    """Four classes, told apart by four of forty values."""
    random = np.random.default_rng(number % 50)
    label = random.integers(0, 4, 32)
    data = random.standard_normal((32, 40)).astype(np.float32)
    data[np.arange(32), label] += 3
    return {"data": data, "label": label.astype(np.float32)}


def trained(shaping):
    one = solver(shaping)
    losses = [one.step(batch)[0] for _ in range(480)]
    return one, np.mean(losses[-50:])


def test_the_size_falls_to_what_was_asked_for_and_the_network_still_works(tmp_path):
    one, loss = trained(Rate(bytes=150))
    assert one.shapings[0].begun > 3 * 150
    assert one.shapings[0].size() < 1.15 * 150
    assert loss < 0.35, "the loss of guessing is 1.39"
    net = one.net()
    coded = [tensor for layer in net.layers for tensor in layer.tensors]
    assert len(coded) == 4
    assert all(isinstance(tensor, Levels) for tensor in coded)
    save(net, tmp_path / "small.demi")
    with torch.no_grad():
        for layer in load(tmp_path / "small.demi").layers:
            for k, tensor in enumerate(layer.tensors):
                found = one.network.weight(layer.name, k).detach().numpy()
                np.testing.assert_array_equal(tensor.array().reshape(found.shape), found)


def test_more_bytes_buy_a_smaller_loss():
    (_, tight), (_, loose) = trained(Rate(bytes=100)), trained(Rate(bytes=600))
    assert loose < tight


def test_a_continued_run_gives_the_same_bits():
    whole, first, second = (solver(Rate(bytes=200)) for _ in range(3))
    for _ in range(120):
        whole.step(batch)
    for _ in range(47):
        first.step(batch)
    second.restore(first.state(""), first.network.tensors())
    second.restore_shaping(first.shaping_state())
    while second.iteration < 120:
        second.step(batch)
    assert whole.shapings[0].price == second.shapings[0].price
    for layer in ("ip1", "ip2"):
        for k in range(2):
            assert torch.equal(whole.network.weight(layer, k), second.network.weight(layer, k))


@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "in a file"])
def test_weights_that_are_levels_go_on_with_their_steps(tmp_path, stored):
    first = solver(Rate(bytes=200))
    for _ in range(60):
        first.step(batch)
    net = first.net()
    if stored:
        save(net, tmp_path / "first.demi")
        net = load(tmp_path / "first.demi")
    second = Solver(parse_solver(SOLVER, net=parse_net(NET)), weights=net, shapings=[Rate(bytes=200)])
    assert [grid.step for grid in second.shapings[0].grids] == [grid.step for grid in first.shapings[0].grids]
    for a, b in zip(first.shapings[0].grids, second.shapings[0].grids, strict=True):
        assert torch.equal(a.levels, b.levels)


def test_dead_units_do_not_count(tmp_path):
    one = solver(Rate(bytes=200)).shapings[0]
    with torch.no_grad():
        for grid in one.grids:
            if grid.parameter.layer == "ip1":
                grid.levels[5:] = 0 if grid.levels.dim() > 1 else 3
    before = one.size()
    with torch.no_grad():
        bias = next(grid for grid in one.grids if grid.parameter.name == "ip1/1")
        bias.levels[5:] = torch.arange(55) % 20
    assert one.size() == before


@pytest.mark.parametrize("options", [{"bytes": 0}, {"bytes": 10, "price": 0}, {"bytes": 10, "grid": -1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError, match="rate needs"):
        Rate(**options)
