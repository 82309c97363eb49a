"""What was written, told from what is in a file."""

from pathlib import Path

import numpy as np
import pytest

from demitasse.caffe.read import parse_net
from demitasse.evaluate.witness import as_witnessed, witnessed
from demitasse.files import load, save
from demitasse.net import Dense, Levels, Net

TEXT = b"""
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 2 } }
"""


@pytest.fixture
def net() -> Net:
    rng = np.random.default_rng(3)
    read = parse_net(TEXT, "a.prototxt")
    weights = {
        "conv": [
            Levels(rng.integers(-9, 10, (4, 3, 3, 3)).astype(np.int32), np.float32([0.1])),
            Dense(np.zeros(4, "<f4")),
        ],
        "fc": [Dense(rng.normal(size=(2, 144)).astype("<f4")), Dense(np.float32([np.nan, -0.0]))],
    }
    return read.with_layers(layer.with_tensors(weights.get(layer.name, [])) for layer in read.layers)


def written(net: Net, folder: Path) -> tuple[Path, Path]:
    files = folder / "a.prototxt", folder / "a.caffemodel"
    save(net, *files)
    return files


def test_what_was_written_is_in_the_file(net: Net, tmp_path: Path) -> None:
    watched = witnessed(net)
    assert as_witnessed(watched, load(*written(watched, tmp_path)))


def test_nothing_is_known_of_what_was_not_written(net: Net, tmp_path: Path) -> None:
    assert not as_witnessed(witnessed(net), load(*written(net, tmp_path)))
    assert not as_witnessed(net, load(*written(net, tmp_path)))


@pytest.mark.parametrize(("layer", "index"), [("conv", 0), ("conv", 1), ("fc", 0), ("fc", 1)])
def test_one_bit_of_a_weight_is_noticed(net: Net, tmp_path: Path, layer: str, index: int) -> None:
    watched = witnessed(net)
    files = written(watched, tmp_path)
    (wanted,) = [one for one in net.layers if one.name == layer]
    data = bytearray(files[1].read_bytes())
    at = data.find(wanted.tensors[index].array().astype("<f4").tobytes())
    data[at] ^= 1
    files[1].write_bytes(data)
    assert not as_witnessed(watched, load(*files))


def test_a_layer_that_is_gone_is_noticed(net: Net, tmp_path: Path) -> None:
    watched = witnessed(net)
    read = load(*written(watched, tmp_path))
    assert not as_witnessed(watched, read.with_layers(layer for layer in read.layers if layer.name != "fc"))
