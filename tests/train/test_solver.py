"""Against runs of real Caffe: losses, learning rates, weights and history."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net, read_binary  # noqa: E402
from demitasse.errors import NetError, OptionError  # noqa: E402
from demitasse.net import Dense  # noqa: E402
from demitasse.train.clusters import Clusters  # noqa: E402
from demitasse.train.rate import Rate  # noqa: E402
from demitasse.train.settings import parse_solver  # noqa: E402
from demitasse.train.snapshots import read_state, read_weights_hdf5  # noqa: E402
from demitasse.train.solver import Solver  # noqa: E402
from demitasse.train.steps import Steps  # noqa: E402

TOLERANCE = 1e-4
SHAPES = {"data": (16, 1, 28, 28), "label": (16,)}


@pytest.fixture(scope="module")
def runs(golden):
    return json.loads((golden / "solvers/solvers.json").read_text())["cases"]


@pytest.fixture(scope="module")
def arrays(golden):
    return np.load(golden / "solvers/solvers.npz")


def batches(arrays):
    images = arrays["data"].astype(np.float32) * np.float32(1 / 256)
    labels = arrays["label"].astype(np.float32)

    def batch(number):
        chosen = (np.arange(16) + 16 * number) % 256
        return {"data": images[chosen], "label": labels[chosen]}

    return batch


def with_weights(net, found):
    return net.with_layers(
        layer.with_tensors(Dense(values) for values in found[layer.name]) if layer.name in found else layer
        for layer in net.layers
    )


def blobs(arrays, prefix):
    found = {}
    for key in sorted(arrays.files):
        if key.startswith(prefix):
            found.setdefault(key[len(prefix) :].split("/")[0], []).append(arrays[key])
    return found


def close(found, expected):
    expected = np.asarray(expected)
    return np.max(np.abs(np.asarray(found) - expected), initial=0) <= TOLERANCE * max(1e-12, np.max(np.abs(expected)))


@pytest.mark.zoo
def test_every_solver_computes_what_caffes_computes(runs, arrays):
    feed = batches(arrays)
    for case in runs:
        net = parse_net(case["net"].encode())
        begin = blobs(arrays, f"{case['name']}/w0/") or blobs(arrays, "initial/")
        settings = parse_solver(case["solver"].encode(), case["name"], net=net)
        solver = Solver(settings, SHAPES, weights=with_weights(net, begin))
        losses, rates = [], []
        for iteration in range(case["iterations"]):
            losses += solver.step(feed)
            rates.append(solver.last_rate)
            for layer, expected in blobs(arrays, f"{case['name']}/w{iteration + 1}/").items():
                for k, values in enumerate(expected):
                    found = solver.network.weight(layer, k).detach().numpy()
                    assert close(found, values.reshape(found.shape)), (case["name"], iteration, layer, k)
        assert close(losses, case["losses"]), case["name"]
        assert close(rates, case["lr"]), case["name"]
        state = solver.state("")
        assert [list(values.shape) for values in state.history] == case["history"], case["name"]
        for j, values in enumerate(state.history):
            assert close(values, arrays[f"{case['name']}/history/{j}"]), (case["name"], j)
        assert (state.iteration, state.step) == (case["state"]["iter"], case["state"]["current_step"]), case["name"]


@pytest.mark.zoo
@pytest.mark.parametrize("number", range(4))
def test_a_run_continues_from_what_caffe_saved(golden, arrays, number):
    case = json.loads((golden / "snapshots/snapshots.json").read_text())[number]
    net = parse_net(case["net"].encode())
    settings = parse_solver(case["solver"].encode(), net=net)
    stem = golden / f"snapshots/{case['name']}_iter_10"
    if case["name"].endswith("hdf5"):
        weights = with_weights(net, read_weights_hdf5(f"{stem}.caffemodel.h5"))
        state = read_state(f"{stem}.solverstate.h5")
    else:
        weights = with_weights(
            net, {layer.name: [t.array() for t in layer.tensors] for layer in read_binary(f"{stem}.caffemodel").layers}
        )
        state = read_state(f"{stem}.solverstate")
    solver = Solver(settings, SHAPES)
    solver.restore(state, weights)
    feed = batches(arrays)
    losses = [loss for _ in range(10) for loss in solver.step(feed)]
    assert close(losses, case["losses_10_20"])
    for place, total in case["final"].items():
        layer, k = place.rsplit("/", 1)
        if place in ("conv/1", "bn/0") and "BatchNorm" in case["net"]:
            # A bias in front of BatchNorm has no gradient but rounding, of which Adam makes whole steps, and the
            # stored mean follows it.
            continue
        found = solver.network.weight(layer, int(k)).detach().double().sum()
        assert float(found) == pytest.approx(total, rel=1e-3, abs=1e-4), place


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base_lr: 0.1 lr_policy: 'steps'", "lr_policy is 'steps'"),
        ("base_lr: 0.1 lr_policy: 'fixed' type: 'Adan'", "type is 'Adan'"),
        ("base_lr: 0.1 lr_policy: 'fixed' type: 'AdaGrad' momentum: 0.9", "AdaGrad has none"),
        ("base_lr: 0.1 lr_policy: 'step'", "stepsize"),
        ("base_lr: 0.1 lr_policy: 'fixed' iter_size: 0", "at least 1"),
        ("base_lr: 'much' lr_policy: 'fixed'", "base_lr"),
    ],
)
def test_a_solver_that_makes_no_sense_is_refused(text, said):
    with pytest.raises(NetError, match=said):
        parse_solver(text.encode(), net=parse_net(b"layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'y' }"))


RECURRENT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 2 dim: 3 } } }
layer { name: "on" type: "Input" top: "on" input_param { shape { dim: 5 dim: 2 } } }
layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 5 dim: 2 dim: 4 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "on" top: "lstm" recurrent_param { num_output: 4
  weight_filler { type: "uniform" min: -0.5 max: 0.5 } bias_filler { type: "constant" } } }
layer { name: "rnn" type: "RNN" bottom: "lstm" bottom: "on" top: "rnn" recurrent_param { num_output: 4
  weight_filler { type: "uniform" min: -0.5 max: 0.5 } bias_filler { type: "constant" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "rnn" bottom: "y" top: "loss" }
"""


def test_a_continued_run_remembers_what_recurrent_layers_carry():
    def recurrent():
        text = b'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9'
        return Solver(parse_solver(text, net=parse_net(RECURRENT.encode())))

    def sequence(number):
        random = np.random.default_rng(number)
        x, y = (random.standard_normal((5, 2, size)).astype(np.float32) for size in (3, 4))
        return {"x": x, "y": y, "on": np.ones((5, 2), np.float32)}

    whole, first, second, forgetful = (recurrent() for _ in range(4))
    for _ in range(8):
        whole.step(sequence)
    for _ in range(3):
        first.step(sequence)
    for one in (second, forgetful):
        one.restore(first.state(""), first.net())
    second.restore_shaping(first.shaping_state())
    for one in (second, forgetful):
        while one.iteration < 8:
            one.step(sequence)
    for layer in ("lstm", "rnn"):
        wanted = whole.network.weight(layer, 0)
        assert torch.equal(second.network.weight(layer, 0), wanted)
        assert not torch.equal(forgetful.network.weight(layer, 0), wanted)


@pytest.mark.parametrize("others", [(Clusters(4), Steps(4)), (Rate(500), Clusters(4, ("ip",)))])
def test_weights_get_their_values_in_one_way(others):
    from train.test_lasso import solver

    with pytest.raises(OptionError, match=r'the weights of layer "(conv|ip)" can get their values in one way'):
        solver(others)
