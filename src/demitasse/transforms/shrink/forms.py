"""What the forms of layers ask for besides the values that are needed: channels that stay so that a layer can exist."""

from __future__ import annotations

import numpy as np

from demitasse.layers.tying import Product, Tied
from demitasse.layers.units import Ids
from demitasse.transforms.shrink.needs import Needs

__all__ = ["settle"]


def settle(state: Needs) -> None:
    """Keeps whatever layers need in order to have a possible form, until all do."""
    news = True
    while news:
        news = False
        for tied in reversed(state.ties.placed):
            news |= settled(state, tied)


def settled(state: Needs, tied: Tied) -> bool:
    """Keeps what the form of a layer asks for besides. Whether that is news."""
    if not state.alive(tied):
        return False
    news = False
    for product in tied.products:
        if product.groups > 1:
            news |= balanced(state, tied, product)
    if tied.window > 0:
        news |= spaced(state, tied)
    for units in tied.inputs:
        if units is not None and len(units) and not tied.droppable and not state.stays(units).any():
            news |= state.keep(nearest(state, units.ids), "empty", tied.position)
    if tied.droppable and tied.outputs and not any(state.stays(units).any() for units in tied.inputs):
        every = np.concatenate([units.ids for units in tied.inputs if units is not None])
        news |= state.keep(nearest(state, every), "empty", tied.position)
    return news


def nearest(state: Needs, ids: Ids) -> Ids:
    """The one of some units that is made closest to the input, which takes the fewest layers to keep."""
    first: Ids = ids[[int(np.argmin(state.ties.makers[ids]))]]
    return first


def balanced(state: Needs, tied: Tied, product: Product) -> bool:
    """All groups of which something stays have to be of one size."""
    if product.columns is None:
        return False
    sides = [ids.reshape(product.groups, -1) for ids in (product.rows, product.columns)]
    standing = np.zeros(product.groups, np.bool_)
    for side in sides:
        standing |= state.kept(side).any(axis=1)
    news = False
    for side in sides:
        sizes = state.kept(side).sum(axis=1)
        size = max(1, int(sizes.max(initial=0)))
        for group in np.flatnonzero(standing & (sizes < size)):
            spare = side[group][~state.kept(side[group])]
            for unit in spare:
                if int(state.kept(side[group]).sum()) >= size:
                    break
                news |= state.keep(np.array([unit]), "group", tied.position)
    return news


def spaced(state: Needs, tied: Tied) -> bool:
    """Channels that did not see each other must not come to stand within each other's windows: zeros stay between."""
    units = tied.inputs[0]
    constants = state.found.constants.get(tied.sources[0])
    if units is None or constants is None:
        return False
    line = list(range(len(units)))
    news = False
    for place in np.flatnonzero(~state.stays(units)).tolist():
        at = line.index(place)
        before, behind = line[max(0, at - tied.window) : at], line[at + 1 : at + 1 + tied.window]
        meets = any(
            constants[a] != 0 and constants[b] != 0 and len(before) - i + j + 1 == tied.window + 1
            for i, a in enumerate(before)
            for j, b in enumerate(behind)
        )
        if meets:
            news |= state.keep(units.ids[[place]], "window", tied.position)
        else:
            line.pop(at)
    return news
