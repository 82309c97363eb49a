"""How layers make up for the channels that they no longer read.

What left is predicted from what stays, and the prediction goes into the weights: with pictures, each channel that left
is the least-squares combination of those that stay (He et al., 2017; Luo et al., 2017), which for 1×1 convolutions and
inner products is the least-squares fit of the layer's original outputs, and for larger kernels the best one that treats
all taps alike. Without pictures, or where little is known, its mean is all that is made up for: from BatchNorm's
statistics, or on generated pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erf

import numpy as np
import numpy.typing as npt

from demitasse.layers.ties import Ties
from demitasse.layers.tying import Product, Tied
from demitasse.layers.units import Ids
from demitasse.net import Dense, Layer
from demitasse.transforms.lowrank.statistics import Moments
from demitasse.transforms.prune.criteria import makers
from demitasse.transforms.removal import Edit
from demitasse.transforms.shrink.flow import absorbed, own_weights
from demitasse.transforms.shrink.patterns import Patterns
from demitasse.transforms.transform import Activations
from demitasse.transforms.wiring import Wiring

__all__ = ["Repair", "applied", "constants", "means_by_statistics", "moments", "repairs"]

Wide = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """For a layer: what each position of its input that leaves is, as a sum over those that stay plus a constant.

    ``stays``: which positions stay; ``mixing``: leaving × staying; ``constant``: one for each that leaves.
    """

    stays: Mask
    mixing: Wide | None
    constant: Wide


def moments(ties: Ties, activations: Activations, kept: Mask) -> dict[int, Moments]:
    """Means and second moments of what layers read that lose inputs, by the layers' positions."""
    wiring = Wiring.of(ties.net)
    distinct, names = wiring.distinct()
    read = {}
    for tied, product in makers(ties):
        if loses(ties, tied, product, kept) and tied.position in wiring.sources:
            units = tied.inputs[product.inputs[0]]
            if units is not None:
                read[tied.position] = (names[wiring.sources[tied.position][product.inputs[0]]], units)
    found: dict[int, Moments] = {}
    for blobs in activations(distinct, sorted({name for name, _ in read.values()})):
        for position, (name, units) in read.items():
            values = blobs[name]
            if position not in found:
                found[position] = Moments(values.shape[units.axis])
            found[position].add(values, units.axis)
    return found


def loses(ties: Ties, tied: Tied, product: Product, kept: Mask) -> bool:
    """Whether a layer loses inputs, and can be changed to make up for it."""
    if product.columns is None or len(tied.products) > 1 or len(product.inputs) != 1 or not own_weights(ties, tied):
        return False
    return not bool(kept[product.columns].all()) and bool(kept[product.columns].any())


def repairs(ties: Ties, kept: Mask, seen: Mapping[int, Moments], *, fit: bool) -> dict[int, Repair]:
    """What is to be done to each layer. ``fit``: by least squares, not only by the means."""
    found: dict[int, Repair] = {}
    for tied, product in makers(ties):
        units = tied.inputs[product.inputs[0]] if product.inputs else None
        known = seen.get(tied.position)
        if units is None or known is None or not loses(ties, tied, product, kept):
            continue
        stays = kept[units.ids]
        if fit and product.groups == 1:
            found[tied.position] = fitted(known, stays)
        else:
            found[tied.position] = Repair(stays, None, known.mean[~stays])
    return found


def fitted(known: Moments, stays: Mask) -> Repair:
    """Least squares, with the moments taken towards a multiple of the identity as far as few samples ask for."""
    centred, mean = known.centred, known.mean
    alpha = known.shrinkage()
    scale = float(np.trace(centred)) / len(centred)
    inside = (1 - alpha) * centred[np.ix_(stays, stays)]
    inside[np.diag_indices_from(inside)] += alpha * scale + 1e-9 * scale + 1e-30
    across = (1 - alpha) * centred[np.ix_(~stays, stays)]
    mixing: Wide = np.linalg.solve(inside, across.T).T.astype(np.float64)
    return Repair(stays, mixing, mean[~stays] - mixing @ mean[stays])


def constants(tied: Tied, repair: Repair) -> Edit:
    """The constant part, as a change of the bias."""
    product = tied.products[0]
    pattern = Patterns().of(tied.layer.tensors[0], product)
    values = np.zeros(len(repair.stays))
    values[~repair.stays] = repair.constant
    if pattern.places is None:
        return Edit()
    more = absorbed(tied, pattern, values[pattern.places])
    return Edit(constant=more if more.any() else None)


