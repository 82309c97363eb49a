"""Looks at a network and fills in an `Inspection`: shapes and work from the graph, the rest from the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.net import Dense, Layer, Net
from demitasse.report.graph import Facts, facts
from demitasse.report.inspection import Inspection, LayerRow
from demitasse.report.sparsity import duplicate_rows, entropy, sparsity
from demitasse.transforms.shrink import Shrink

__all__ = ["inspect_net"]

TRANSPOSED = frozenset({"Deconvolution", "Embed"})
"""Types whose weights have inputs first, outputs second."""

GROUPED = frozenset({"Convolution", "DepthwiseConvolution", "ConvolutionDepthwise", "Deconvolution"})

Arrays = list[npt.NDArray[Any]]
Seen = dict[tuple[Any, ...], tuple[str, Arrays]]


def inspect_net(
    net: Net,
    *,
    file_bytes: int,
    stored: Mapping[tuple[str, int], int] | None = None,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Look at every layer of the test phase (all layers, if that cannot be told). Reads all weights once.

    ``stored``: bytes of each tensor in a .demi, by layer and number of the tensor.
    """
    net = decoded(net)
    known = facts(net)
    seen: Seen = {}
    rows: list[LayerRow] = []
    total, done = max(1, net.parameters), 0
    for layer in known.layers:
        row = from_graph(layer, known, stored)
        if layer.tensors:
            row = with_weights(row, layer, seen, threads)
        rows.append(row)
        done += row.parameters
        if progress is not None:
            progress(done, total)
    leaves = leaving(net)
    rows = [replace(row, removable=leaves.get(row.name, 0)) for row in rows]
    return Inspection(
        name=net.name,
        layers=tuple(rows),
        file_bytes=file_bytes,
        parameters=sum(row.parameters for row in rows),
        macs=known.total_macs,
        peak_activations=known.peak_activations,
        notes=known.notes,
    )


def decoded(net: Net) -> Net:
    """With plain arrays in place of coded weights: they are looked at more often than they should be decoded."""
    return net.with_layers(
        layer.with_tensors(one if isinstance(one, Dense) else Dense(one.array()) for one in layer.tensors)
        if any(not isinstance(one, Dense) for one in layer.tensors)
        else layer
        for layer in net.layers
    )


def from_graph(layer: Layer, known: Facts, stored: Mapping[tuple[str, int], int] | None) -> LayerRow:
    """What can be said of a layer without reading a weight."""
    return LayerRow(
        layer.name,
        layer.type,
        output=known.outputs.get(id(layer)),
        shapes=tuple(tensor.shape for tensor in layer.tensors),
        parameters=known.parameters(layer),
        complete=known.complete(layer),
        macs=known.macs.get(id(layer)),
        bytes=sum(tensor.nbytes for tensor in layer.tensors),
        stored=None if stored is None else sum(stored.get((layer.name, i), 0) for i in range(len(layer.tensors))),
    )


def with_weights(row: LayerRow, layer: Layer, seen: Seen, threads: int) -> LayerRow:
    """The row with what only the values say."""
    arrays = [tensor.array() for tensor in layer.tensors]
    first = arrays[0]
    main = sparsity(first, groups(layer, first.shape), threads)
    rest = [sparsity(values) for values in arrays[1:]]
    zeros = main.zeros + sum(other.zeros for other in rest)
    row = replace(row, zeros=zeros, same_as=twin(layer.name, arrays, zeros, seen))
    if first.ndim < 2 or not first.size:
        return row
    dead, unread = ~main.rows, ~main.columns
    if layer.type in TRANSPOSED:
        dead, unread = unread, dead
    constant = dead & rest[0].rows if rest and rest[0].rows.size == dead.size else np.zeros_like(dead)
    return replace(
        row,
        outputs=dead.size,
        dead_outputs=int(np.count_nonzero(dead)),
        constant_outputs=int(np.count_nonzero(constant)),
        inputs=unread.size,
        unread_inputs=int(np.count_nonzero(unread)),
        duplicates=0 if layer.type in TRANSPOSED else duplicate_rows(first),
        bits=entropy(first),
    )


def leaving(net: Net) -> Mapping[str, int]:
    """Bytes that exact removal takes out of each layer, by its name; nothing for a network that it cannot work on."""
    if not any(layer.tensors for layer in net.layers):
        return {}
    try:
        small = Shrink()(net)
    except NetError:
        return {}
    left: dict[str, int] = {}
    for layer in small.layers:
        left[layer.name] = left.get(layer.name, 0) + sum(tensor.nbytes for tensor in layer.tensors)
    have: dict[str, int] = {}
    for layer in net.layers:
        have[layer.name] = have.get(layer.name, 0) + sum(tensor.nbytes for tensor in layer.tensors)
    return {name: max(0, nbytes - left.get(name, 0)) for name, nbytes in have.items()}


def groups(layer: Layer, shape: tuple[int, ...]) -> int:
    """Into how many groups the first axis of the weights falls."""
    if layer.type not in GROUPED or not shape:
        return 1
    group = layer.message.message("convolution_param").integer("group", 1)
    return group if group > 0 and shape[0] % group == 0 else 1


def twin(name: str, arrays: Arrays, zeros: int, seen: Seen) -> str:
    """An earlier layer with the very same weights, or nothing."""
    first = arrays[0].reshape(-1)
    key = (tuple(values.shape for values in arrays), zeros, first[:16].tobytes(), first[-16:].tobytes())
    other, theirs = seen.setdefault(key, (name, arrays))
    if other != name and first.any() and all(map(np.array_equal, arrays, theirs)):
        return other
    return ""
