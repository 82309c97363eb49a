"""Python layers: known classes are computed or refused with a reason, whatever the module; none is ever run."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.layers import build  # noqa: E402
from demitasse.layers.python import KNOWN  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402
from demitasse.runtime.python_layers import PYTHON, REFUSED  # noqa: E402
from layers.reference import network  # noqa: E402
from runtime.one_layer import run  # noqa: E402


def text(name: str, module: str = "a.b") -> str:
    return f'python_param {{ module: "{module}" layer: "{name}" }}'


def test_every_class_with_known_shapes_is_computed_or_refused_with_a_reason():
    assert {name for _, name in KNOWN} <= set(PYTHON) | set(REFUSED)
    assert not set(PYTHON) & set(REFUSED)
    assert all(REFUSED.values())


@pytest.mark.parametrize("name", [*REFUSED, "Mystery"])
def test_other_classes_are_refused_by_name(name):
    with pytest.raises(NetError, match=rf'layer "L".*Python layer a\.b\.{name} cannot be run: .'):
        run("Python", text(name), np.zeros((1, 2)))


def test_the_example_loss_ignores_the_weight_that_it_has():
    a, b = (torch.tensor(np.random.RandomState(i).standard_normal((4, 3))).float().requires_grad_() for i in (0, 1))
    loss = run("Python", text("EuclideanLossLayer", "pyloss"), a, b)
    assert loss.shape == (1,)
    (5 * loss.sum()).backward()
    assert float(loss.detach()) == pytest.approx(float((a - b).detach().square().sum()) / 8, rel=1e-5)
    torch.testing.assert_close(a.grad, ((a - b) / 4).detach())
    torch.testing.assert_close(b.grad, ((b - a) / 4).detach())


TRAINING = """layer { name: "data" type: "Python" top: "data" top: "rois" top: "labels"
python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer" } }
layer { name: "pool" type: "ROIPooling" bottom: "data" bottom: "rois" top: "y"
roi_pooling_param { pooled_h: 1 pooled_w: 1 } }"""


def test_what_a_data_layer_gives_can_be_given_in_its_place():
    running = Network(build(network(TRAINING)))
    x = np.arange(48).reshape(1, 3, 4, 4)
    given = {"data": x, "rois": np.array([[0, 0, 0, 3, 3]]), "labels": np.zeros(1)}
    assert running(given, "y")["y"].reshape(-1).tolist() == [15, 31, 47]
    with pytest.raises(NetError, match=r'layer "data".*give its outputs as inputs'):
        running({})
