"""Picking rows, none among them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.layers import build  # noqa: E402
from demitasse.net import Dense, Net  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402
from layers.reference import network  # noqa: E402
from runtime.one_layer import run  # noqa: E402


def test_gradients_go_to_the_rows_that_were_picked():
    x = torch.arange(8.0).reshape(4, 2).requires_grad_()
    run("Filter", "", x, np.array([0, 1, 0, -2])).sum().backward()
    assert x.grad[:, 0].tolist() == [0, 1, 0, 1]
    x.grad = None
    run("BatchReindex", "", x, np.array([3, 3, 0])).sum().backward()
    assert x.grad[:, 0].tolist() == [1, 0, 0, 2]


@pytest.mark.parametrize("index", [-1, 4])
def test_an_index_of_no_row_is_refused(index):
    with pytest.raises(NetError, match=r'layer "L" .*"x1" holds an index outside of 0 to 3'):
        run("BatchReindex", "", np.zeros((4, 2)), np.array([0, index]))


@pytest.mark.parametrize("kind", ["Silence", "MatWrite"])
def test_what_only_reads_gives_nothing(kind):
    assert run(kind, "", np.zeros((4, 2)), outputs=0) == ()


FILTERED = """layer { name: "x" type: "Input" top: "x" top: "s"
input_param { shape { dim: [3, 4, 5, 5] } shape { dim: 3 } } }
layer { name: "filter" type: "Filter" bottom: "x" bottom: "s" top: "f" }
layer { name: "conv" type: "Convolution" bottom: "f" top: "c" convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "p" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "relu" type: "ReLU" bottom: "fc" top: "fc" }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }"""
WEIGHTS = {"conv": [(2, 4, 3, 3), (2,)], "fc": [(3, 8), (3,)]}


@pytest.mark.parametrize("selector", [[0, 0, 0], [0, 1, 1]])
def test_layers_run_on_as_many_rows_as_there_are(selector):
    layers = [
        layer.with_tensors(Dense(np.ones(shape, np.float32)) for shape in WEIGHTS.get(layer.name, ()))
        for layer in network(FILTERED).layers
    ]
    running = Network(build(Net("test", tuple(layers))))
    assert running({"x": np.ones((3, 4, 5, 5)), "s": np.array(selector)})["prob"].shape == (sum(selector), 3)
