import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.errors import NetError, OptionError  # noqa: E402
from demitasse.files import save  # noqa: E402
from demitasse.net import Dense  # noqa: E402
from demitasse.train.distill import Distill  # noqa: E402
from demitasse.train.settings import parse_solver  # noqa: E402
from demitasse.train.solver import Solver  # noqa: E402

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 16 dim: 12 } } }'
LABEL = 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 16 } } }'
BODY = """
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  inner_product_param { num_output: 20 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }'
PROB = 'layer { name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }'


def student(*shapings, labels=True):
    net = parse_net(f"{DATA} {LABEL if labels else ''} {BODY} {LOSS if labels else ''}".encode())
    return Solver(
        parse_solver(b'type: "Adam" base_lr: 0.01 momentum: 0.9 lr_policy: "fixed"', net=net), shapings=shapings
    )


def teacher(end=PROB):
    random = np.random.default_rng(3)
    shapes = {"ip1": [(20, 12), (20,)], "ip2": [(4, 20), (4,)]}
    net = parse_net(f"{DATA} {BODY} {end}".encode())
    return net.with_layers(
        layer.with_tensors(Dense(random.standard_normal(s).astype(np.float32)) for s in shapes.get(layer.name, ()))
        for layer in net.layers
    )


def batch(number, labels=True):
    random = np.random.default_rng(number)
    data = {"data": random.standard_normal((16, 12)).astype(np.float32)}
    return data | ({"label": random.integers(0, 4, 16).astype(np.float32)} if labels else {})


def gradient(*shapings, labels=True):
    one = student(*shapings, labels=labels)
    one.updater = lambda *_: None
    loss = one.step(lambda number: batch(0, labels))
    return loss, one, one.network.weight("ip2", 0).grad


def expected(one, *, labels, share=1.0, temperature=1.0):
    """The loss as one writes it by hand."""
    blobs = one.network(batch(0, labels), "*")
    logits = blobs["ip2"]
    with torch.no_grad():
        from demitasse.runtime import run

        wanted = torch.from_numpy(run(teacher(), {"data": batch(0)["data"]}, ["ip2"])["ip2"])
    hard = torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch(0)["label"]).long()) if labels else 0
    soft = torch.nn.functional.kl_div(
        torch.log_softmax(logits / temperature, 1), torch.softmax(wanted / temperature, 1), reduction="batchmean"
    )
    return hard * (1 - share) + share * soft * temperature**2


@pytest.mark.parametrize(("share", "temperature"), [(0.5, 2.0), (0.9, 4.0), (1.0, 1.0)])
def test_the_loss_is_divided_between_labels_and_the_teacher(share, temperature):
    loss, one, found = gradient(Distill(net=teacher(), share=share, temperature=temperature))
    assert loss == gradient()[0], "what is told is the labels' loss"
    weight = one.network.weight("ip2", 0)
    (wanted,) = torch.autograd.grad(expected(one, labels=True, share=share, temperature=temperature), weight)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_without_labels_the_teacher_is_all_there_is():
    (loss,), one, _ = gradient(Distill(net=teacher(), share=1.0, temperature=1.0), labels=False)
    assert loss == pytest.approx(expected(one, labels=False).item(), rel=1e-4)
    with pytest.raises(NetError, match="nothing to train for"):
        student(labels=False)


def test_inner_blobs_come_near():
    def apart(*blobs):
        one = student(Distill(net=teacher(), blobs=blobs, inner=10.0), labels=False)
        for number in range(200):
            one.step(lambda _, number=number: batch(number, labels=False))
        from demitasse.runtime import run

        feed = batch(1000, labels=False)
        wanted = run(teacher(), feed, ["ip1"])["ip1"]
        found = one.network(feed, ["ip1"])["ip1"].detach().numpy()
        return np.square(found - wanted).sum() / np.square(wanted).sum()

    assert apart("ip1") < 0.25 * apart()


def test_what_no_softmax_reads_is_compared_by_its_size():
    one = student(Distill(net=teacher(end="")), labels=False)
    losses = [one.step(lambda _, number=number: batch(number, labels=False))[0] for number in range(200)]
    assert np.mean(losses[-20:]) < 0.2 * np.mean(losses[:5])


def test_a_teacher_comes_from_files(tmp_path):
    save(teacher(), tmp_path / "teacher.demi")
    from_file = gradient(Distill((str(tmp_path / "teacher.demi"),)))[2]
    assert torch.equal(from_file, gradient(Distill(net=teacher()))[2])


@pytest.mark.parametrize("options", [{}, {"share": 0}, {"share": 2}, {"temperature": 0}, {"inner": -1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError, match="distill needs"):
        Distill(**options, **({"net": teacher()} if options else {}))


def test_a_blob_that_there_is_not_is_named():
    with pytest.raises(NetError, match='the network has no blob "conv9"'):
        student(Distill(net=teacher(), blobs=("conv9",)))
    with pytest.raises(NetError, match='has no blob "prob2"'):
        student(Distill(net=teacher('layer { name: "x" type: "Power" bottom: "ip2" top: "prob2" }')))
