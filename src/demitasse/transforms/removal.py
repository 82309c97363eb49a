"""Takes units out of a network: out of every blob's channels, every weight, and the parameters that count them.

What may leave is decided elsewhere; here is what has to change when it does: sizes in the layers' messages, points at
which blobs are cut, shapes that are spelled out, groups, inputs and layers of which nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from demitasse.errors import NetError
from demitasse.layers.ties import Ties
from demitasse.layers.tying import Product, Tied
from demitasse.layers.units import Ids
from demitasse.message import Message
from demitasse.net import Dense, Layer, Tensor
from demitasse.transforms.sliced import Fold, sliced

__all__ = ["Edit", "removed"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What changes in a layer's weights besides what leaves.

    ``constant``: for each row of the product what is added to its bias (before rows leave). ``folds``: pairs of
    columns of the product, the second of which is added to the first.
    """

    constant: npt.NDArray[np.float64] | None = None
    folds: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A layer and which of its units stay."""

    tied: Tied
    kept: Mask
    edit: Edit = field(default_factory=Edit)

    def stays(self, ids: Ids) -> Mask:
        """For each of these units whether it stays."""
        return self.kept[ids]


def removed(ties: Ties, kept: Mask, edits: Mapping[int, Edit] | None = None) -> list[Layer]:
    """The layers of the network without the units that ``kept`` (one entry for each unit) says no to.

    ``edits``: for the position of a layer, other changes of its weights. NetError if that leaves a layer in no
    possible form.
    """
    edits = edits or {}
    layers: list[Layer] = []
    for position, layer in enumerate(ties.net.layers):
        places = ties.by_position.get(position)
        if places is None:
            layers.append(layer)
            continue
        changed = without(Part(places[0], kept, edits.get(position, Edit())))
        if changed is not None:
            layers.append(changed)
    return without_dead_ends(layers, ties)


def without_dead_ends(layers: list[Layer], ties: Ties) -> list[Layer]:
    """Without layers that only layers read that have left."""
    before = {name for layer in ties.net.layers for name in layer.inputs}
    read = {name for layer in layers for name in layer.inputs}
    if before == read:
        return layers
    kept: list[Layer] = []
    wanted = set(ties.outputs)
    for layer in reversed(layers):
        if not layer.inputs or not layer.outputs or wanted.intersection(layer.outputs):
            kept.append(layer)
            wanted.update(layer.inputs)
    return kept[::-1]


def without(part: Part) -> Layer | None:
    """A layer without the units that leave; ``None`` if nothing of it stays."""
    tied = part.tied
    layer = tied.layer
    gone = [units is not None and not part.stays(units.ids).any() for units in tied.outputs]
    if gone and all(gone):
        return None
    if tied.droppable or any(gone):
        layer = fewer_connections(part, gone)
        if not layer.inputs:
            return None
    layer = layer.with_tensors(weights(part, layer.tensors))
    edit = EDITS.get(layer.type)
    if edit is not None:
        layer = replace(layer, message=edit(part, layer))
    if part.edit.constant is not None:
        layer = shifted(part, layer)
    return layer


def fewer_connections(part: Part, gone: Sequence[bool]) -> Layer:
    """Without the inputs of which nothing is left, and the outputs likewise."""
    tied, layer = part.tied, part.tied.layer
    empty = [units is not None and not part.stays(units.ids).any() for units in tied.inputs]
    inputs = tuple(name for name, left in zip(layer.inputs, empty, strict=True) if not (tied.droppable and left))
    outputs = tuple(
        name for i, name in enumerate(layer.outputs) if i >= len(gone) or not gone[i] or layer.type != "Slice"
    )
    return replace(layer, inputs=inputs, outputs=outputs)


def weights(part: Part, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The blobs, cut."""
    tied, out = part.tied, list(tensors)
    for blob, axes in tied.weights.items():
        if blob < len(out):
            out[blob] = cut_axes(out[blob], {axis: part.stays(ids) for axis, ids in axes.items()})
    for product in tied.products:
        for blob in product.blobs:
            if blob < len(out):
                out[blob] = cut_product(out[blob], product, part, fold=blob == product.blobs[0])
    return out


def cut_axes(tensor: Tensor, stays: Mapping[int, Mask]) -> Tensor:
    """A small tensor without some of its slices along each axis."""
    if all(mask.all() for mask in stays.values()):
        return tensor
    if set(stays) <= {0, 1}:
        rows, columns = (np.flatnonzero(stays[axis]) if axis in stays else None for axis in (0, 1))
        return sliced(tensor, rows, columns)
    values = tensor.array()
    for axis, mask in stays.items():
        values = np.compress(mask, values, axis)
    return Dense(values)


def cut_product(tensor: Tensor, product: Product, part: Part, *, fold: bool) -> Tensor:
    """Weights without the rows and columns that leave; in groups, each row has columns of its own."""
    rows = part.stays(product.rows)
    columns = None if product.columns is None else part.stays(product.columns)
    folds = part.edit.folds if fold else ()
    if rows.all() and (columns is None or columns.all()) and not folds:
        return tensor
    outer, inner = (rows, columns) if product.rows_first else (columns, rows)
    kept = None if outer is None else np.flatnonzero(outer)
    return sliced(
        tensor,
        None if outer is None or outer.all() else kept,
        inner_columns(inner, kept, outer, product.groups),
        folds=folded(folds, axis=1 if product.rows_first else 0),
    )


def folded(pairs: Sequence[tuple[int, int]], axis: int) -> tuple[Fold, ...]:
    """Columns of a product as slices of its blob."""
    if not pairs:
        return ()
    table = np.array(pairs, np.int64)
    return (Fold(axis, table[:, 0], table[:, 1]),)


