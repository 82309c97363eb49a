"""Layers that move, join, cut or repeat elements and change none."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType, text
from demitasse.layers.sizes import UNKNOWN, Shape, count, differ

__all__ = [
    "Concat",
    "Crop",
    "CropCenter",
    "Flatten",
    "Permute",
    "PixelShuffle",
    "Reorg",
    "Reshape",
    "ShuffleChannel",
    "Slice",
    "Tile",
    "Unsqueeze",
]


class Flatten(LayerType):
    """The axes from ``axis`` to ``end_axis`` become one."""

    field: ClassVar[str] = "flatten_param"
    shares_memory: ClassVar[bool] = True
    in_place: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.inputs[0]
        first = self.axis(self.param.integer("axis", 1), shape)
        last = self.axis(self.param.integer("end_axis", -1), shape)
        if first > last + 1:
            self.refuse(f"axis {first} is behind end_axis {last}")
        return ((*shape[:first], count(shape, first, last + 1), *shape[last + 1 :]),)


class Reshape(LayerType):
    """The same elements in another shape: 0 keeps the size at that place, one -1 takes what is left."""

    field: ClassVar[str] = "reshape_param"
    shares_memory: ClassVar[bool] = True
    in_place: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.inputs[0]
        if "pixelshuffler" in self.param:
            return (self._shuffled(self.positive("pixelshuffler")),)
        first, last = self._range()
        wanted = list(self.param.message("shape").integers("dim"))
        for place, size in enumerate(wanted):
            if size == 0:
                if first + place >= len(shape):
                    self.refuse(f"dim {place} is 0 (copy), and the input has only {len(shape)} axes")
                wanted[place] = shape[first + place]
            elif size < -1:
                self.refuse(f"dim {place} is {size}; it must be -1, 0 or more")
        result = [*shape[:first], *self._inferred(wanted, count(shape, first, last)), *shape[last:]]
        if differ(count(tuple(result)), count(shape)):
            self.refuse(f"{text(tuple(result))} has not as many elements as the input's {text(shape)}")
        return (tuple(result),)

    def _range(self) -> tuple[int, int]:
        """First axis that is replaced, and the first behind them."""
        axes = len(self.inputs[0])
        axis, number = self.param.integer("axis", 0), self.param.integer("num_axes", -1)
        first = axis if axis >= 0 else axes + axis + 1
        last = axes if number == -1 else first + number
        if not (0 <= first <= axes and first <= last <= axes):
            self.refuse(f"axis {axis} with num_axes {number} is outside of the input's {axes} axes")
        return first, last

    def _inferred(self, wanted: list[int], elements: int) -> list[int]:
        """With the one -1 replaced by what is left of ``elements``."""
        gaps = [place for place, size in enumerate(wanted) if size == -1 and size is not UNKNOWN]
        if not gaps:
            return wanted
        if len(gaps) > 1:
            self.refuse("has more than one dim of -1")
        rest = count(tuple(size for place, size in enumerate(wanted) if place != gaps[0]))
        if rest == 0 or differ(elements % rest, 0):
            self.refuse(f"{text(elements)} elements cannot be divided by {text(rest)} to find the dim of -1")
        return [elements // rest if place == gaps[0] else size for place, size in enumerate(wanted)]

    def _shuffled(self, factor: int) -> Shape:
        """Some forks shuffle pixels here."""
        images, channels, height, width = self.axes(4)
        return images, channels // (factor * factor), height * factor, width * factor


class Concat(LayerType):
    """Inputs one behind the other along an axis."""

    field: ClassVar[str] = "concat_param"
    takes: ClassVar[Counts] = (1, None)

    def along(self, old_name: str) -> int:
        """The axis, which has an older unsigned name too."""
        if old_name not in self.param:
            return self.axis(self.param.integer("axis", 1), self.inputs[0])
        if "axis" in self.param:
            self.refuse(f"says both axis and {old_name}; use axis")
        return self.axis(self.size(old_name), self.inputs[0])

    def outputs(self) -> tuple[Shape | None, ...]:
        axis = self.along("concat_dim")
        first = self.inputs[0]
        for which, shape in enumerate(self.inputs):
            others = (*shape[:axis], *first[axis : axis + 1], *shape[axis + 1 :])
            if len(shape) != len(first) or differ(first, others):
                self.refuse(
                    f'inputs "{self.name(0)}" and "{self.name(which)}" of shapes {text(first)} and {text(shape)}'
                    f" should differ in axis {axis} alone"
                )
        total = self.inputs[0][axis]
        for shape in self.inputs[1:]:
            total = total + shape[axis]
        return ((*first[:axis], total, *first[axis + 1 :]),)


class Slice(Concat):
    """The input cut along an axis, at given points or into equal parts."""

    field: ClassVar[str] = "slice_param"
    takes: ClassVar[Counts] = (1, 1)
    gives: ClassVar[Counts] = (1, None)

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.inputs[0]
        axis = self.along("slice_dim")
        return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in self.parts(shape[axis]))

    def parts(self, size: int) -> tuple[int, ...]:
        """Size of each output along the axis."""
        points, number = self.sizes("slice_point"), len(self.layer.outputs)
        if not points:
            if differ(size % number, 0):
                self.refuse(f"{text(size)} cannot be cut into {number} equal parts")
            return (size // number,) * number
        if len(points) != number - 1:
            self.refuse(f"has {len(points)} slice_point for {number} outputs; it needs {number - 1}")
        edges = (0, *points)
        parts = (*(b - a for a, b in zip(edges, points, strict=False)), size - points[-1])
        if any(part <= 0 for part in parts[:-1]) or parts[-1] < 0:
            self.refuse(f"slice_point has to rise from above 0 up to {text(size)}, and is {list(points)}")
        return parts


class Crop(LayerType):
    """The first input cut to the size of the second, from ``axis`` on."""

    field: ClassVar[str] = "crop_param"
    takes: ClassVar[Counts] = (2, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        shape, model = self.inputs
        first = self.axis(self.param.integer("axis", 2), shape)
        offsets = self.sizes("offset")
        if len(offsets) > 1 and len(offsets) != len(shape) - first:
            self.refuse(f"has {len(offsets)} offset for {len(shape) - first} axes; it needs none, one, or one for each")
        if len(model) < len(shape):
            self.refuse(f'input "{self.name(1)}" of shape {text(model)} should have {len(shape)} axes')
        for i, size in enumerate(shape[first:]):
            offset = 0 if not offsets else offsets[i] if len(offsets) > 1 else offsets[0]
            if size - offset < model[first + i]:
                self.refuse(
                    f"cannot cut {text(model[first + i])} at offset {offset} from the {size} of axis {first + i}"
                )
        return ((*shape[:first], *model[first : len(shape)]),)


class CropCenter(LayerType):
    """waifu2x: as much as ``crop_size`` says from both ends of each axis."""

    field: ClassVar[str] = "crop_center_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        cuts = self.sizes("crop_size")
        shape = self.inputs[0]
        if len(cuts) != len(shape):
            self.refuse(f"has {len(cuts)} crop_size for {len(shape)} axes; it needs one for each")
        return (tuple(size - 2 * cut for size, cut in zip(shape, cuts, strict=True)),)


class Tile(LayerType):
    """The input repeated along an axis."""

    field: ClassVar[str] = "tile_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.inputs[0]
        axis = self.axis(self.param.integer("axis", 1), shape)
        return ((*shape[:axis], shape[axis] * self.positive("tiles"), *shape[axis + 1 :]),)


class Permute(LayerType):
    """SSD: axes in another order; those that ``order`` leaves out follow as they were."""

    field: ClassVar[str] = "permute_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        shape = self.inputs[0]
        order = self.sizes("order")
        if any(axis >= len(shape) for axis in order) or len(set(order)) < len(order):
            self.refuse(f"order {list(order)} should name axes 0 to {len(shape) - 1}, each once")
        rest = tuple(axis for axis in range(len(shape)) if axis not in order)
        return (tuple(shape[axis] for axis in (*order, *rest)),)


class ShuffleChannel(LayerType):
    """ShuffleNet: channels of the groups interleaved."""

    field: ClassVar[str] = "shuffle_channel_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        group, channels = self.positive("group", 1), self.legacy(0)[1]
        if differ(channels % group, 0):
            self.refuse(f"group is {group}, and does not divide the {channels} channels")
        return (self.inputs[0],)


class Reorg(LayerType):
    """YOLO: squares of ``stride`` pixels become channels, or back with ``reverse``."""

    field: ClassVar[str] = "reorg_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        images, channels, height, width = self.axes(4)
        step = self.positive("stride")
        if self.param.flag("reverse"):
            return ((images, channels // (step * step), height * step, width * step),)
        return ((images, channels * step * step, height // step, width // step),)


class PixelShuffle(LayerType):
    """Channels become squares of pixels."""

    field: ClassVar[str] = "pixelshuffle_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        images, channels, height, width = self.axes(4)
        factor = self.positive("upscale_factor")
        return ((images, channels // (factor * factor), height * factor, width * factor),)


class Unsqueeze(LayerType):
    """One more axis of size 1."""

    field: ClassVar[str] = "unsqueeze_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        shape, place = self.inputs[0], self.param.integer("dim")
        place += 0 if place >= 0 else len(shape) + 1
        if not 0 <= place <= len(shape):
            self.refuse(f"dim {place} is outside of the input's {len(shape)} axes")
        return ((*shape[:place], 1, *shape[place:]),)
