"""The .net files of Deep Compression: what the authors' file holds, and what is no such file."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demitasse.caffe.read import read_net
from demitasse.codec.deep_compression import CodedLayer, read_net_file
from demitasse.errors import DemitasseError, FileError, WeightsError

LAYERS = [CodedLayer("conv1", (2, 3, 3, 3), 2), CodedLayer("fc2", (4, 5), 4)]


def halves(values: list[int]) -> bytes:
    padded = values + [0] * (len(values) % 2)
    return bytes(low | high << 4 for low, high in zip(padded[::2], padded[1::2], strict=True))


def written(layers: list[CodedLayer], weights: list[np.ndarray]) -> tuple[bytes, list[np.ndarray]]:
    """A file whose weights are positions in codebooks of 0, 1, 2 …, and the positions themselves."""
    counts, body = b"", b""
    for layer, positions in zip(layers, weights, strict=True):
        gaps, stored, last = [], [], -1
        for place in np.flatnonzero(positions.ravel()):
            while place - last - 1 > 15:
                gaps.append(15)
                stored.append(0)
                last += 16
            gaps.append(int(place) - last - 1)
            stored.append(int(positions.ravel()[place]))
            last = int(place)
        counts += struct.pack("<I", len(stored))
        body += np.arange(1 << layer.bits, dtype="<f4").tobytes() + np.full(layer.biases, 0.5, "<f4").tobytes()
        body += (bytes(stored) if layer.bits == 8 else halves(stored)) + halves(gaps)
    return counts + body, weights


def sample(seed: int, density: float) -> tuple[bytes, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return written(
        LAYERS, [rng.integers(0, 1 << la.bits, la.shape) * (rng.random(la.shape) < density) for la in LAYERS]
    )


@given(st.integers(0, 1 << 30), st.sampled_from([0.0, 0.02, 0.3, 1.0]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_weights_and_biases_come_out(tmp_path: Path, seed: int, density: float) -> None:
    data, weights = sample(seed, density)
    (tmp_path / "a.net").write_bytes(data)
    out = read_net_file(tmp_path / "a.net", LAYERS)
    for layer, expected, (tensor, biases) in zip(LAYERS, weights, out, strict=True):
        assert tensor.shape == layer.shape
        assert (tensor.array() == expected).all()
        assert (biases.array() == 0.5).all()


def test_every_cut_is_an_error(tmp_path: Path) -> None:
    data, _ = sample(0, 0.3)
    for size in range(len(data)):
        (tmp_path / "a.net").write_bytes(data[:size])
        with pytest.raises(WeightsError, match=r"a\.net: ends at byte"):
            read_net_file(tmp_path / "a.net", LAYERS)
    (tmp_path / "a.net").write_bytes(data + b"\0")
    with pytest.raises(WeightsError, match="left after the last layer"):
        read_net_file(tmp_path / "a.net", LAYERS)


@given(st.binary(max_size=3000))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_foreign_bytes_are_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.net").write_bytes(data)
    with pytest.raises(DemitasseError):
        read_net_file(tmp_path / "a.net", LAYERS)


def test_counts_and_places_beyond_the_layer_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_bytes(struct.pack("<II", 1 << 31, 0) + bytes(2000))
    with pytest.raises(WeightsError, match="stores 2147483648 weights"):
        read_net_file(path, LAYERS)
    layer = CodedLayer("fc", (3,), 0)
    path.write_bytes(struct.pack("<I", 1) + bytes(64) + b"\1" + b"\x05")
    with pytest.raises(WeightsError, match="at place 5"):
        read_net_file(path, [layer])
    path.write_bytes(bytes(10000))
    with pytest.raises(WeightsError, match="at most"):
        read_net_file(path, [layer])
    with pytest.raises(FileError, match="cannot be read"):
        read_net_file(tmp_path / "none.net", LAYERS)


@pytest.mark.zoo
def test_squeezenet_as_published(zoo: Path) -> None:
    folder = zoo / "models" / "squeezenet_deep_compression"
    net = read_net(folder / "deploy.prototxt", folder / "squeezenet_deep_compression.caffemodel")
    weighted = [layer for layer in net.layers if layer.tensors]
    layers = [CodedLayer(layer.name, layer.tensors[0].shape, layer.tensors[1].size) for layer in weighted]
    out = read_net_file(folder / "compressed_SqueezeNet.net", layers)
    for layer, tensors in zip(weighted, out, strict=True):
        for reference, tensor in zip(layer.tensors, tensors, strict=True):
            assert tensor.array().tobytes() == reference.array().tobytes(), layer.name
