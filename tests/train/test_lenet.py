"""LeNet as real Caffe trained it: the zoo's net and solver, data fed by hand."""

import gzip
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.net import Dense  # noqa: E402
from demitasse.train.settings import read_solver  # noqa: E402
from demitasse.train.solver import Solver  # noqa: E402

ITERATIONS = 50


def idx(path, header):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)[header:]


@pytest.mark.zoo
def test_lenet_loses_what_it_lost_in_caffe(zoo, golden):
    case = json.loads((golden / "lenet/lenet_sgd.json").read_text())
    text = (zoo / "prototxt/lenet_train_test.prototxt").read_bytes()
    net = parse_net(text)
    shapes = {"conv1": (20, 1, 5, 5), "conv2": (50, 20, 5, 5), "ip1": (500, 800), "ip2": (10, 500)}
    for k, (name, shape) in enumerate(shapes.items()):
        r = np.sqrt(3 / (np.prod(shape) // shape[0]))
        weight = np.random.RandomState(900 + k).uniform(-r, r, shape).astype(np.float32)
        blobs = [Dense(weight), Dense(np.zeros(shape[0], np.float32))]
        net = net.with_layers(layer.with_tensors(blobs) if layer.name == name else layer for layer in net.layers)
    images = idx(zoo / "data/mnist/train-subset-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = idx(zoo / "data/mnist/train-subset-labels-idx1-ubyte.gz", 8).astype(np.float32)

    def batch(t):
        chosen = (np.arange(64) + 64 * t) % 10000
        return {"data": images[chosen].astype(np.float32) * np.float32(0.00390625), "label": labels[chosen]}

    settings = read_solver(zoo / "prototxt/lenet_solver.prototxt", net=net)
    solver = Solver(settings, {"data": (64, 1, 28, 28), "label": (64,)})
    losses = [loss for _ in range(ITERATIONS) for loss in solver.step(batch)]
    np.testing.assert_allclose(losses[:10], case["losses"][:10], rtol=1e-5)
    np.testing.assert_allclose(losses, case["losses"][:ITERATIONS], rtol=0.05)
