"""What a channel is worth: by its weights, by the scale that BatchNorm left it, or by what it does on pictures.

- ``l1``, ``l2``: the norm of the filter (Li et al., 2017);
- ``median``: how far the filter is from all others of its layer, so that what others can replace leaves first
  (geometric median: He et al., 2019);
- ``batchnorm``: the magnitude of its scale behind a BatchNorm (network slimming: Liu et al., 2017);
- ``activation``: the mean magnitude of what its readers see, on pictures;
- ``taylor``: the squared change of the outputs to first order if it left, on pictures (Molchanov et al., 2017).

Scores are relative to the mean of their layer, so that layers can be ranked against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from demitasse.errors import OptionError
from demitasse.layers.ties import Ties
from demitasse.layers.tying import Product, Tied
from demitasse.layers.units import Ids
from demitasse.net import Tensor
from demitasse.transforms.shrink.patterns import blocks
from demitasse.transforms.transform import Activations
from demitasse.transforms.wiring import Wiring

__all__ = ["CRITERIA", "ON_PICTURES", "Criterion", "Scores", "makers", "scores"]

Criterion = Literal["l1", "l2", "median", "batchnorm", "activation", "taylor"]

CRITERIA: tuple[Criterion, ...] = ("l1", "l2", "median", "batchnorm", "activation", "taylor")

ON_PICTURES = frozenset({"activation", "taylor"})
"""Criteria that need pictures."""

COLUMNS = 2048
"""Weights of each filter that are compared with those of all others: more of them tell little more."""

Wide = npt.NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Scores:
    """For each group of channels the sum of what its members are worth, and how many were judged."""

    ties: Ties
    total: Wide = field(init=False)
    judged: Wide = field(init=False)

    def __post_init__(self) -> None:
        self.total, self.judged = np.zeros(self.ties.count), np.zeros(self.ties.count)

    def add(self, ids: Ids, values: Wide) -> None:
        """What some units of one layer are worth, to be compared with the mean of that layer."""
        scale = float(values.mean()) if len(values) else 0.0
        groups = self.ties.groups[ids]
        np.add.at(self.total, groups, values / scale if scale > 0 else values)
        np.add.at(self.judged, groups, 1.0)

    @property
    def mean(self) -> Wide:
        """By group; not a number where nothing was judged."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / self.judged


def makers(ties: Ties) -> Iterator[tuple[Tied, Product]]:
    """Layers that make channels with weights of their own, each once, with the product that does it."""
    seen: set[int] = set()
    for tied in ties.placed:
        if tied.position not in seen and tied.products and tied.layer.tensors:
            seen.add(tied.position)
            yield tied, tied.products[0]


def scores(ties: Ties, criterion: Criterion, activations: Activations | None, gradients: Activations | None) -> Scores:
    """What each group is worth. OptionError for a criterion that needs what is not there."""
    found = Scores(ties)
    if criterion == "batchnorm":
        by_scale(found)
    elif criterion == "activation":
        if activations is None:
            raise OptionError("the criterion activation needs pictures: give --images")
        by_pictures(found, activations, lambda values: np.abs(values).mean(axis=1))
    elif criterion == "taylor":
        if gradients is None:
            raise OptionError("the criterion taylor needs pictures: give --images")
        by_pictures(found, gradients, lambda values: values.mean(axis=1) ** 2)
    else:
        for tied, product in makers(ties):
            found.add(product.rows, by_row(tied.layer.tensors[0], product, criterion))
    return found


def by_row(tensor: Tensor, product: Product, criterion: Criterion) -> Wide:
    """For each row of a product."""
    if criterion == "median":
        return distances(tensor, product)
    found = np.zeros(len(product.rows))
    for start, values in blocks(tensor):
        wide = np.abs(values.astype(np.float64))
        table = wide if criterion == "l1" else wide**2
        if product.rows_first:
            found[start : start + len(values)] = table.reshape(len(values), -1).sum(axis=1)
        else:
            group = np.arange(start, start + len(values)) * product.groups // tensor.shape[0]
            parts = table.reshape(*table.shape[:2], -1).sum(axis=2)
            np.add.at(found.reshape(product.groups, -1), group, parts)
    return found if criterion == "l1" else np.sqrt(found)


def distances(tensor: Tensor, product: Product) -> Wide:
    """The sum of each filter's distances to all others of the layer."""
    values = tensor.array()
    if not product.rows_first:
        inputs, outputs = values.shape[:2]
        shape = (product.groups, inputs // product.groups, outputs, -1)
        values = np.swapaxes(values.reshape(shape), 1, 2).reshape(len(product.rows), -1)
    table = values.reshape(len(product.rows), -1)
    table = table[:, :: max(1, table.shape[1] // COLUMNS)].astype(np.float64)
    squares = (table**2).sum(axis=1)
    between = squares[:, None] + squares[None, :] - 2 * table @ table.T
    found: Wide = np.sqrt(np.maximum(between, 0)).sum(axis=1)
    return found


def by_scale(found: Scores) -> None:
    """The magnitudes of the scales behind BatchNorm layers."""
    ties = found.ties
    normalised = {tied.layer.outputs[0] for tied in ties.placed if tied.layer.type == "BatchNorm"}
    seen: set[int] = set()
    for tied in ties.placed:
        layer, units = tied.layer, tied.inputs[0] if tied.inputs else None
        own = layer.type == "BatchNorm" and len(layer.tensors) == 5
        scale = layer.type == "Scale" and len(layer.inputs) == 1 and layer.inputs[0] in normalised
        if units is None or tied.position in seen or not (own or scale or layer.type == "BN") or not layer.tensors:
            continue
        values = np.abs(layer.tensors[3 if own else 0].array().astype(np.float64).reshape(-1))
        if len(values) == len(units):
            seen.add(tied.position)
            found.add(units.ids, values)
    if not seen:
        raise OptionError("the criterion batchnorm needs BatchNorm layers with scales, and the network has none")


def by_pictures(found: Scores, seen: Activations, judge: Callable[[Wide], Wide]) -> None:
    """By what readers see: ``judge`` makes a number for each channel of channels × places."""
    wiring = Wiring.of(found.ties.net)
    distinct, names = wiring.distinct()
    read = {}
    for tied, product in makers(found.ties):
        for which in product.inputs[:1]:
            units = tied.inputs[which]
            if units is not None and tied.position in wiring.sources:
                read[names[wiring.sources[tied.position][which]]] = units
    totals: dict[str, Wide] = {}
    for blobs in seen(distinct, sorted(read)):
        for name, units in read.items():
            table = np.moveaxis(blobs[name], units.axis, 0).reshape(len(units), -1).astype(np.float64)
            totals[name] = totals.get(name, 0.0) + judge(table)
    for name, units in read.items():
        if name in totals:
            found.add(units.ids, totals[name])
