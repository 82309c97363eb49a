"""Networks of the zoo made ready to run: weights where there are none, inputs in the place of databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import demitasse as dm
from corpus import ZOO, zoo
from demitasse.errors import DemitasseError
from demitasse.layers import UNKNOWN, LayerType, Shape, build, infer, known, layer_type
from demitasse.layers.python import Python
from demitasse.layers.ties import tie
from demitasse.message import Message
from demitasse.transforms.consistency import consistent

PICTURES = {
    "cifar": (3, 32, 32),
    "resnet20": (3, 32, 32),
    "scnn_resnet": (3, 32, 32),
    "sfm": (3, 32, 32),
    "lenet": (1, 28, 28),
    "autoencoder": (1, 28, 28),
    "siamese": (2, 28, 28),
    "mtcnn_train12": (3, 12, 12),
    "fsrcnn": (1, 11, 11),
    "srcnn": (1, 33, 33),
    "vdsr": (1, 41, 41),
    "sphereface": (3, 112, 96),
    "segnet": (3, 360, 480),
    "ssd": (3, 300, 300),
    "yolov3": (3, 320, 320),
}
"""Sizes of pictures that only a database knows, by a part of the file's name."""


@dataclass(frozen=True)
class Ready:
    """A network of one phase that can be run, with inputs."""

    name: str
    net: dm.Net
    feeds: Mapping[str, np.ndarray]


def candidates() -> Iterator[tuple[str, Path, Path | None]]:
    """Every network of the zoo: name, prototxt, and weights if there are any."""
    for model in zoo():
        yield model.name, model.deploy, model.weights
    for path in sorted((ZOO / "prototxt").glob("*.prototxt")):
        if "layer" in path.read_text("utf-8", "replace"):
            yield path.stem, path, None


def ready(name: str, prototxt: Path, weights: Path | None, seed: int, macs: float = np.inf) -> Ready:
    """The network with all weights, its sources as inputs, and something to feed it. NetError if that is impossible.

    Above that many ``macs`` its pictures become smaller, as far as its layers allow (see `smaller`)."""
    rng = np.random.default_rng(seed)
    net = dm.load(prototxt) if weights is None else dm.load(prototxt, weights)
    net = smaller(without_losses(with_inputs(one_phase(net), name)), macs)
    if weights is None:
        net = with_weights(net, rng)
    graph = build(net)
    return Ready(name, net, fed(graph, infer(graph, strict=False).blobs, rng))


def trained(name: str, prototxt: Path, weights: Path | None, seed: int, macs: float) -> tuple[dm.Net, dict[str, Shape]]:
    """The file as it is, with all phases and all weights, and shapes for what its data layers do not say, or say larger
    than so many ``macs`` allow."""
    net = dm.load(prototxt) if weights is None else dm.load(prototxt, weights)
    made: dict[str, tuple[dm.Tensor, ...]] = {}
    shapes: dict[str, Shape] = {}
    for phase in ("TRAIN", "TEST"):
        try:
            graph = build(net, phase)
            one = smaller(with_inputs(net.with_layers(map(ruleless, graph.layers)), name), macs)
            found = infer(build(one), strict=False).blobs
            shapes.update((layer.outputs[0], found[layer.outputs[0]]) for layer in one.layers if layer.type == "Input")
            if weights is None:
                one = with_weights(one, np.random.default_rng(seed))
            made.update((layer.name, layer.tensors) for layer in one.layers)
        except DemitasseError:
            continue  # What belongs to the other phase only; if it is needed, stripping says so.
    shapes = {blob: (1, *shape[1:]) for blob, shape in shapes.items()}
    return net.with_layers(one.with_tensors(made.get(one.name, one.tensors)) for one in net.layers), shapes


def smaller(net: dm.Net, macs: float) -> dm.Net:
    """The network with smaller pictures, one at a time: the largest that all layers can work with and that take at
    most so many ``macs``, or else the smallest that they can work with. Weights that are there have to fit."""
    best, least = net, np.inf
    fixed = any(layer.type == "Upsample" and len(layer.inputs) == 2 for layer in net.layers)  # unpooling fits one size
    ratios = [1.0] if fixed else [0.84**n for n in range(14)]
    for alone, ratio in ((False, 1.0), *((alone, ratio) for ratio in ratios for alone in (True, False))):
        for grid, more in ((1, 0), (32, 0), (32, 1), (32, 3), (16, 0)):
            one = resized(net, alone, ratio, grid, more)
            try:
                found = infer(build(consistent(one)))
            except DemitasseError:
                continue
            cost = found.total_macs
            if any(shape is not None and 0 in shape for shape in found.blobs.values()):
                continue
            if cost and cost <= macs:
                return one
            if cost and cost < least:
                best, least = one, cost
    return best