def inner_columns(inner: Mask | None, kept: Ids | None, outer: Mask | None, groups: int) -> Ids | None:
    """Which indices of the second axis stay: for all rows, or, in groups, for each row that stays."""
    if inner is None or (groups == 1 and inner.all()):
        return None
    if groups == 1:
        return np.flatnonzero(inner)
    table = inner.reshape(groups, -1)
    sizes = table.sum(axis=1)
    width = int(sizes.max(initial=0))
    alive = table[sizes > 0]
    if width and (alive == alive[0]).all():
        return None if alive[0].all() else np.flatnonzero(alive[0])
    if (sizes[sizes > 0] != width).any():
        raise NetError("groups of different sizes would be left")
    columns = np.zeros((groups, width), np.int64)
    for group in np.flatnonzero(sizes):
        columns[group] = np.flatnonzero(table[group])
    if outer is None or kept is None:
        raise NetError("groups of unknown size cannot be cut")
    found: Ids = columns[kept // (len(outer) // groups)]
    return found


def counted(name: str, which: int = 0) -> Callable[[Part, Layer], Message]:
    """Sets the parameter that counts output channels."""

    def edit(part: Part, layer: Layer) -> Message:
        units = part.tied.outputs[which]
        if units is None or part.stays(units.ids).all():
            return layer.message
        return with_param(part, layer, name, int(part.stays(units.ids).sum()))

    return edit


def with_param(part: Part, layer: Layer, name: str, value: int) -> Message:
    """The layer's message with one of its own parameters changed."""
    field_name = part.tied.placed.field
    return layer.message.set(field_name, layer.message.message(field_name).set(name, value))


def convolution(part: Part, layer: Layer) -> Message:
    """Number of filters, and groups if whole ones left."""
    message = counted("num_output")(part, layer)
    product = part.tied.products[0] if part.tied.products else None
    if product is None or product.groups == 1 or part.stays(product.rows).all():
        return message
    left = int(part.stays(product.rows).reshape(product.groups, -1).any(axis=1).sum())
    if left == product.groups or "group" not in part.tied.placed.param:
        return message
    return with_param(part, replace(layer, message=message), "group", left)


def slices(part: Part, layer: Layer) -> Message:
    """Points at which what is left is cut."""
    units = [one for one in part.tied.outputs if one is not None]
    source = part.tied.inputs[0]
    if source is None or len(units) < len(part.tied.outputs) or part.stays(source.ids).all():
        return layer.message
    if sum(map(len, units)) != len(source):
        return layer.message
    sizes = [int(part.stays(one.ids).sum()) for one in units]
    sizes = [size for size in sizes if size]
    param = layer.message.message("slice_param")
    if "slice_point" not in param and len(set(sizes)) == 1:
        return layer.message
    points = [int(point) for point in np.cumsum(sizes)[:-1]]
    return layer.message.set("slice_param", with_points(param, points))


def with_points(param: Message, points: Sequence[int]) -> Message:
    """The points, in the form (one list, or one by one) that they have."""
    if len(param.scalars("slice_point")) > 1 and sum(one.name == "slice_point" for one in param) == 1:
        return param.set("slice_point", tuple(points)) if points else param.remove("slice_point")
    return param.set_all("slice_point", points)


def reshape(part: Part, layer: Layer) -> Message:
    """A size that is spelled out."""
    units, shape = part.tied.outputs[0], part.tied.shapes[0]
    if layer.type != "Reshape" or units is None or shape is None or part.stays(units.ids).all():
        return layer.message
    param = part.tied.placed.param
    dims = list(param.message("shape").integers("dim"))
    axis = param.integer("axis", 0)
    place = units.axis - (axis if axis >= 0 else len(part.tied.placed.inputs[0]) + axis + 1)
    if not 0 <= place < len(dims) or dims[place] <= 0:
        return layer.message
    dims[place] = int(part.stays(units.ids).sum())
    old = param.message("shape")
    one_list = sum(one.name == "dim" for one in old) == 1 and len(dims) > 1
    new = old.set("dim", tuple(dims)) if one_list else old.set_all("dim", dims)
    return layer.message.set("reshape_param", param.set("shape", new))


def shifted(part: Part, layer: Layer) -> Layer:
    """With constants added to the bias, which is made if there is none."""
    product = part.tied.products[0]
    more = part.edit.constant
    if more is None:
        return layer
    more = more[part.stays(product.rows)]
    dtype = layer.tensors[0].dtype
    if len(layer.tensors) > 1:
        old = layer.tensors[1]
        bias = Dense((old.array().astype(np.float64) + more.reshape(old.shape)).astype(old.dtype))
        return layer.with_tensors((layer.tensors[0], bias, *layer.tensors[2:]))
    name = part.tied.placed.field
    message = layer.message.set(name, layer.message.message(name).remove("bias_term"))
    return replace(layer, message=message, tensors=(layer.tensors[0], Dense(more.astype(dtype))))


EDITS: dict[str, Callable[[Part, Layer], Message]] = {
    "CConvolution": convolution,
    "CInnerProduct": counted("num_output"),
    "Convolution": convolution,
    "ConvolutionDepthwise": convolution,
    "ConvolutionRistretto": convolution,
    "Deconvolution": convolution,
    "DeconvolutionRistretto": convolution,
    "DepthwiseConvolution": convolution,
    "Embed": counted("num_output"),
    "FcRistretto": counted("num_output"),
    "InnerProduct": counted("num_output"),
    "LSTM": counted("num_output"),
    "PSROIPooling": counted("output_dim"),
    "RNN": counted("num_output"),
    "Reshape": reshape,
    "Slice": slices,
}
"""Types whose parameters say how many channels there are."""
