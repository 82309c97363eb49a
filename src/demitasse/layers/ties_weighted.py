"""Ties of layers that multiply by weights: convolutions, inner products, recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from demitasse.layers.convolution import Convolution
from demitasse.layers.inner_product import Embed, InnerProduct
from demitasse.layers.recurrent import Recurrent
from demitasse.layers.sizes import UNKNOWN, count
from demitasse.layers.tying import Product, Tying
from demitasse.layers.units import Ids, Units, spread

__all__ = [
    "convolution",
    "deconvolution",
    "embed",
    "inner_product",
    "lstm",
    "masked_convolution",
    "masked_inner_product",
    "rnn",
]

Outputs = Sequence[Units | None]


def convolution(tying: Tying, *, rows_first: bool = True, masks: bool = False) -> Outputs:
    """New units for the filters; the weights' columns are the input's channels, group by group."""
    placed = cast(Convolution, tying.placed)
    axis = placed.channel_axis
    if placed.filters is UNKNOWN or placed.group is UNKNOWN or any(u and u.axis != axis for u in tying.inputs):
        return tying.hold_all("layout", "its channels are not along the axis that the layer filters")
    rows = tying.fresh(placed.filters)
    columns = common(tying)
    if columns is not None and len(columns) % placed.group:
        columns = None
    blobs = with_biases(tying, rows, placed.bias, masks)
    every, places = tuple(range(len(tying.inputs))), None if columns is None else np.arange(len(columns))
    tying.products.append(Product(rows, columns, places, every, placed.group, blobs, rows_first))
    return [Units(axis, rows)] * len(tying.shapes)


def deconvolution(tying: Tying) -> Outputs:
    """As a convolution, with the weights' axes swapped."""
    return convolution(tying, rows_first=False)


def masked_convolution(tying: Tying) -> Outputs:
    """As a convolution; masks are cut as what they mask."""
    return convolution(tying, masks=True)


def with_biases(tying: Tying, rows: Ids, bias: bool, masks: bool) -> tuple[int, ...]:
    """Cuts the bias, and its mask if there is one. Which blobs are weights and masks of weights."""
    own = 2 if bias else 1
    masked = masks and len(tying.layer.tensors) > own
    for blob in (1, *((own + 1,) if masked else ())) if bias else ():
        tying.cut(blob, 0, rows)
    return (0, own) if masked else (0,)


def common(tying: Tying) -> Ids | None:
    """The units of all inputs, which meet the same weights."""
    known = [units.ids for units in tying.inputs if units is not None]
    if len(known) < len(tying.inputs) or any(len(ids) != len(known[0]) for ids in known):
        for which in range(len(tying.inputs)):
            tying.hold(which, "unknown", "not all inputs of the layer are known")
        return None
    tying.tie(*known)
    return known[0]


def inner_product(tying: Tying, *, masks: bool = False) -> Outputs:
    """New units for the outputs; columns are the elements of the input from ``axis`` on."""
    placed = cast(InnerProduct, tying.placed)
    transposed = placed.param.flag("transpose")
    rows = tying.fresh(placed.units)
    size = input_size(tying, count(placed.inputs[0], placed.first), transposed)
    blobs = with_biases(tying, rows, placed.param.flag("bias_term", True), masks)
    read(tying, rows, 0, placed.first, size, blobs, not transposed)
    return [Units(placed.first, rows)]


def masked_inner_product(tying: Tying) -> Outputs:
    """As an inner product; masks are cut as what they mask."""
    return inner_product(tying, masks=True)


def input_size(tying: Tying, size: int, transposed: bool) -> int:
    """Columns of the weights, which tell what the shapes may not."""
    if size is UNKNOWN and tying.layer.tensors:
        return tying.layer.tensors[0].shape[0 if transposed else -1]
    return size


def read(
    tying: Tying, rows: Ids, which: int, first: int, size: int, blobs: tuple[int, ...], rows_first: bool = True
) -> None:
    """A product with an input's axes from ``first`` on, of ``size`` elements; the input is held if it cannot be told
    what its columns are."""
    units = tying.inputs[which]
    places = None if units is None or size is UNKNOWN else spread(units, tying.placed.inputs[which], first, size)
    if units is None or places is None:
        tying.hold(which, "layout", "its channels are not among what the layer sums over")
        tying.products.append(Product(rows, None, None, (which,), 1, blobs, rows_first))
    else:
        tying.products.append(Product(rows, units.ids[places], places, (which,), 1, blobs, rows_first))


def embed(tying: Tying) -> Outputs:
    """New units for the columns of the table; indices are read whole."""
    placed = cast(Embed, tying.placed)
    units = tying.fresh(placed.positive("num_output"))
    tying.cut(0, 1, units)
    if placed.param.flag("bias_term", True):
        tying.cut(1, 0, units)
    tying.whole = (0,)
    return [Units(len(placed.inputs[0]), units)]


def recurrent(tying: Tying, gates: int) -> tuple[Ids, int]:
    """Products of the inputs with the weights of all gates. The units of the state, and the number of the next blob."""
    placed = cast(Recurrent, tying.placed)
    state = tying.fresh(placed.units)
    rows = np.tile(state, gates)
    exposed = placed.exposed(tying.layer)
    read(tying, rows, 0, 2, placed.features, (0,))
    tying.cut(1, 0, rows)
    blob = 2
    if placed.constant is not None:
        read(tying, rows, 2, 1, placed.constant, (blob,))
        blob += 1
    tying.products.append(Product(rows, state, None, (), blobs=(blob,)))
    tying.whole = (1,)
    for which in range(len(tying.inputs) - exposed, len(tying.inputs)):
        units = tying.inputs[which]
        if units is not None and units.axis == 2 and len(units) == len(state):
            tying.tie(state, units.ids)
        else:
            tying.hold(which, "layout", "its channels are not those of the state")
            tying.pin(state, "layout", "a state that is an input of the layer is not tracked")
    return state, blob + 1


def lstm(tying: Tying) -> Outputs:
    """A unit of the state has a row in each of four gates, and a column that feeds it back."""
    state, _ = recurrent(tying, 4)
    return [Units(2, state)] * len(tying.shapes)


def rnn(tying: Tying) -> Outputs:
    """State and output have one length: a unit of the one goes with that of the other."""
    state, blob = recurrent(tying, 1)
    tying.products.append(Product(state, state, None, (), blobs=(blob,)))
    tying.cut(blob + 1, 0, state)
    return [Units(2, state)] * len(tying.shapes)