def resized(net: dm.Net, alone: bool, ratio: float, grid: int, more: int) -> dm.Net:
    """With so much smaller pictures, in multiples of ``grid`` plus some ``more``, at least 32 high; ``alone``: in a
    batch of one. What has less than four axes, or is a few numbers large, stays."""
    layers = []
    for layer in net.layers:
        if layer.type == "Input" and (alone or ratio < 1):
            shapes = []
            for shape in layer.message.message("input_param").messages("shape"):
                dims = list(shape.integers("dim"))
                if len(dims) == 4:
                    dims[0] = 1 if alone else dims[0]
                    sizes = (max(32, round(size * ratio / grid) * grid + more) for size in dims[2:])
                    dims[2:] = [min(pair) for pair in zip(dims[2:], sizes, strict=True)]
                shapes.append(("shape", Message.of(("dim", tuple(dims)))))
            layer = replace(layer, message=Message.of(("input_param", Message.of(*shapes))))
        layers.append(layer)
    return net.with_layers(layers)


def ruleless(layer: dm.Layer) -> dm.Layer:
    """Without rules about phases."""
    return replace(layer, message=layer.message.remove("include", "exclude"))


def one_phase(net: dm.Net) -> dm.Net:
    """The test phase if it hangs together, else the training phase, without rules."""
    for phase in ("TEST", "TRAIN"):
        try:
            graph = build(net, phase)
        except DemitasseError:
            continue
        if sum(bool(layer.inputs) for layer in graph.layers) > 1:
            return net.with_layers(map(ruleless, graph.layers))
    raise dm.NetError("no phase hangs together")


def without_losses(net: dm.Net) -> dm.Net:
    """Without what only judges, and Python layers that nobody has described, and what reads what they give."""
    gone: set[str] = set()
    layers = []
    for layer in net.layers:
        judges = layer_type(layer.type).is_loss or layer.type in ("Accuracy", "SegAccuracy", "DetectionEvaluate")
        anchors = layer.type == "Python" and layer.inputs and "ProposalLayer" not in str(layer.message)
        if judges or anchors or gone.intersection(layer.inputs):
            gone.update(layer.outputs)
        else:
            layers.append(layer)
    read = {name for layer in layers for name in layer.inputs}
    return net.with_layers(one for one in layers if one.type != "Input" or read.intersection(one.outputs))


def with_inputs(net: dm.Net, name: str) -> dm.Net:
    """Input layers in the place of what reads files."""
    shapes = infer(build(net), strict=False).blobs
    layers = []
    for layer in net.layers:
        kind = layer_type(layer.type)
        python = layer.type == "Python" and not layer.inputs
        if layer.type == "Input" or not (kind.is_source or python) or layer.type == "DummyData":
            layers.append(layer)
            continue
        for number, blob in enumerate(layer.outputs):
            dims = filled(shapes.get(blob), name, first=number == 0)
            message = Message.of(("input_param", Message.of(("shape", Message.of(("dim", dims))))))
            layers.append(dm.Layer(f"{layer.name}.{number}", "Input", (), (blob,), message))
    return net.with_layers(layers)


def filled(shape: tuple[int, ...] | None, name: str, *, first: bool) -> tuple[int, ...]:
    """Sizes for those that only the data tells; a batch of 2, or of 1 where there are regions."""
    batch = 1 if "rcnn" in name or "rfcn" in name else 2
    picture = next((size for part, size in PICTURES.items() if part in name), (3, 224, 224))
    if shape is None:
        return (batch, *picture) if first else (batch,)
    unknown = [size is UNKNOWN for size in shape]
    if len(shape) == 4:
        rest = [have if not new else size for have, new, size in zip(shape[1:], unknown[1:], picture, strict=True)]
        return (batch, *rest)
    return tuple(
        batch if place == 0 or new else size for place, (size, new) in enumerate(zip(shape, unknown, strict=True))
    )


def with_weights(net: dm.Net, rng: np.random.Generator) -> dm.Net:
    """Weights such that activations keep their size; a shared blob is the same for all sharers."""
    graph = build(net)
    shapes = infer(graph, strict=False)
    shared: dict[str, np.ndarray] = {}
    layers = []
    for layer, parameters in zip(graph.layers, shapes.parameters, strict=True):
        if parameters is None or not all(known(shape) for shape in parameters):
            if layer_type(layer.type).parameters not in (LayerType.parameters, Python.parameters):
                raise dm.NetError(f"{layer}: its weights are of unknown shape")
            parameters = ()
        names = [spec.string("name") for spec in layer.message.messages("param")]
        tensors = []
        for index, shape in enumerate(parameters):
            values = drawn(layer.type, index, shape, rng)
            if index < len(names) and names[index]:
                values = shared.setdefault(names[index], values)
            tensors.append(dm.Dense(values))
        layers.append(layer.with_tensors(tensors))
    return net.with_layers(layers)


