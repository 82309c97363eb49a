"""Every cut and every flipped bit of a small file of each kind is noticed, or changes nothing that counts."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from demitasse import files, originals, plan
from demitasse.codec import container
from demitasse.codec import text as words
from demitasse.errors import ContainerError, DemitasseError
from demitasse.net import Net
from networks import encoded, random

PROTOTXT = b"""name: "tiny"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 1 } }
"""
CAFFEMODEL = encoded(
    {
        "conv": ("Convolution", [random((4, 1, 3, 3), 1), random((4,), 2)]),
        "fc": ("InnerProduct", [random((1, 144), 3), random((1,), 4)]),
    }
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network; the coder of texts, which takes milliseconds to start, decodes each head once."""
    (tmp_path / "deploy.prototxt").write_bytes(PROTOTXT)
    (tmp_path / "tiny.caffemodel").write_bytes(CAFFEMODEL)
    monkeypatch.setattr(words, "decode", functools.cache(words.decode))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(lossless: bool) -> bytes:
    """The network as a .demi."""
    if lossless:
        originals.store("deploy.prototxt", "tiny.caffemodel", "tiny.demi")
    else:
        files.save(plan.compress(files.load("deploy.prototxt", "tiny.caffemodel"), 30.0), "tiny.demi")
    return Path("tiny.demi").read_bytes()


def weights(net: Net) -> list[bytes]:
    return [np.ascontiguousarray(tensor.array()).tobytes() for layer in net.layers for tensor in layer.tensors]


def outcome(*paths: str) -> Net | DemitasseError:
    """The network with its weights read, or the error, which is one line."""
    try:
        net = files.load(*paths)
        weights(net)
    except DemitasseError as error:
        return error if "\n" not in str(error) else pytest.fail(f"not one line: {error}")
    return net


def read_to_the_end(data: bytes) -> None:
    """All that a .demi holds. ContainerError for a damaged one."""
    Path("bad.demi").write_bytes(data)
    with container.open("bad.demi", threads=1) as reader:
        for _, tensors in reader.layers:
            for tensor in tensors:
                tensor.array()
        if reader.original is not None:
            for _ in reader.original.parts():
                pass


@pytest.mark.parametrize("lossless", [False, True], ids=["lossy", "lossless"])
def test_every_flipped_bit_of_a_demi_is_detected(here: Path, lossless: bool) -> None:
    good = stored(lossless)
    read_to_the_end(good)
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ContainerError):
            read_to_the_end(bytes(bad))


@pytest.mark.parametrize("lossless", [False, True], ids=["lossy", "lossless"])
def test_every_cut_of_a_demi_is_detected(here: Path, lossless: bool) -> None:
    good = stored(lossless)
    for size in range(len(good)):
        with pytest.raises(ContainerError):
            read_to_the_end(good[:size])
    for more in (b"\0", good[-1:], good):
        with pytest.raises(ContainerError):
            read_to_the_end(good + more)


def test_every_cut_of_a_caffemodel_is_detected(here: Path) -> None:
    for size in range(len(CAFFEMODEL)):
        (here / "cut.caffemodel").write_bytes(CAFFEMODEL[:size])
        with pytest.raises(DemitasseError) as caught:
            weights(files.load("deploy.prototxt", "cut.caffemodel"))
        assert "\n" not in str(caught.value)


def test_a_flipped_bit_of_a_caffemodel_is_an_error_or_other_numbers(here: Path) -> None:
    """There is nothing in the file to tell by; what is read has the shapes of the prototxt."""
    expected = [len(part) for part in weights(files.load("deploy.prototxt", "tiny.caffemodel"))]
    refused = 0
    for bit in range(8 * len(CAFFEMODEL)):
        bad = bytearray(CAFFEMODEL)
        bad[bit // 8] ^= 1 << bit % 8
        if 60 < bit // 8 < 150 or 300 < bit // 8 < 800:
            continue  # among the numbers themselves
        (here / "bad.caffemodel").write_bytes(bad)
        found = outcome("deploy.prototxt", "bad.caffemodel")
        refused += isinstance(found, DemitasseError)
        assert isinstance(found, DemitasseError) or [len(part) for part in weights(found)] == expected
    assert refused > 300


def test_a_cut_prototxt_is_an_error_or_a_shorter_one(here: Path) -> None:
    """A text that ends between two layers is a text like any other: the weights tell, where they are there."""
    whole = files.load("deploy.prototxt")
    for size in range(len(PROTOTXT) - 1):
        (here / "cut.prototxt").write_bytes(PROTOTXT[:size])
        net = outcome("cut.prototxt")
        if isinstance(net, DemitasseError):
            assert "cut.prototxt" in str(net)
            continue
        assert len(net.layers) < len(whole.layers)
        assert [layer.name for layer in net.layers] == [layer.name for layer in whole.layers][: len(net.layers)]
