"""Forwards through a network: which channels are constant, and which are the same as another one.

Two positions have the same number (their class) if they certainly hold the same values: filters with the same weights
and bias on the same input, and whatever is done alike to both afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demitasse.layers.ties import Ties, Value
from demitasse.layers.tying import Product, Tied
from demitasse.layers.units import Units
from demitasse.net import Tensor
from demitasse.transforms.shrink.constants import CONSTANTS, Constants, bordered, varying
from demitasse.transforms.shrink.duplicates import Classes, Numbering
from demitasse.transforms.shrink.patterns import Pattern, Patterns, blocks

__all__ = ["Flow", "flow", "absorbed"]


@dataclass(slots=True, eq=False)
class Flow:
    """By value: its constants and its classes. ``None`` where the units are not known."""

    constants: dict[Value, Constants | None] = field(default_factory=dict)
    classes: dict[Value, Classes | None] = field(default_factory=dict)

    def of(self, tied: Tied) -> list[Constants | None]:
        """The constants of a layer's inputs."""
        return [self.constants.get(value) for value in tied.sources]


def flow(ties: Ties, patterns: Patterns) -> Flow:
    """The constants and classes of every value. In both phases only what holds in both."""
    found = Flow()
    numbering = Numbering()
    for tied in ties.placed:
        inputs = found.of(tied)
        constants = outgoing(ties, tied, inputs, patterns)
        classes = numbering.outputs(tied, [found.classes.get(value) for value in tied.sources], patterns)
        for which, units in enumerate(tied.outputs):
            value = (tied.position, which)
            mine = fitted(constants[which] if which < len(constants) else None, units)
            if value in found.constants:
                mine = agreed(found.constants[value], mine)
                classes[which] = numbering.both(found.classes[value], classes[which])
            found.constants[value] = mine
            found.classes[value] = classes[which]
    return found


def fitted(values: Constants | None, units: Units | None) -> Constants | None:
    """What is known about as many positions as there are."""
    if units is None:
        return None
    return values if values is not None and len(values) == len(units) else varying(len(units))


def agreed(a: Constants | None, b: Constants | None) -> Constants | None:
    """What both say."""
    if a is None or b is None or len(a) != len(b):
        return None if b is None else varying(len(b))
    return np.where(a == b, a, np.nan)


def outgoing(
    ties: Ties, tied: Tied, inputs: Sequence[Constants | None], patterns: Patterns
) -> Sequence[Constants | None]:
    """Constants of a layer's outputs."""
    if tied.opaque or None in tied.shapes:
        return [None] * len(tied.outputs)
    if tied.products and tied.products[0].inputs and tied.layer.type not in ("LSTM", "RNN"):
        rows = product_rows(ties, tied, inputs, patterns)
        return [rows] * len(tied.outputs)
    if tied.layer.type == "LSTM":
        return [silent_cells(tied)] * len(tied.outputs)
    if tied.layer.type == "Embed":
        return [embedded(tied)]
    rule = CONSTANTS.get(tied.layer.type)
    return [None] * len(tied.outputs) if rule is None else list(rule(tied, inputs))


def silent_cells(tied: Tied) -> Constants | None:
    """Units of an LSTM whose candidate is always zero: nothing ever enters the cell, and it gives zero. Unless its
    state is an input of the layer."""
    units = tied.outputs[0]
    if units is None or not tied.layer.tensors or len(tied.outputs) > 1:
        return None if units is None else varying(len(units))
    rows = [tensor.array()[3 * len(units) :].reshape(len(units), -1) for tensor in tied.layer.tensors]
    silent = np.all([(table == 0).all(axis=1) for table in rows], axis=0)
    return np.where(silent, 0.0, np.nan)


def embedded(tied: Tied) -> Constants | None:
    """A column of the table that is one number throughout."""
    units = tied.outputs[0]
    if units is None or not tied.layer.tensors:
        return None
    table = tied.layer.tensors[0].array()
    found = np.where(table.min(axis=0) == table.max(axis=0), table[0].astype(np.float64), np.nan)
    return found + bias_of(tied, len(units))


