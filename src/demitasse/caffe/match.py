"""Weights find their layers: by name, as Caffe copies them, and every difference is told with both sides.

What Caffe does, and so does this: the type that the file states does not count; of several layers of one name in the
file the last wins; shapes must be equal, except that a legacy blob's four dimensions may begin with ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from demitasse.caffe.blob import BlobRecord, product
from demitasse.caffe.expected import needs
from demitasse.caffe.model import Caffemodel, LayerRecord
from demitasse.caffe.wire import grouped
from demitasse.errors import OptionError, WeightsError
from demitasse.layers import MaybeShape, Shape, differ, known
from demitasse.net import Dense, Layer, Net, Note

__all__ = ["with_weights"]

VARIANTS = frozenset({"CConvolution", "CInnerProduct"})
"""Types of forks that differ in how many masks they store behind the weights."""

LISTED = 6
"""Names in a message before it says how many more there are."""


def with_weights(net: Net, model: Caffemodel, *, missing: str = "error") -> Net:
    """The network with the weights of a caffemodel. WeightsError for whatever does not fit.

    ``missing``: "error", or "keep" to leave layers that the caffemodel lacks without weights.
    """
    if missing not in ("error", "keep"):
        raise OptionError(f'missing must be "error" or "keep", and is {missing!r}')
    names = {layer.name for layer in net.layers}
    sources: dict[str, list[LayerRecord]] = {}
    for source in model.layers:
        if source.name in names:
            sources.setdefault(source.name, []).append(source)
    layers, without = [], []
    for layer, need in zip(net.layers, needs(net), strict=True):
        found = sources.get(layer.name, []) if need.first else []
        if not found and need.shapes:
            without.append((layer, need.shapes))
        for source in found:
            layer = layer.with_tensors(tensors(model, layer, source, need.shapes))
        layers.append(layer)
    if without and missing == "error":
        raise WeightsError(lacking(model, without, names))
    kept = bare(model)
    kept += [Note("read", layer.name, f"left without weights: {model.reader.name} has none") for layer, _ in without]
    return net.with_layers(layers, *kept, *leftovers(model, names))


def bare(model: Caffemodel) -> list[Note]:
    """What is to be remembered of a file that holds weights and says nothing of layers, such that writing it again does
    not make it larger: whether it says at least what they read, or how the network is called, and
    whether it lists those without weights."""
    if not model.layers or not all(record.bare for record in model.layers):
        return []
    connected = any(record.bottoms or record.tops for record in model.layers)
    weightless = any(not record.blobs for record in model.layers)
    said = {"bare": True, "named": bool(model.name), "connected": connected, "weightless": weightless}
    return [Note("read", "", "the caffemodel has weights alone, without parameters of layers", said)]


def tensors(
    model: Caffemodel, layer: Layer, source: LayerRecord, shapes: Sequence[MaybeShape] | None
) -> Iterable[Dense]:
    """The blobs of one layer in the shapes that it needs; ``shapes`` is None where that is not known."""
    blobs = source.blobs
    if shapes is None:
        shapes = [None] * len(blobs)
    if layer.type in VARIANTS:
        shapes = [*shapes, *[None] * len(blobs)][: len(blobs)]
    if len(shapes) != len(blobs):
        have = ", ".join(str(list(blob.dims)) for blob in blobs) or "none"
        need = ", ".join(str(list(shape)) if shape is not None else "?" for shape in shapes) or "none"
        raise WeightsError(
            f"{model.reader.name}: {layer} needs {len(shapes)} blobs ({need}), and the file has {len(blobs)} ({have})"
        )
    out = []
    for i, (blob, shape) in enumerate(zip(blobs, shapes, strict=True)):
        if shape is not None and not fits(blob, shape):
            raise WeightsError(
                f"{model.reader.name}: {layer}, blob {i}: the network needs {list(shape)} "
                f"({grouped(product(shape))} numbers), and the file has {list(blob.dims)} ({grouped(blob.count)})"
            )
        if not known(shape):
            axes = len(shape) if shape is not None else likely_axes(layer.type, i)
            shape = blob.dims if blob.legacy is None else without_ones(blob.dims, axes)
        values = blob.array(shape)
        out.append(Dense(values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))))
    return out


def fits(blob: BlobRecord, shape: Shape) -> bool:
    """Caffe's rule: equal, or for a legacy blob equal once the shape has leading ones up to four. Sizes that are not
    known fit any."""
    if blob.legacy is None:
        return not differ(blob.dims, shape)
    return len(shape) <= 4 and not differ(blob.legacy, (1,) * (4 - len(shape)) + shape)


def likely_axes(kind: str, index: int) -> int:
    """How many axes a blob has where the network does not say: kernels four, matrices two, everything else one."""
    if index > 0 or kind in ("BatchNorm", "Bias", "Normalize", "PReLU", "Scale"):
        return 1
    return 2 if kind in ("Embed", "InnerProduct") else 4


def without_ones(dims: Shape, axes: int) -> Shape:
    """A legacy blob's dimensions without leading ones, down to that many."""
    while len(dims) > axes and dims[0] == 1:
        dims = dims[1:]
    return dims


def lacking(
    model: Caffemodel,
    without: Sequence[tuple[Layer, Sequence[MaybeShape]]],
    names: set[str],
) -> str:
    """The message for layers that the file lacks, with what it has instead."""
    lost = listed(
        f"{layer} {' '.join(str(list(s)) for s in shapes if s is not None)}".strip() for layer, shapes in without
    )
    spare = [record for record in model.layers if record.blobs and record.name not in names]
    text = f"{model.reader.name}: no weights for {lost}"
    if spare:
        unused = listed(f'"{r.name}" {" ".join(str(list(blob.dims)) for blob in r.blobs)}' for r in spare)
        return f"{text}; unused in the file are {unused}"
    have = listed(f'"{record.name}"' for record in model.layers if record.blobs) or "no layer"
    return f"{text}; the file has weights for {have}"


def leftovers(model: Caffemodel, names: set[str]) -> Iterable[Note]:
    """Notes on weights in the file that the network has no layer for."""
    for record in model.layers:
        if record.blobs and record.name not in names:
            count = sum(blob.count for blob in record.blobs)
            text = f"{grouped(count)} numbers in {model.reader.name} that the network has no layer for"
            yield Note("read", record.name, text, {"unused": count, "bytes": record.nbytes})


def listed(items: Iterable[str]) -> str:
    """A few names, and how many more."""
    every = list(items)
    more = len(every) - LISTED
    return ", ".join(every[:LISTED]) + (f" and {more} more" if more > 0 else "")
