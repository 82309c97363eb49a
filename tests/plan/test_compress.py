from pathlib import Path

import numpy as np
import pytest

from demitasse import files, plan
from demitasse.caffe.read import parse_net
from demitasse.net import Dense, Levels, Net

TEXT = b"""name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 8 dim: 3 dim: 24 dim: 24 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 16 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "odd" type: "NobodyKnows" bottom: "conv" top: "odd" }
layer { name: "fc" type: "InnerProduct" bottom: "odd" top: "fc" inner_product_param { num_output: 10 } }
"""
SHAPES = {"conv": [(16, 3, 3, 3), (16,)], "fc": [(10, 400), (10,)]}


def small() -> Net:
    random = np.random.default_rng(3)
    net = parse_net(TEXT)
    return net.with_layers(
        layer.with_tensors(Dense((0.1 * random.normal(size=s)).astype(np.float32)) for s in SHAPES.get(layer.name, []))
        for layer in net.layers
    )


def same(a: Net, b: Net) -> bool:
    return all(
        np.array_equal(s.array(), t.array())
        for one, two in zip(a.layers, b.layers, strict=True)
        for s, t in zip(one.tensors, two.tensors, strict=True)
    )


def test_the_same_network_gives_the_same_result() -> None:
    assert same(plan.compress(small(), 25), plan.compress(small(), 25, threads=2))


def test_what_cannot_be_run_falls_back_and_is_noted() -> None:
    found = plan.compress(small(), 25)
    assert isinstance(found.layer("fc").tensors[0], Levels)
    assert any(note.layer == "fc" and "cannot be run" in note.text for note in found.report)


def test_without_inputs_all_weights_count_alike() -> None:
    net = small()
    blind = net.with_layers(layer for layer in net.layers if layer.name != "data")
    found = plan.compress(blind, 25)
    assert isinstance(found.layer("conv").tensors[0], Levels)
    assert any("not known" in note.text for note in found.report)


def test_sensitivity_is_known_up_to_the_layer_that_is_not() -> None:
    found = plan.sensitivity(small())
    assert set(found.costs) == {("conv", 0), ("conv", 1)}
    assert set(found.feedback) == {"conv"}


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["lenet_mnist", "mtcnn_det2"])
def test_a_real_network_becomes_several_times_smaller(zoo: Path, tmp_path: Path, name: str) -> None:
    folder = zoo / "models" / name
    net = files.load(folder / "deploy.prototxt", folder / f"{name}.caffemodel")
    files.save(plan.compress(net), tmp_path / "small.demi")
    assert (folder / f"{name}.caffemodel").stat().st_size > 4 * (tmp_path / "small.demi").stat().st_size
