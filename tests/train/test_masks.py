import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import OptionError  # noqa: E402
from demitasse.train.masks import Mask  # noqa: E402
from train.test_lasso import batch, solver  # noqa: E402


def density(one, layer):
    values = one.network.weight(layer, 0).detach()
    return float((values != 0).double().mean())


def test_the_largest_weights_stay():
    one = solver([Mask(0.25, layers=("conv",))])
    before = np.abs(one.network.weight("conv", 0).detach().numpy()).reshape(-1)
    one.shapings[0].before_pass()
    after = one.network.weight("conv", 0).detach().numpy().reshape(-1)
    assert set(np.flatnonzero(after)) == set(np.argsort(before)[-27:])
    assert density(one, "ip") == 1


def test_what_is_cut_stays_zero_while_the_rest_learns():
    one = solver([Mask(0.2, scope="network")], extra="momentum: 0.9 weight_decay: 0.01")
    one.shapings[0].before_pass()
    before = one.network.weight("conv", 0).detach().clone()
    for _ in range(10):
        one.step(batch)
    after = one.network.weight("conv", 0).detach()
    assert torch.equal(after == 0, before == 0)
    assert not torch.equal(after, before)
    kept = sum(int((p.values != 0).sum()) for p in one.learned if p.values.dim() > 1)
    assert kept == round(0.2 * sum(p.values.numel() for p in one.learned if p.values.dim() > 1))


def test_density_falls_little_by_little():
    one = solver([Mask(0.1, begin=5, end=25, every=5)])
    found = []
    for _ in range(30):
        one.step(batch)
        found.append(density(one, "ip"))
    assert found[4] == 1
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(0.1, abs=0.01)
    assert 0.1 < found[12] < 0.5, "quickly first"


def test_spliced_connections_come_back():
    one = solver([Mask(0.3, every=1, splice=True)])
    masks = []
    for _ in range(40):
        one.step(batch)
        masks.append(one.shapings[0].masks[1].clone())
    back = masks[-1] & ~masks[0]
    assert back.any()
    values = one.network.weight("ip", 0).detach()
    assert torch.equal(values != 0, masks[-1])


@pytest.mark.parametrize("splice", [False, True])
def test_a_continued_run_gives_the_same_bits(splice):
    options = Mask(0.3, begin=2, end=12, every=3, splice=splice)
    whole = solver([options], extra="momentum: 0.9")
    for _ in range(20):
        whole.step(batch)
    first = solver([options], extra="momentum: 0.9")
    for _ in range(7):
        first.step(batch)
    second = solver([options], extra="momentum: 0.9")
    second.restore(first.state(""), first.net())
    second.restore_shaping(first.shaping_state())
    while second.iteration < 20:
        second.step(batch)
    for layer in ("conv", "ip"):
        assert torch.equal(whole.network.weight(layer, 0), second.network.weight(layer, 0))


def test_a_snapshot_of_other_masks_is_refused():
    one, other = solver([Mask(0.3)]), solver()
    with pytest.raises(OptionError, match="other masks"):
        one.restore_shaping(other.shaping_state())


@pytest.mark.parametrize(
    "options",
    [
        {"density": 0},
        {"density": 2},
        {"density": 0.5, "begin": 3, "end": 1},
        {"density": {"ip": 0}},
        {"density": {"ip": 0.5}, "scope": "network"},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError, match="mask"):
        Mask(**options)


def test_each_layer_has_its_density():
    one = solver([Mask({"*": 0.5, "conv": 0.25})])
    one.step(batch)
    assert density(one, "conv") == 0.25
    assert density(one, "ip") == pytest.approx(0.5, abs=0.01)


def test_zeros_that_are_there_stay():
    first = solver([Mask(0.2)])
    first.step(batch)
    second = solver([Mask(zeros=True)], extra="momentum: 0.9")
    second.assign(first.net())
    second.shapings = [Mask(zeros=True).attach(second)]
    third = solver([Mask(0.1, begin=3, end=3, zeros=True)], extra="momentum: 0.9")
    third.assign(first.net())
    third.shapings = [Mask(0.1, begin=3, end=3, zeros=True).attach(third)]
    for _ in range(3):
        second.step(batch)
        third.step(batch)
    for layer in ("conv", "ip"):
        zeros = first.network.weight(layer, 0) == 0
        assert torch.equal(second.network.weight(layer, 0) == 0, zeros)
        assert torch.equal(third.network.weight(layer, 0) == 0, zeros)
    third.step(batch)
    assert density(third, "conv") == pytest.approx(0.1, abs=0.01)