def applied(ties: Ties, kept: Mask, found: Mapping[int, Repair], layers: Sequence[Layer]) -> list[Layer]:
    """Layers with weights that mix what left into what stays. ``layers``: without the channels that left."""
    by_name = {ties.net.layers[position].name: position for position in found}
    out: list[Layer] = []
    for layer in layers:
        position = by_name.get(layer.name)
        repair = found.get(position) if position is not None else None
        if position is None or repair is None or repair.mixing is None or not layer.tensors:
            out.append(layer)
            continue
        tied = ties.by_position[position][0]
        out.append(layer.with_tensors((Dense(mixed(tied, repair, kept)), *layer.tensors[1:])))
    return out


def mixed(tied: Tied, repair: Repair, kept: Mask) -> npt.NDArray[np.floating]:
    """The weights of the rows and columns that stay, with those of the columns that leave mixed in."""
    product, tensor = tied.products[0], tied.layer.tensors[0]
    values = tensor.array()
    table = values if product.rows_first else np.swapaxes(values, 0, 1)
    table = table[kept[product.rows]]
    rounds = by_channel(product, len(repair.stays))
    staying, leaving = (rounds[:, mask] for mask in (repair.stays, ~repair.stays))
    result = np.array(table[:, np.sort(staying.reshape(-1))], table.dtype)
    order = np.searchsorted(np.sort(staying.reshape(-1)), staying)
    mixing = (repair.mixing if repair.mixing is not None else np.zeros((0, 0))).astype(np.float32)
    for into, source in zip(order, leaving, strict=True):
        result[:, into] += np.moveaxis(np.tensordot(table[:, source], mixing, (1, 0)), -1, 1)
    tensor.release()
    return np.ascontiguousarray(result if product.rows_first else np.swapaxes(result, 0, 1))


def by_channel(product: Product, channels: int) -> Ids:
    """Columns of a product, one row for each turn over the channels: ``turn × channel``."""
    places = product.places if product.places is not None else np.arange(channels)
    order = np.argsort(places, kind="stable")
    return order.reshape(channels, -1).T


def means_by_statistics(ties: Ties) -> dict[int, Moments]:
    """Means of what layers read, as far as BatchNorm's statistics tell: behind it a channel is normal, with the mean
    and deviation that its scale gives it, and a ReLU cuts that."""
    known: dict[tuple[int, int], tuple[Wide, Wide]] = {}
    found: dict[int, Moments] = {}
    for tied in ties.placed:
        sources = [known.get(value) for value in tied.sources]
        layer, first = tied.layer, sources[0] if sources else None
        if layer.type == "BatchNorm" and layer.tensors:
            count = layer.tensors[0].size
            known[tied.position, 0] = (np.zeros(count), np.ones(count))
        elif layer.type == "Eltwise" and None not in sources:
            known[tied.position, 0] = summed(tied, [source for source in sources if source is not None])
        elif first is not None and layer.type in ("Scale", "ReLU", "Dropout", "Pooling"):
            known[tied.position, 0] = passed(tied, *first)
        elif first is not None and tied.products and tied.position not in found:
            sums = Moments(len(first[0]), 1)
            sums.first += first[0]
            found[tied.position] = sums
    return found


def passed(tied: Tied, mean: Wide, deviation: Wide) -> tuple[Wide, Wide]:
    """Mean and deviation behind a layer."""
    layer = tied.layer
    if layer.type == "Scale" and len(tied.inputs) == 1 and layer.tensors and layer.tensors[0].size == len(mean):
        factor = layer.tensors[0].array().astype(np.float64).reshape(-1)
        bias = layer.tensors[1].array().astype(np.float64).reshape(-1) if len(layer.tensors) > 1 else 0.0
        return mean * factor + bias, np.abs(deviation * factor)
    if layer.type == "ReLU":
        return rectified(mean, deviation)
    return mean, deviation


def summed(tied: Tied, sources: Sequence[tuple[Wide, Wide]]) -> tuple[Wide, Wide]:
    """Mean and deviation of a sum of independent variables; of another operation, those of the first alone."""
    param = tied.placed.param
    if param.string("operation", "SUM") not in ("SUM", "1"):
        return sources[0]
    factors = param.numbers("coeff") or (1.0,) * len(sources)
    mean = np.sum([factor * one for factor, (one, _) in zip(factors, sources, strict=True)], axis=0)
    squares = np.sum([(factor * one) ** 2 for factor, (_, one) in zip(factors, sources, strict=True)], axis=0)
    return mean, np.sqrt(squares)


def rectified(mean: Wide, deviation: Wide) -> tuple[Wide, Wide]:
    """Mean and deviation of the positive part of a normal variable."""
    safe = np.maximum(deviation, 1e-12)
    z = mean / safe
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    below = 0.5 * (1 + np.array([erf(one / np.sqrt(2)) for one in z]))
    first = mean * below + safe * density
    second = (mean**2 + safe**2) * below + mean * safe * density
    return first, np.sqrt(np.maximum(second - first**2, 0))