def drawn(kind: str, index: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Values of one blob."""
    values = rng.standard_normal(shape, np.float32) if shape else np.float32(rng.uniform(1, 2))
    if kind == "BatchNorm":
        values = (0.1 * values, rng.uniform(0.5, 1.5, shape), np.ones(shape), rng.uniform(0.5, 1, shape), 0.1 * values)[
            index
        ]
    elif kind == "BN":
        values = (rng.uniform(0.5, 1, shape), 0.1 * values, 0.1 * values, rng.uniform(0.5, 1.5, shape))[index]
    elif kind in ("Scale", "PReLU", "Normalize"):
        values = 0.1 * values if index else rng.uniform(0.2, 0.6, shape)
    elif len(shape) < 2:
        values = 0.05 * values
    elif index > 1 and kind in ("CConvolution", "CInnerProduct"):
        values = np.ones(shape)
    else:
        values *= np.float32(np.sqrt(2 / max(1, np.prod(shape[1:]))))
    return np.asarray(values, np.float32)


def fed(graph: object, blobs: Mapping[str, tuple[int, ...] | None], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Values for the inputs: random, but for those whose name says what they are."""
    feeds = {}
    for name in graph.inputs:  # type: ignore[attr-defined]
        shape = blobs[name]
        if not known(shape):
            raise dm.NetError(f'the size of "{name}" is not known')
        values = rng.standard_normal(shape, np.float32)
        if name == "im_info":
            values = np.broadcast_to(np.float32([224, 224, 1]), shape) if shape[-1] == 3 else values
        elif name == "rois":
            corners = np.sort(rng.integers(0, 200, (shape[0], 2, 2)), axis=1).reshape(shape[0], 4)
            values = np.concatenate([np.zeros((shape[0], 1)), corners], axis=1).reshape(shape)
        elif "cont" in name:
            values = (rng.random(shape) < 0.8).astype(np.float32)
        elif len(shape) < 4 and ("label" in name or "sentence" in name or "target" in name):
            values = rng.integers(0, 2, shape)
        feeds[name] = np.ascontiguousarray(values, np.float32)
    return feeds


def planted(net: dm.Net, seed: int) -> dm.Net:
    """Zeros as pruning leaves them: filters with and without biases, inputs, borders of kernels, doubles, and whole
    groups of channels that hang together."""
    rng = np.random.default_rng(seed)
    ties = tie(net)
    whole = (rng.random(ties.count) < 0.15) & ~ties.pinned
    owners = {place[0]: owner[0] for place, owner in ties.shared.items()}
    layers = list(net.layers)
    for position, places in ties.by_position.items():
        tied, layer = places[0], net.layers[position]
        if not layer.tensors:
            continue
        if position in owners:
            layers[position] = layer.with_tensors(layers[owners[position]].tensors)
            continue
        arrays = [np.array(tensor.array()) for tensor in layer.tensors]
        for product in tied.products[:1]:
            plant_product(arrays, product, ties.groups, whole, rng)
        if layer.type in ("Scale", "BN") and arrays[0].ndim and arrays[0].size > 1:
            dead = rng.random(arrays[0].shape) < 0.1
            units = tied.inputs[0]
            if units is not None and arrays[0].size == len(units):
                dead |= whole[ties.groups[units.ids]].reshape(dead.shape)
            for values in arrays[:2]:
                if values.shape == dead.shape:
                    values[dead] = 0
        layers[position] = layer.with_tensors(map(dm.Dense, arrays))
    return net.with_layers(layers)


def plant_product(arrays, product, groups, whole, rng) -> None:
    """Zeros in the weights and the bias of one layer."""
    weights = arrays[0]
    table = weights if product.rows_first else np.moveaxis(weights, 1, 0)
    rows = len(table)
    dead = rng.random(rows) < 0.2
    together = whole[groups[product.rows]]
    if product.rows_first and len(together) == rows:
        table[dead | together] = 0
        if len(arrays) > 1 and arrays[1].size == rows:
            arrays[1].reshape(-1)[(dead & (rng.random(rows) < 0.5)) | together] = 0
        for row in np.flatnonzero(rng.random(rows - 1) < 0.05):
            table[row + 1] = table[row]
            if len(arrays) > 1 and arrays[1].size == rows:
                arrays[1].reshape(-1)[row + 1] = arrays[1].reshape(-1)[row]
    else:
        table[dead] = 0
    if weights.ndim == 4 and product.groups == 1:
        table[:, rng.random(table.shape[1]) < 0.1] = 0
        if min(weights.shape[2:]) >= 3 and rng.random() < 0.15:
            weights[:, :, [0, -1]] = 0
            weights[..., [0, -1]] = 0
