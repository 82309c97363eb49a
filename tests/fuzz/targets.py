"""What the parsers and decoders are given, and what is done with what they let pass: everything is read to the end."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from tests import networks

from demitasse import _core
from demitasse.caffe import text
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.read import parse_net
from demitasse.codec import container, levels, lossless
from demitasse.codec import text as words
from demitasse.codec.blocks import plan
from demitasse.codec.cursor import Cursor
from demitasse.codec.index import Entry, Index, Kind, Limits
from demitasse.net import Clustered, Dense, Levels, Tensor

V1 = b"""name: 'old' # V1
layers { name: "c" type: CONVOLUTION bottom: "x" top: "c" blobs_lr: 1. blobs_lr: 2
  weight_decay: 1 weight_decay: 0 include: { phase: TRAIN }
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 1e-2 } } }
layers < name: "r"; type: RELU, bottom: "c" top: "c" relu_param { negative_slope: 0x1 } >
input: "x" input_dim: [1, 3, 8, 010]
"""
V0 = b"""input: "data" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9
layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "pad" }
layers { layer { name: "conv" type: "conv" num_output: 8 kernelsize: 5 stride: 1 biasterm: true
  weight_filler { type: "constant" value: -.5 } blobs_lr: 1.f } bottom: "pad" top: "conv" }
"""


@dataclass(frozen=True)
class Target:
    """``consume`` reads an input as a user's command would; whatever it raises must be a DemitasseError."""

    name: str
    seeds: Sequence[bytes]
    consume: Callable[[bytes], object]
    slow: bool = False


def read_text(data: bytes) -> object:
    root = text.parse(data)
    if text.dump(root) != data:
        raise AssertionError("printing what was parsed gives other bytes")
    return parse_net(data)


def read_wire(data: bytes) -> object:
    model = Caffemodel.parse(data)
    total = sum(layer.nbytes for layer in model.layers)
    for layer in model.layers:
        for blob in layer.blobs:
            blob.array()
    return total


def read_container(data: bytes) -> object:
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
        file.write(data)
        file.flush()
        with container.open(file.name, threads=1, limits=Limits(elements=1 << 22)) as reader:
            return [tensor.array() for _, tensors in reader.layers for tensor in tensors]


def containers() -> list[bytes]:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    levels = np.rint(weights * 2).astype(np.int32)
    step = np.array([0.5], np.float32)
    kinds: list[list[Tensor]] = [
        [Dense(weights), Dense(weights[:, 0, 0, 0])],
        [Levels(levels, step), Levels(levels[0].ravel(), step)],
        [Levels(levels, step, trellis=True, shifts=np.array([0.05, 0, 0], np.float32))],
        [Clustered((levels - levels.min()).astype(np.uint8), np.arange(1 + np.ptp(levels), dtype=np.float32))],
        [Dense(weights.astype(np.float16)), Dense(weights.astype(np.float64))],
    ]
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for tensors in kinds:
            path = Path(folder) / "seed.demi"
            container.write(path, networks.CLASSIFIER.encode(), [("conv1", tensors)], {"mean": [104, 117, 123]})
            out.append(path.read_bytes())
    return out


class Anything:
    """Equal to whatever it is compared with."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def read_unchecked(data: bytes) -> object:
    """A container whose checksums always fit, so that the damage reaches what lies behind them."""
    with mock.patch.object(_core, "crc32c", return_value=Anything()):
        return read_container(data)


INDEXED = 1000
"""Bytes of the blocks that the index speaks of."""


def read_index(data: bytes) -> object:
    return Index.decode(Cursor(data, "index"), networks.CLASSIFIER.encode(), 0, INDEXED, Limits(elements=1 << 22))


def indexes() -> list[bytes]:
    entries = (
        Entry(Kind.FLOAT32, (8, 3, 3, 3)),
        Entry(Kind.LEVELS, (8, 27), steps=1),
        Entry(Kind.CLUSTERED, (8, 27), codebook=9),
    )
    every = entries + tuple(hidden for entry in entries if (hidden := entry.hidden) is not None)
    blocks = [replace(block, nbytes=40) for block in plan(every)]
    blocks[-1] = replace(blocks[-1], nbytes=INDEXED - 40 * (len(blocks) - 1))
    return [Index((("conv1", 2), ("fc", 1)), entries, tuple(blocks)).encode(networks.CLASSIFIER.encode())]


SHAPES = ((6, 4, 3, 3), (1, 40, 1, 1))
ELEMENTS = ("<f4", "<f2", "<f8", "u1")


def read_levels(data: bytes) -> object:
    """The first byte says how many tensors there should be, and whether of a trellis."""
    chosen = data[0] if data else 0
    layouts = [levels.Layout(*shape, trellis=bool(chosen & 2)) for shape in SHAPES[: 1 + (chosen & 1)]]
    return levels.decode(data[1:], layouts)


def level_streams() -> list[bytes]:
    rng = np.random.default_rng(1)
    out = []
    for coder in (levels.Coder.MIXING, levels.Coder.TABLES):
        for chosen in range(4):
            tensors = [
                levels.LevelTensor(
                    np.rint(rng.laplace(0, 1.5, shape)).astype(np.int32),
                    levels.Layout(*shape, trellis=bool(chosen & 2)),
                )
                for shape in SHAPES[: 1 + (chosen & 1)]
            ]
            out.append(bytes([chosen]) + levels.encode(tensors, coder=coder))
    return out


def read_floats(data: bytes) -> object:
    """The first byte says of which type they should be."""
    out = np.empty((12, 50), ELEMENTS[(data[0] if data else 0) % 4])
    lossless.decode(data[1:], [out])
    return out


def float_streams() -> list[bytes]:
    weights = np.random.default_rng(2).standard_normal((12, 50))
    weights[weights < -0.5] = 0
    return [bytes([i]) + lossless.encode([weights.astype(kind)]) for i, kind in enumerate(ELEMENTS)]


def read_words(data: bytes) -> object:
    """The first two bytes say how long the text should be."""
    return words.decode(data[2:], int.from_bytes(data[:2], "little"))


def word_streams() -> list[bytes]:
    texts = [networks.CLASSIFIER[:400].encode(), networks.DETECTOR[:300].encode()]
    return [len(text).to_bytes(2, "little") + words.encode(text) for text in texts]


def wires() -> list[bytes]:
    weights = {"conv1": ("Convolution", [networks.random((4, 3, 3, 3), 1), networks.random((4,), 2)])}
    blob = b"\x08\x01\x10\x01\x18\x02\x20\x02" + b"".join(b"\x2d" + struct.pack("<f", x) for x in (1, 2, 3, 4))
    old = networks.field(2, networks.field(4, b"c") + networks.field(6, blob) + b"\x28\x04")
    return [networks.encoded(weights), networks.field(1, b"old") + old]


def targets() -> list[Target]:
    texts = [
        networks.CLASSIFIER.encode(),
        networks.DETECTOR[: networks.DETECTOR.index('layer { name: "loc"')].encode(),
        V1,
        V0,
    ]
    return [
        Target("text", texts, read_text),
        Target("wire", wires(), read_wire),
        Target("container", containers(), read_container),
        Target("unchecked container", containers(), read_unchecked, slow=True),
        Target("index", indexes(), read_index),
        Target("levels", level_streams(), read_levels),
        Target("floats", float_streams(), read_floats),
        Target("words", word_streams(), read_words, slow=True),
    ]
