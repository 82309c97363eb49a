"""Valid inputs to damage: small, and between them of every form that a parser knows."""

from __future__ import annotations

import struct
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
from tests import networks

from demitasse.caffe.model import Caffemodel
from demitasse.codec import clusters, container, levels, lossless
from demitasse.codec import text as words
from demitasse.codec.blocks import plan
from demitasse.codec.deep_compression import CodedLayer
from demitasse.codec.index import Entry, Index, Kind
from demitasse.codec.original import Run
from demitasse.net import Clustered, Dense, Levels, Tensor

V1 = b"""name: 'old' # V1
layers { name: "c" type: CONVOLUTION bottom: "x" top: "c" blobs_lr: 1. blobs_lr: 2
  weight_decay: 1 weight_decay: 0
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 1e-2 } } }
layers < name: "r"; type: RELU, bottom: "c" top: "c" relu_param { negative_slope: 0x1 } include: { phase: TRAIN } >
input: "x" input_dim: [1, 3, 8, 010]
"""
V0 = b"""input: "data" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9
layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "pad" }
layers { layer { name: "conv" type: "conv" num_output: 8 kernelsize: 5 stride: 1 biasterm: true
  weight_filler { type: "constant" value: -.5 } blobs_lr: 1.f } bottom: "pad" top: "conv" }
"""


CLASSIFIER = networks.CLASSIFIER.replace("num_output: 16", "num_output: 4").encode()


def texts() -> list[bytes]:
    start = networks.DETECTOR.index('layer { name: "loc"')
    return [CLASSIFIER, networks.DETECTOR[:start].encode(), V1, V0]


def wires() -> list[bytes]:
    weights = {"conv1": ("Convolution", [networks.random((4, 3, 3, 3), 1), networks.random((4,), 2)])}
    blob = b"\x08\x01\x10\x01\x18\x02\x20\x02" + b"".join(b"\x2d" + struct.pack("<f", x) for x in (1, 2, 3, 4))
    old = networks.field(2, networks.field(4, b"c") + networks.field(6, blob) + b"\x28\x04")
    return [networks.encoded(weights), networks.field(1, b"old") + old]


def containers() -> list[bytes]:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    levels = np.rint(weights * 2).astype(np.int32)
    step = np.array([0.5], np.float32)
    kinds: list[list[Tensor]] = [
        [Dense(weights), Dense(weights[:, 0, 0, 0])],
        [Levels(levels, step), Levels(levels[0].ravel(), step)],
        [Levels(levels, step, trellis=True, shifts=np.array([0.0625, 0, 0, 0, 0, -0.5], np.float32), wide=True)],
        [Clustered((levels - levels.min()).astype(np.uint8), np.arange(1 + np.ptp(levels), dtype=np.float32))],
        [Dense(weights.astype(np.float16)), Dense(weights.astype(np.float64))],
    ]
    out = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.demi"
        for tensors in kinds:
            container.write(path, CLASSIFIER, [("conv1", tensors)], {"mean": [104, 117, 123]})
            out.append(path.read_bytes())
        for model in wires():
            runs = [Run(run.offset, run.dtype, run.shape) for run in Caffemodel.parse(model).runs()]
            container.write_original(path, CLASSIFIER, model, runs)
            out.append(path.read_bytes())
    return out


def plain_containers() -> list[bytes]:
    """With prototxt, index and frame as they are, not coded."""
    with mock.patch.object(words, "encode", bytes):
        return containers()


INDEXED = 1000
"""Bytes of the blocks that the index speaks of."""


def indexes() -> list[bytes]:
    entries = (
        Entry(Kind.FLOAT32, (8, 3, 3, 3)),
        Entry(Kind.LEVELS, (8, 27), steps=1),
        Entry(Kind.CLUSTERED, (8, 27), codebook=9),
    )
    every = entries + tuple(hidden for entry in entries if (hidden := entry.hidden) is not None)
    blocks = [replace(block, nbytes=40) for block in plan(every)]
    blocks[-1] = replace(blocks[-1], nbytes=INDEXED - 40 * (len(blocks) - 1))
    return [Index((("conv1", 2), ("fc", 1)), entries, tuple(blocks)).encode(CLASSIFIER)]


SHAPES = ((6, 4, 3, 3), (1, 40, 1, 1))
ELEMENTS = ("<f4", "<f2", "<f8", "u1")


def level_streams() -> list[bytes]:
    rng = np.random.default_rng(1)
    out = []
    for coder in (levels.Coder.MIXING, levels.Coder.TABLES):
        for chosen in (0, 1, 2, 3, 7):
            tensors = [
                levels.LevelTensor(
                    np.rint(rng.laplace(0, 1.5, shape)).astype(np.int32),
                    levels.Layout(*shape, trellis=bool(chosen & 2), wide=bool(chosen & 4)),
                )
                for shape in SHAPES[: 1 + (chosen & 1)]
            ]
            out.append(bytes([chosen]) + levels.encode(tensors, coder=coder))
    return out


def float_streams() -> list[bytes]:
    weights = np.random.default_rng(2).standard_normal((12, 50))
    weights[weights < -0.5] = 0
    return [bytes([i]) + lossless.encode([weights.astype(kind)]) for i, kind in enumerate(ELEMENTS)]


def word_streams() -> list[bytes]:
    texts = [networks.CLASSIFIER[:400].encode(), networks.DETECTOR[:300].encode()]
    return [len(text).to_bytes(2, "little") + words.encode(text) for text in texts]


CODEBOOKS = (np.array([-1.5, -0.25, 0, 0.5, 2], np.float32), np.array([1], np.float32))
CLUSTERED = ((9, 24), (4, 7))


def cluster_streams() -> list[bytes]:
    rng = np.random.default_rng(3)
    positions = [
        rng.integers(0, len(book), shape).astype(np.int32) for book, shape in zip(CODEBOOKS, CLUSTERED, strict=True)
    ]
    return [clusters.encode(positions, [6, 1], CODEBOOKS)]


def codebook_streams() -> list[bytes]:
    return [clusters.encode_codebooks(CODEBOOKS)]


CODED_LAYERS = (CodedLayer("conv1", (4, 3, 3, 3), 4), CodedLayer("fc", (10, 30), 10))


def net_files() -> list[bytes]:
    """As Deep Compression writes them: counts, then codebook, biases, positions and gaps of each layer."""
    rng = np.random.default_rng(4)
    out, counts = b"", []
    for layer in CODED_LAYERS:
        count = layer.size // 3
        counts.append(count)
        floats = rng.standard_normal((1 << layer.bits) + layer.biases).astype("<f4")
        out += floats.tobytes() + rng.bytes(-(-count * layer.bits // 8))
        out += bytes(x | y << 4 for x, y in rng.integers(0, 3, ((count + 1) // 2, 2)).tolist())
    return [struct.pack("<2I", *counts) + out]
