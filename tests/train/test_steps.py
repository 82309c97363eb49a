import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import OptionError  # noqa: E402
from demitasse.files import load, save  # noqa: E402
from demitasse.net import Levels  # noqa: E402
from demitasse.train.steps import Steps  # noqa: E402
from train.test_lasso import batch, solver  # noqa: E402


def weights(one, layer):
    return one.network.weight(layer, 0).detach()


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_weights_are_whole_multiples_of_a_step(bits):
    one = solver([Steps(bits)], extra="momentum: 0.9 weight_decay: 0.01")
    for _ in range(5):
        one.step(batch)
    for name in ("conv", "ip"):
        (tensor,) = one.net().layer(name).tensors[:1]
        assert isinstance(tensor, Levels)
        assert 0 < np.abs(tensor.levels).max() <= 2 ** (bits - 1) - 1
        np.testing.assert_array_equal(tensor.array().reshape(-1), weights(one, name).numpy().reshape(-1))


def test_the_step_is_learned_where_the_loss_wants_it():
    """The gradient of the step, against that of a loss that is known: half the squared distance to a target."""
    one = solver([Steps(3, ("ip",), step_rate=0.05)])
    (grid,) = one.shapings[0].grids
    target = torch.randint_like(grid.latent, -3, 4) * 0.037
    grid.latent.copy_(target)
    grid.log_step = math.log(0.05)
    errors = []
    for iteration in range(150):
        values = grid.show()
        errors.append(float((values - target).square().mean()))
        grid.parameter.values.grad = values - target
        grid.learn(0.01, iteration)
    assert errors[-1] < 0.01 * errors[0]
    assert grid.step == pytest.approx(0.037, rel=0.05)


def test_what_is_beyond_the_limits_does_not_learn():
    one = solver([Steps(2, ("ip",))])
    (grid,) = one.shapings[0].grids
    grid.log_step -= 1
    beyond = (grid.latent / grid.step).abs() > 1
    assert beyond.any()
    grid.parameter.values.grad = torch.ones_like(grid.latent)
    grid.learn(0, 0)
    assert torch.equal(grid.parameter.values.grad == 0, beyond)


def test_training_goes_on_with_few_bits():
    one = solver([Steps({"*": 4, "ip": 3})], extra="momentum: 0.9")
    losses = [one.step(batch)[0] for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:10])


def test_a_demi_stores_levels_and_step(tmp_path):
    one = solver([Steps(4)])
    one.step(batch)
    save(one.net(), tmp_path / "small.demi")
    for name in ("conv", "ip"):
        tensor = load(tmp_path / "small.demi").layer(name).tensors[0].coded()
        assert isinstance(tensor, Levels)
        np.testing.assert_array_equal(tensor.array().reshape(-1), weights(one, name).numpy().reshape(-1))


def test_a_continued_run_gives_the_same_bits():
    whole, first, second = (solver([Steps(3, step_rate=0.01)], extra="momentum: 0.9") for _ in range(3))
    for _ in range(12):
        whole.step(batch)
    for _ in range(5):
        first.step(batch)
    second.restore(first.state(""), first.net())
    second.restore_shaping(first.shaping_state())
    while second.iteration < 12:
        second.step(batch)
    for layer in ("conv", "ip"):
        assert torch.equal(weights(whole, layer), weights(second, layer))


@pytest.mark.parametrize("options", [{"bits": 1}, {"bits": {"ip": 17}}, {"step_rate": -1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError, match="steps"):
        Steps(**options)
