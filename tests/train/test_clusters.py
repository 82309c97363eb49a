import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import OptionError  # noqa: E402
from demitasse.files import load, save  # noqa: E402
from demitasse.net import Clustered  # noqa: E402
from demitasse.train.clusters import Clusters, shared_values  # noqa: E402
from demitasse.train.masks import Mask  # noqa: E402
from train.test_lasso import batch, solver  # noqa: E402


def weights(one, layer):
    return one.network.weight(layer, 0).detach()


def test_shared_values_are_means_of_what_is_nearest_to_them():
    given = np.random.default_rng(1).standard_normal(500)
    found = shared_values(given, 9)
    nearest = np.abs(given[:, None] - found).argmin(1)
    np.testing.assert_allclose(found, [given[nearest == k].mean() for k in range(len(found))])
    assert len(found) == 9


@pytest.mark.parametrize("given", [[1.0], [2.0, 2.0, 2.0], [-1.0, 5.0]])
def test_few_weights_are_their_own_values(given):
    np.testing.assert_array_equal(shared_values(np.array(given), 8), np.unique(given))


def test_weights_share_values_and_zeros_stay():
    one = solver([Mask(0.5), Clusters({"*": 8, "ip": 4})], extra="momentum: 0.9 weight_decay: 0.01")
    for _ in range(6):
        one.step(batch)
    for layer, count in (("conv", 8), ("ip", 4)):
        values = weights(one, layer)
        assert float((values == 0).double().mean()) == pytest.approx(0.5, abs=0.01)
        assert len(values.unique()) <= count + 1


def test_a_value_moves_by_the_sum_of_its_gradients():
    one = solver([Clusters(5, ("ip",))])
    one.shapings[0].before_pass()
    before = weights(one, "ip").clone()
    plain = solver()
    plain.assign(one.net())
    plain.updater = lambda *_: None
    plain.step(batch)
    gradient = plain.network.weight("ip", 0).grad
    one.step(batch)
    for value in before.unique():
        members = before == value
        moved = weights(one, "ip")[members]
        assert len(moved.unique()) == 1
        assert float(moved[0]) == pytest.approx(float(value - 0.1 * gradient[members].sum()), rel=1e-4)


def test_until_it_begins_weights_are_free():
    one = solver([Clusters(3, begin=2)])
    counts = []
    for _ in range(4):
        one.step(batch)
        counts.append(len(weights(one, "ip").unique()))
    assert counts[1] > 100
    assert counts[2:] == [3, 3]


def test_a_demi_stores_them_as_they_are(tmp_path):
    one = solver([Mask(0.3, layers=("ip",)), Clusters(6)])
    for _ in range(3):
        one.step(batch)
    net = one.net()
    stored = [layer.tensors[0] for layer in net.layers if layer.tensors]
    assert all(isinstance(tensor, Clustered) for tensor in stored)
    save(net, tmp_path / "small.demi")
    read = load(tmp_path / "small.demi")
    for name in ("conv", "ip"):
        tensor = read.layer(name).tensors[0].coded()
        assert isinstance(tensor, Clustered)
        np.testing.assert_array_equal(tensor.array().reshape(-1), weights(one, name).numpy().reshape(-1))


@pytest.mark.parametrize("splice", [False, True])
def test_masks_go_on_cutting(splice):
    one = solver([Mask(0.2, end=12, every=3, splice=splice), Clusters(6, begin=4)])
    for _ in range(20):
        one.step(batch)
    values = weights(one, "ip")
    # Weights of one value are cut together, or stay together.
    assert float((values != 0).double().mean()) < 0.3
    assert 2 < len(values.unique()) <= 7
    assert one.shapings[1].codebooks[1].values.count_nonzero() >= len(values.unique()) - 1


@pytest.mark.parametrize("stopped", [2, 7])
def test_a_continued_run_gives_the_same_bits(stopped):
    options = Clusters(6, begin=4)
    whole, first, second = (solver([options], extra="momentum: 0.9 type: 'Adam'") for _ in range(3))
    for _ in range(12):
        whole.step(batch)
    for _ in range(stopped):
        first.step(batch)
    second.restore(first.state(""), first.net())
    second.restore_shaping(first.shaping_state())
    while second.iteration < 12:
        second.step(batch)
    for layer in ("conv", "ip"):
        assert torch.equal(weights(whole, layer), weights(second, layer))


@pytest.mark.parametrize(
    "options", [{"values": 0}, {"values": {"ip": 70000}}, {"begin": -1}, {"values": {"ip": 3}, "layers": ("ip",)}]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError, match=r"clusters|leave layers out"):
        solver([Clusters(**options)])


def test_a_layer_that_there_is_not_is_named():
    with pytest.raises(OptionError, match='no layer with weights is called "fc"'):
        solver([Clusters({"fc": 3})])
