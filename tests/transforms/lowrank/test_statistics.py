import numpy as np
import pytest

from demitasse.transforms.lowrank.statistics import Moments, observe
from demitasse.transforms.weighted import weighted
from demitasse.transforms.wiring import Wiring
from filled_networks import conv, data, fed, filled, layer


def test_moments_of_samples():
    rng = np.random.default_rng(0)
    blobs = [rng.standard_normal((2, 3, 4, 5)).astype(np.float32) + 1 for _ in range(3)]
    moments = Moments(3)
    for blob in blobs:
        moments.add(blob, 1)
    samples = np.concatenate([blob.transpose(0, 2, 3, 1).reshape(-1, 3) for blob in blobs])
    assert moments.count == len(samples)
    assert moments.mean == pytest.approx(samples.mean(axis=0), rel=1e-5)
    assert moments.centred == pytest.approx(np.cov(samples.T, bias=True), rel=1e-4)


def test_large_maps_are_sampled():
    moments = Moments(1)
    moments.add(np.ones((1, 1, 100, 100), np.float32), 1)
    assert 1024 <= moments.count < 1200


@pytest.mark.parametrize(("samples", "low", "high"), [(2, 0.5, 1.0), (20000, 0.0, 0.05)])
def test_few_samples_are_trusted_little(samples, low, high):
    rng = np.random.default_rng(0)
    moments = Moments(20)
    scales = np.linspace(0.1, 3, 20)
    moments.add((rng.standard_normal((samples, 20)) * scales).astype(np.float32), 1)
    assert low <= moments.shrinkage() <= high


def test_values_before_an_activation_in_place_are_seen():
    """The ReLU leaves nothing negative in the blob, but what the weights make is looked at."""
    pytest.importorskip("torch")
    from demitasse.runtime import run

    net = filled(data(1, 3, 8, 8) + conv("x", "data") + layer("ReLU", "r", "x", top="x"))
    target = weighted(net.layers[1], (1, 3, 8, 8))
    places = {key: target for key, one in Wiring.of(net).layers.items() if one.name == "x"}
    (seen,) = observe(net, places, lambda made, wanted: iter([run(made, fed(net), wanted)])).values()
    bare = net.with_layers(net.layers[:2])
    plain = run(bare, fed(net))["x"] - net.layers[1].tensors[1].array()[:, None, None]
    assert seen.made.mean == pytest.approx(plain.mean(axis=(0, 2, 3)), abs=1e-5)
