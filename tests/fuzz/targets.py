"""What the parsers and decoders are given, and what is done with what they let pass: everything is read to the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from tests.fuzz import seeds
from tests.fuzz.seeds import CLUSTERED, CODEBOOKS, ELEMENTS, INDEXED, SHAPES

from demitasse import _core, originals
from demitasse.caffe import text
from demitasse.caffe.decode import decode_net
from demitasse.caffe.match import with_weights
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.read import net_of, parse_net
from demitasse.caffe.upgrade import upgrade_net
from demitasse.codec import clusters, container, levels, lossless
from demitasse.codec import text as words
from demitasse.codec.cursor import Cursor
from demitasse.codec.deep_compression import read_net_file
from demitasse.codec.index import Index, Limits
from demitasse.errors import ContainerError
from demitasse.layers import build, infer

LIMITS = Limits(elements=1 << 22, text=1 << 20)
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None


@dataclass(frozen=True)
class Target:
    """``consume`` reads an input as a user's command would; whatever it raises must be a DemitasseError.

    ``share``: how many of a thousand inputs of a run are for it; the slow ones get few.
    """

    name: str
    seeds: Sequence[bytes]
    consume: Callable[[bytes], object]
    share: int


def read_text(data: bytes) -> object:
    root = text.parse(data)
    if text.dump(root) != data:
        raise AssertionError("printing what was parsed gives other bytes")
    return parse_net(data)


def read_network(data: bytes) -> object:
    """As ``inspect`` does: which layers there are, and their shapes."""
    return [infer(build(parse_net(data), phase, splits=True)).total_macs for phase in ("TEST", "TRAIN")]


def read_wire(data: bytes) -> object:
    model = Caffemodel.parse(data)
    total = sum(layer.nbytes for layer in model.layers)
    for layer in model.layers:
        for blob in layer.blobs:
            blob.array()
    return total


def read_described(data: bytes) -> object:
    """The network that a caffemodel itself describes."""
    return net_of(upgrade_net(decode_net(Caffemodel.parse(data)))[0])


def read_matched(data: bytes) -> object:
    """The weights of a network that has its layers, or should have."""
    net = with_weights(parse_net(seeds.CLASSIFIER), Caffemodel.parse(data), missing="keep")
    return [tensor.array() for layer in net.layers for tensor in layer.tensors]


def file_with(data: bytes) -> tempfile._TemporaryFileWrapper[bytes]:
    file = tempfile.NamedTemporaryFile(dir=FOLDER)  # noqa: SIM115
    file.write(data)
    file.flush()
    return file


def read_container(data: bytes) -> object:
    with file_with(data) as file, container.open(file.name, threads=1, limits=LIMITS) as reader:
        for _, tensors in reader.layers:
            for tensor in tensors:
                tensor.array()
                tensor.coded().array()
        if reader.original is not None:
            return originals.network(reader.text, reader.original, file.name)
        return parse_net(reader.text)


class Anything:
    """Equal to whatever it is compared with."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def read_unchecked(data: bytes) -> object:
    """A container whose checksums always fit, so that the damage reaches what lies behind them."""
    with mock.patch.object(_core, "crc32c", return_value=Anything()):
        return read_container(data)


def plain(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ContainerError("a text is cut")
    return data


def read_plain(data: bytes) -> object:
    """The same without the coder of texts, so that damage to the index is small, too."""
    with mock.patch.object(words, "decode", plain):
        return read_unchecked(data)


def read_index(data: bytes) -> object:
    return Index.decode(Cursor(data, "index"), seeds.CLASSIFIER, 0, INDEXED, LIMITS)


def read_levels(data: bytes) -> object:
    """The first byte says how many tensors there should be, and whether of a trellis."""
    chosen = data[0] if data else 0
    layouts = [
        levels.Layout(*shape, trellis=bool(chosen & 2), wide=bool(chosen & 4)) for shape in SHAPES[: 1 + (chosen & 1)]
    ]
    steps, shifts = [np.ones(1, np.float32) for _ in layouts], [np.zeros(6, np.float32) for _ in layouts]
    integers = levels.decode(data[1:], layouts)
    floats = levels.decode_to_float(data[1:], layouts, steps, shifts)
    if any(((a == 0) != (b == 0)).any() for a, b in zip(integers, floats, strict=True)):
        raise AssertionError("levels and weights differ")
    return integers


def read_floats(data: bytes) -> object:
    """The first byte says of which type they should be."""
    out = np.empty((12, 50), ELEMENTS[(data[0] if data else 0) % 4])
    lossless.decode(data[1:], [out])
    return out


def read_words(data: bytes) -> object:
    """The first two bytes say how long the text should be."""
    return words.decode(data[2:], int.from_bytes(data[:2], "little"))


def read_positions(data: bytes) -> object:
    out = [np.empty(shape, np.int32) for shape in CLUSTERED]
    clusters.decode(data, out, [6, 1], CODEBOOKS)
    return [book[part] for book, part in zip(CODEBOOKS, out, strict=True)]


def read_codebooks(data: bytes) -> object:
    out = [np.empty_like(book) for book in CODEBOOKS]
    clusters.decode_codebooks(data, out)
    return out


def read_net(data: bytes) -> object:
    with file_with(data) as file:
        return [part.array() for pair in read_net_file(file.name, seeds.CODED_LAYERS) for part in pair]


def targets() -> list[Target]:
    return [
        Target("text", seeds.texts(), read_text, 240),
        Target("network", seeds.texts(), read_network, 60),
        Target("wire", seeds.wires(), read_wire, 240),
        Target("described", seeds.wires(), read_described, 60),
        Target("matched", seeds.wires(), read_matched, 20),
        Target("container", seeds.containers(), read_container, 20),
        Target("unchecked container", seeds.containers(), read_unchecked, 10),
        Target("plain container", seeds.plain_containers(), read_plain, 80),
        Target("index", seeds.indexes(), read_index, 80),
        Target("levels", seeds.level_streams(), read_levels, 60),
        Target("floats", seeds.float_streams(), read_floats, 60),
        Target("positions", seeds.cluster_streams(), read_positions, 20),
        Target("codebooks", seeds.codebook_streams(), read_codebooks, 20),
        Target("words", seeds.word_streams(), read_words, 10),
        Target("net", seeds.net_files(), read_net, 20),
    ]
