"""Weights find their layers: by name, as Caffe copies them, and every difference is told with both sides.

What Caffe does, and so does this: the type that the file states does not count; of several layers of one name in the
file the last wins; shapes must be equal, except that a legacy blob's four dimensions may begin with ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from demitasse.caffe.blob import BlobRecord, product
from demitasse.caffe.model import Caffemodel, LayerRecord
from demitasse.caffe.wire import grouped
from demitasse.errors import OptionError, WeightsError
from demitasse.net import Dense, Layer, Net, Note

__all__ = ["with_weights"]

Shape = tuple[int, ...]

LISTED = 6
"""Names in a message before it says how many more there are."""


def with_weights(net: Net, model: Caffemodel, *, missing: str = "error") -> Net:
    """The network with the weights of a caffemodel. WeightsError for whatever does not fit.

    ``missing``: "error", or "keep" to leave layers that the caffemodel lacks without weights.
    """
    if missing not in ("error", "keep"):
        raise OptionError(f'missing must be "error" or "keep", and is {missing!r}')
    names = {layer.name for layer in net.layers}
    sources = {source.name: source for source in model.layers if source.name in names}
    expected = parameter_shapes(net)
    layers, without = [], []
    for layer, shapes in zip(net.layers, expected, strict=True):
        source = sources.get(layer.name)
        if source is None:
            if shapes:
                without.append((layer, shapes))
            layers.append(layer)
        else:
            layers.append(layer.with_tensors(tensors(model, layer, source, shapes)))
    if without and missing == "error":
        raise WeightsError(lacking(model, without, sources.values(), names))
    kept = [Note("read", layer.name, f"{model.reader.name} has no weights for it: it has none") for layer, _ in without]
    return net.with_layers(layers, *kept, *leftovers(model, names))


def tensors(
    model: Caffemodel, layer: Layer, source: LayerRecord, shapes: Sequence[Shape | None] | None
) -> Iterable[Dense]:
    """The blobs of one layer in the shapes that it needs; ``shapes`` is None where that is not known."""
    blobs = source.blobs
    if shapes is None:
        shapes = [None] * len(blobs)
    if len(shapes) != len(blobs):
        have = ", ".join(str(list(blob.dims)) for blob in blobs) or "none"
        need = ", ".join(str(list(shape)) if shape is not None else "?" for shape in shapes) or "none"
        raise WeightsError(
            f"{model.reader.name}: {layer} needs {len(shapes)} blobs ({need}), and the file has {len(blobs)} ({have})"
        )
    out = []
    for i, (blob, shape) in enumerate(zip(blobs, shapes, strict=True)):
        if shape is None:
            shape = blob.dims if blob.shape is not None else likely_shape(layer.type, i, blob.dims)
        elif not same_shape(blob, shape):
            raise WeightsError(
                f"{model.reader.name}: {layer}, blob {i}: the network needs {list(shape)} "
                f"({grouped(product(shape))} numbers), and the file has {list(blob.dims)} ({grouped(blob.count)})"
            )
        values = blob.array(shape)
        out.append(Dense(values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))))
    return out


def same_shape(blob: BlobRecord, shape: Shape) -> bool:
    """Caffe's rule: equal, or for a legacy blob equal once the shape has leading ones up to four."""
    if blob.legacy is None:
        return blob.dims == shape
    return len(shape) <= 4 and blob.legacy == (1,) * (4 - len(shape)) + shape


def likely_shape(kind: str, index: int, dims: Shape) -> Shape:
    """A legacy blob's shape where the network does not say: kernels keep four axes, matrices two, the rest is flat."""
    axes = 1
    if index == 0:
        axes = {"InnerProduct": 2, "Embed": 2}.get(kind, 4)
        if kind in ("PReLU", "Scale", "Bias", "BatchNorm", "Normalize"):
            axes = 1
    while len(dims) > axes and dims[0] == 1:
        dims = dims[1:]
    return dims


def lacking(
    model: Caffemodel,
    without: Sequence[tuple[Layer, Sequence[Shape | None]]],
    used: Iterable[LayerRecord],
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
    return f"{text}; the file has weights for {sum(1 for record in used if record.blobs)} layers, all of them used"


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


def parameter_shapes(net: Net) -> list[Sequence[Shape | None] | None]:
    """What each layer needs: None where it is not known."""
    return [None for _ in net.layers]
