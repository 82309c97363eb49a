"""Reading the reference data that real Caffe wrote: networks, and what Caffe said about them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demitasse.caffe.read import net_of
from demitasse.caffe.text import parse
from demitasse.caffe.upgrade import upgrade_net
from demitasse.net import Layer, Net

SHARED = Path(__file__).resolve().parents[3] / "shared"


def network(text: str | bytes) -> Net:
    """The network of a prototxt of any version."""
    root, _ = upgrade_net(parse(text if isinstance(text, bytes) else text.encode(), "test"))
    return net_of(root)


def layer(text: str) -> Layer:
    """The only layer of a text."""
    (only,) = network(text).layers
    return only


def cases(pattern: str) -> list[Any]:
    """A parameter for every case of every file of that pattern; none where the reference data is missing."""
    return [
        pytest.param(case, id=f"{file.name.removesuffix('.gz').removesuffix('.json')}-{case.get('name', '')}")
        for file in sorted((SHARED / "golden").glob(pattern))
        for case in each(file)
    ]


def each(file: Path) -> Iterator[dict[str, Any]]:
    """The cases in a file, plain or compressed, that holds one or a list of them."""
    data = file.read_bytes()
    found = json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
    yield from found if isinstance(found, list) else [found]
