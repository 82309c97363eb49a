"""Ties of layers that move, join, cut or repeat channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from demitasse.layers.convolution import SlidingWindow
from demitasse.layers.rearrange import Concat, Slice
from demitasse.layers.sizes import UNKNOWN, count
from demitasse.layers.ties_pointwise import channelwise
from demitasse.layers.tying import Tying
from demitasse.layers.units import Units, carried

__all__ = [
    "concat",
    "crop",
    "crop_center",
    "filter_rows",
    "im2col",
    "permute",
    "pixel_shuffle",
    "position_sensitive",
    "pyramid",
    "reshape",
    "shuffle",
    "slices",
    "tile",
    "unsqueeze",
]

Outputs = Sequence[Units | None]


def reshape(tying: Tying) -> Outputs:
    """Flatten and Reshape: the same elements, counted otherwise."""
    if "pixelshuffler" in tying.placed.param:
        return shuffled(tying, tying.placed.positive("pixelshuffler"))
    units, out = tying.inputs[0], tying.shapes[0]
    if units is None or out is None:
        return tying.hold_all("unknown", "its shape is not known")
    moved = carried(units, tying.placed.inputs[0], out)
    if moved is None:
        return tying.hold_all("layout", "it spreads channels over more than one axis")
    return [moved]


def permute(tying: Tying) -> Outputs:
    """Axes in another order."""
    units, shape = tying.inputs[0], tying.placed.inputs[0]
    if units is None:
        return [None]
    order = tying.placed.sizes("order")
    axes = (*order, *(axis for axis in range(len(shape)) if axis not in order))
    return [units.along(axes.index(units.axis))]


def unsqueeze(tying: Tying) -> Outputs:
    """One more axis."""
    units, shape = tying.inputs[0], tying.placed.inputs[0]
    if units is None:
        return [None]
    place = tying.placed.param.integer("dim")
    place += 0 if place >= 0 else len(shape) + 1
    return [units.along(units.axis + (place <= units.axis))]


def concat(tying: Tying) -> Outputs:
    """Along the channels one behind the other; along another axis the same channels."""
    axis = cast(Concat, tying.placed).along("concat_dim")
    known = [units for units in tying.inputs if units is not None]
    if len(known) == len(tying.inputs) and all(units.axis == axis for units in known):
        tying.droppable = True
        return [Units(axis, np.concatenate([units.ids for units in known]))]
    if len(known) < len(tying.inputs) or len({(units.axis, len(units)) for units in known}) != 1:
        return tying.hold_all("layout", "its inputs' channels do not lie along one axis")
    tying.tie(*(units.ids for units in known))
    return [known[0]]


def slices(tying: Tying) -> Outputs:
    """Pieces of the channels, or the same channels in each piece."""
    placed, units = cast(Slice, tying.placed), tying.inputs[0]
    axis = placed.along("slice_dim")
    if units is None:
        return [tying.tracked(shape) for shape in tying.shapes]
    if units.axis != axis:
        return [units] * len(tying.shapes)
    edges = np.cumsum(placed.parts(len(units)))[:-1]
    return [Units(axis, ids) for ids in np.split(units.ids, edges)]


def crop(tying: Tying) -> Outputs:
    """To the size of the second input, from an axis on, which may be that of the channels."""
    units, placed = tying.inputs[0], tying.placed
    if units is not None and placed.axis(placed.param.integer("axis", 2), placed.inputs[0]) <= units.axis:
        return tying.hold_all("layout", "it cuts channels off by the shape of another blob")
    tying.by_shape = (1,)
    return [units]


def crop_center(tying: Tying) -> Outputs:
    """The same cut from both ends of each axis."""
    units = tying.inputs[0]
    if units is not None and tying.placed.sizes("crop_size")[units.axis]:
        return tying.hold_all("layout", "it cuts channels off")
    return [units]


def tile(tying: Tying) -> Outputs:
    """Repeated as a whole."""
    units, placed = tying.inputs[0], tying.placed
    if units is None or placed.axis(placed.param.integer("axis", 1), placed.inputs[0]) != units.axis:
        return [units]
    return [Units(units.axis, np.tile(units.ids, placed.positive("tiles")))]


def shuffle(tying: Tying) -> Outputs:
    """Channels of the groups interleaved: the ones at the same place of each group stay or go together."""
    out = channelwise(tying)
    units, group = tying.inputs[0], tying.placed.positive("group", 1)
    if units is None or out[0] is not units:
        return out
    table = units.ids.reshape(group, -1)
    tying.tie(*table)
    return [Units(1, table.T.reshape(-1))]


def pixel_shuffle(tying: Tying) -> Outputs:
    """Channels become squares of pixels."""
    return shuffled(tying, tying.placed.positive("upscale_factor"))


def shuffled(tying: Tying, factor: int) -> Outputs:
    """The channels that make up one output channel stay or go together."""
    return gathered(tying, factor * factor)


def position_sensitive(tying: Tying) -> Outputs:
    """R-FCN: each output channel is put together from channels of its own; regions are read whole."""
    tying.whole = (1,)
    return gathered(tying, tying.placed.positive("group_size") ** 2)


def gathered(tying: Tying, together: int) -> Outputs:
    """So many channels in a row make one."""
    out = channelwise(tying)
    units = tying.inputs[0]
    if units is None or out[0] is not units:
        return out
    table = units.ids.reshape(-1, together)
    tying.tie(*table.T)
    return [Units(1, table[:, 0])]


def pyramid(tying: Tying) -> Outputs:
    """SPP: the bins of each level, channel by channel, behind each other."""
    out = channelwise(tying)
    units, levels = tying.inputs[0], tying.placed.positive("pyramid_height")
    if units is None or out[0] is not units or levels == 1:
        return out
    return [Units(1, np.concatenate([np.repeat(units.ids, 4**level) for level in range(levels)]))]


def im2col(tying: Tying) -> Outputs:
    """Each channel's window becomes channels."""
    placed, units = cast(SlidingWindow, tying.placed), tying.inputs[0]
    if units is None or units.axis != placed.channel_axis or count(placed.kernel) is UNKNOWN:
        return tying.hold_all("layout", "its channels are not along the axis that the layer unrolls")
    return [Units(units.axis, np.repeat(units.ids, count(placed.kernel)))]


def filter_rows(tying: Tying) -> Outputs:
    """Rows of each input, chosen by the last one, which is read whole."""
    tying.whole = (len(tying.inputs) - 1,)
    return list(tying.inputs[:-1])
