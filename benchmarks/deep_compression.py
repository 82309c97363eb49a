"""Deep Compression's published SqueezeNet, coded again with the same weights.

    python benchmarks/deep_compression.py

The published file is 675,763 bytes. Every codebook and every bias keeps its float32 bits; only the coding of the
indices differs. The order-0 entropy of the indices says what any coder without context could reach.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import demitasse as dm
from corpus import ZOO
from demitasse.deep_compression import import_net
from table import publish


def main() -> None:
    folder = ZOO / "models" / "squeezenet_deep_compression"
    published = folder / "compressed_SqueezeNet.net"
    net = import_net(folder / "deploy.prototxt", published)
    reference = dm.load(folder / "deploy.prototxt", folder / "squeezenet_deep_compression.caffemodel")
    with tempfile.TemporaryDirectory() as temporary:
        stored = Path(temporary) / "squeezenet.demi"
        dm.save(net, stored)
        size = stored.stat().st_size
        restored = dm.load(stored)
    for ours, theirs in zip(restored.layers, reference.layers, strict=True):
        for a, b in zip(ours.tensors, theirs.tensors, strict=True):
            if a.array().tobytes() != np.ascontiguousarray(b.array()).tobytes():
                raise SystemExit(f"{ours}: weights differ from the reference")
    raw = published.stat().st_size
    bits, floats = order0(net)
    rows: list[dict[str, Any]] = [
        {"coding": "published .net", "bytes": raw, "ratio": 1.0},
        {
            "coding": "order-0 entropy of indices, float32 codebooks and biases",
            "bytes": int(bits / 8 + floats),
            "ratio": (bits / 8 + floats) / raw,
        },
        {"coding": "demitasse .demi, prototxt included", "bytes": size, "ratio": size / raw},
    ]
    publish("deep_compression", "SqueezeNet by Deep Compression, identical weights", rows, {"ratio": size / raw})


def order0(net: dm.Net) -> tuple[float, int]:
    bits, floats = 0.0, 0
    for layer in net.layers:
        for tensor in layer.tensors:
            if isinstance(tensor, dm.Clustered):
                counts = np.bincount(tensor.indices.ravel())
                counts = counts[counts > 0]
                bits -= float((counts * np.log2(counts / counts.sum())).sum())
                floats += tensor.codebook.nbytes
            else:
                floats += tensor.nbytes
    return bits, floats


if __name__ == "__main__":
    main()
