"""Ties of layers that leave channels where they are: activations, normalisation, pooling, sums of branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from demitasse.layers.normalize import Scale
from demitasse.layers.tying import Tying
from demitasse.layers.units import Units

__all__ = [
    "axpy",
    "batch_norm",
    "branches",
    "channelwise",
    "dropping",
    "fork_batch_norm",
    "local_response",
    "mean_variance",
    "normalize",
    "prelu",
    "same",
    "scale",
    "shape_of_second",
    "softmax",
    "with_indices",
    "with_places",
]

Outputs = Sequence[Units | None]


def same(tying: Tying) -> Outputs:
    """Every output has the first input's channels."""
    return [tying.inputs[0]] * len(tying.shapes)


def channelwise(tying: Tying) -> Outputs:
    """As `same`, for layers that look at the picture along height and width: channels are along axis 1."""
    units = tying.inputs[0]
    if units is not None and units.axis != 1:
        return tying.hold_all("layout", "its channels are not along axis 1")
    return same(tying)


def shape_of_second(tying: Tying) -> Outputs:
    """As `channelwise`; of the second input, if there is one, only the size counts."""
    tying.by_shape = tuple(range(1, len(tying.inputs)))
    return channelwise(tying)


def with_indices(tying: Tying) -> Outputs:
    """As `channelwise`; the second input (regions, rows) is read whole."""
    tying.whole = (1,)
    return channelwise(tying)


def with_places(tying: Tying) -> Outputs:
    """The second input, if there is one, says where each value of the first goes, channel by channel."""
    return branches(tying) if len(tying.inputs) > 1 else channelwise(tying)


def branches(tying: Tying) -> Outputs:
    """All inputs have the same channels: a channel leaves all of them or none."""
    known = [units for units in tying.inputs if units is not None]
    first = known[0] if known else None
    if first is None or len(known) < len(tying.inputs) or any(alike(first, other) is None for other in known):
        return tying.hold_all("layout", "its inputs' channels do not lie along one axis")
    tying.tie(*(units.ids for units in known))
    return [first] * len(tying.shapes)


def alike(a: Units, b: Units) -> Units | None:
    """The second, if it runs along the same axis over as many positions."""
    return b if a.axis == b.axis and len(a) == len(b) else None


def dropping(tying: Tying) -> Outputs:
    """Reads, does nothing, and does not miss an input."""
    tying.droppable = True
    return []


def batch_norm(tying: Tying) -> Outputs:
    """Means and variances (and NVCaffe's scale and bias) are cut as the channels."""
    return learned(tying, (0, 1, 3, 4))


def learned(tying: Tying, blobs: Sequence[int], axis: int = 0) -> Outputs:
    """As `channelwise`, with some blobs that have a value for each channel along an axis."""
    out = channelwise(tying)
    units = tying.inputs[0]
    if out and units is not None and out[0] is units:
        for blob in blobs:
            tying.cut(blob, axis, units.ids)
    return out


def fork_batch_norm(tying: Tying) -> Outputs:
    """SegNet's and PSPNet's BN: every blob is 1 × channels × 1 × 1."""
    return learned(tying, range(4), axis=1)


def prelu(tying: Tying) -> Outputs:
    """One slope for each channel, or one for all."""
    return channelwise(tying) if tying.placed.param.flag("channel_shared") else learned(tying, (0,))


def normalize(tying: Tying) -> Outputs:
    """SSD's Normalize: the length is that of all channels together; zeros add nothing to it."""
    tying.window = -1
    return channelwise(tying) if tying.placed.param.flag("channel_shared", True) else learned(tying, (0,))


def scale(tying: Tying) -> Outputs:
    """The factor is a blob or the second input; it spans some axes, perhaps that of the channels."""
    placed, units = cast(Scale, tying.placed), tying.inputs[0]
    shape, span = placed.inputs[0], placed.span
    first = placed.axis(placed.param.integer("axis", 1), shape) if span else 0
    inside = units is not None and first <= units.axis < first + len(span)
    blobs = [*([] if len(tying.inputs) == 2 else [0]), *([int(len(tying.inputs) == 1)] if placed.bias else [])]
    if units is not None and inside:
        for blob in blobs:
            tying.cut(blob, units.axis - first, units.ids)
    if len(tying.inputs) == 2:
        factor = tying.inputs[1]
        if units is None or not inside or factor is None or not matches(factor, units, units.axis - first):
            return held_factor(tying)
        tying.tie(units.ids, factor.ids)
    return [units]


def matches(factor: Units, units: Units, axis: int) -> bool:
    """Whether a factor has the same channels along that axis of its own."""
    return factor.axis == axis and len(factor) == len(units)


def held_factor(tying: Tying) -> Outputs:
    """The second input's channels are not those of the first."""
    return tying.hold_all("layout", "its two inputs do not have the same channels")


def axpy(tying: Tying) -> Outputs:
    """SENet: factors per channel, and two blobs of these channels."""
    return branches(tying)


def softmax(tying: Tying) -> Outputs:
    """Along the channels, each output depends on all inputs: they stay or go together."""
    units, placed = tying.inputs[0], tying.placed
    along = units is not None and placed.axis(placed.param.integer("axis", 1), placed.inputs[0]) == units.axis
    tying.mixes = along
    if units is not None and along and not tying.free:
        tying.as_one(units.ids)
    return same(tying)


def local_response(tying: Tying) -> Outputs:
    """Across channels, each output depends on its neighbours too."""
    within = tying.placed.param.string("norm_region", "ACROSS_CHANNELS") in ("WITHIN_CHANNEL", "1")
    tying.window = 0 if within else tying.placed.size("local_size", 5) // 2
    return channelwise(tying)


def mean_variance(tying: Tying) -> Outputs:
    """Channel by channel, or over all of them."""
    units = tying.inputs[0]
    tying.mixes = tying.layer.message.message("mvn_param").flag("across_channels")
    if units is not None and tying.mixes:
        tying.as_one(units.ids)
    return channelwise(tying)