def product_rows(ties: Ties, tied: Tied, inputs: Sequence[Constants | None], patterns: Patterns) -> Constants | None:
    """An output is constant if it reads constants only, and none of them through a border."""
    product = tied.products[0]
    if not tied.layer.tensors:
        return None
    if tied.layer.type.endswith("Ristretto"):
        return varying(len(product.rows))
    pattern = patterns.of(tied.layer.tensors[0], product)
    bias = bias_of(tied, len(product.rows))
    columns = column_constants(product, pattern, inputs)
    if columns is None:
        used = pattern.used.any(axis=1)
        return np.where(used, np.nan, bias)
    opaque = np.isnan(columns) | ((columns != 0) & (not absorbs(ties, tied)))
    rows = pattern.rows_reading(opaque)
    more = absorbed(tied, pattern, np.where(np.isnan(columns), 0.0, columns)) if not rows.all() else 0.0
    return np.where(rows, np.nan, bias + more)


def column_constants(product: Product, pattern: Pattern, inputs: Sequence[Constants | None]) -> Constants | None:
    """The constant of each column of the pattern; ``None`` if an input is not known."""
    found = [inputs[which] for which in product.inputs]
    if pattern.places is None or any(values is None for values in found):
        return None
    known = [values for values in found if values is not None]
    first = known[0]
    for other in known[1:]:
        first = np.where(first == other, first, np.nan)
    return first[pattern.places]


def absorbs(ties: Ties, tied: Tied) -> bool:
    """Whether a constant that the layer reads can go into its bias exactly."""
    return not bordered(tied) and own_weights(ties, tied) and len(tied.products) == 1


def own_weights(ties: Ties, tied: Tied) -> bool:
    """Whether nobody else has a say in the layer's weights: they are not shared, and not masked."""
    blobs = {(tied.position, blob) for blob in range(len(tied.layer.tensors) + 1)}
    shared = {*ties.shared, *ties.shared.values()}
    return not (blobs & shared) and all(len(product.blobs) == 1 for product in tied.products)


def bias_of(tied: Tied, rows: int) -> Constants:
    """The bias, or zeros; unknown where it is masked."""
    tensors = tied.layer.tensors
    cut = [blob for blob in tied.weights if blob < len(tensors) and blob > 0]
    if not cut:
        return np.zeros(rows)
    bias = tensors[cut[0]].array().astype(np.float64).reshape(-1)
    for mask in cut[1:]:
        bias = bias * tensors[mask].array().reshape(-1)
    return np.where(np.isfinite(bias), bias, np.nan)


def absorbed(tied: Tied, pattern: Pattern, constants: Constants) -> npt.NDArray[np.float64]:
    """For each output of a product what constants in some columns (zero elsewhere) add to it."""
    product, tensor = tied.products[0], tied.layer.tensors[0]
    more = np.zeros(len(product.rows))
    which = np.flatnonzero(constants)
    width, height = len(constants) // pattern.groups, len(more) // pattern.groups
    for group in np.unique(which // width) if len(which) else ():
        inside = which[which // width == group]
        rows = slice(int(group) * height, (int(group) + 1) * height)
        columns = (inside[:, None] * pattern.run + np.arange(pattern.run)).reshape(-1)
        each = np.repeat(constants[inside], pattern.run)
        if product.rows_first:
            more[rows] = by_rows(tensor, rows, columns - int(group) * width * pattern.run, each)
        else:
            table = tensor.array()[columns].astype(np.float64)
            more[rows] = np.tensordot(each, table.reshape(len(columns), table.shape[1], -1).sum(axis=2), 1)
    return more


def by_rows(
    tensor: Tensor, rows: slice, columns: npt.NDArray[np.int64], constants: Constants
) -> npt.NDArray[np.float64]:
    """The sum over some columns of some rows, each times a constant."""
    found = np.zeros(tensor.shape[0])
    for start, values in blocks(tensor):
        if start < rows.stop and start + len(values) > rows.start:
            table = values[:, columns].astype(np.float64)
            found[start : start + len(values)] = table.reshape(*table.shape[:2], -1).sum(axis=2) @ constants
    return found[rows]
