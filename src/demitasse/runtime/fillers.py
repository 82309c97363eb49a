"""Values that layers start from, drawn as their fillers say (``include/caffe/filler.hpp``): weights, DummyData."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch

from demitasse.errors import NetError
from demitasse.layers.layertype import blaming
from demitasse.message import Message
from demitasse.net import Layer

__all__ = ["FILLERS", "fill", "initial"]

Shape = tuple[int, ...]

ZERO: Final = Message()
"""A filler without a type: the constant 0."""

ONE: Final = Message.of(("type", "constant"), ("value", 1))
QUARTER: Final = Message.of(("type", "constant"), ("value", 0.25))

WEIGHT_AND_BIAS: Final = (("weight_filler", ZERO), ("bias_filler", ZERO))

FIELDS: Final[dict[str, tuple[tuple[str, Message], ...]]] = {
    "BN": (("slope_filler", ONE), ("bias_filler", ZERO)),
    "Bias": (("filler", ZERO),),
    "Normalize": (("scale_filler", ONE),),
    "PReLU": (("filler", QUARTER),),
    "Scale": (("filler", ONE), ("bias_filler", ZERO)),
}
"""The filler of each blob and what it is if the file has none, by type; others have a weight and a bias filler."""

RECURRENT: Final[dict[str, str]] = {"LSTM": "wbw", "RNN": "wbwwb"}
"""Which filler each blob of a recurrent layer takes; a static input adds a matrix after the first bias."""


def initial(layer: Layer, field: str, shapes: tuple[Shape, ...], generator: torch.Generator) -> list[torch.Tensor]:
    """Values for all blobs of a layer whose parameter message is called ``field``. NetError for what Caffe refuses."""
    param = layer.message.message(field)
    with blaming(layer):
        if layer.type == "BatchNorm":
            return [torch.zeros(shape) for shape in shapes]
        fillers = fillers_of(layer, param, len(shapes))
        return [fill(filler, shape, generator) for filler, shape in zip(fillers, shapes, strict=True)]


def fillers_of(layer: Layer, param: Message, count: int) -> list[Message]:
    """The filler message of each blob; zeros for blobs that no filler is meant for."""
    fields = FIELDS.get(layer.type, WEIGHT_AND_BIAS)
    said = [param.message(name) if name in param else default for name, default in fields]
    order = RECURRENT.get(layer.type)
    if order is not None:
        order = order[:2] + "w" * (count - len(order)) + order[2:]
        said = [said["wb".index(kind)] for kind in order]
    elif layer.type == "Normalize" or layer.type == "Parameter":
        said = said[:count]
    return (said + [ZERO] * count)[:count]


def fill(filler: Message, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Values of that shape, float32. NetError for an unknown filler, or one that cannot fill this shape."""
    kind = filler.string("type", "constant")
    if kind not in FILLERS:
        raise NetError(f"filler {kind!r} is not known, not one of {', '.join(FILLERS)}")
    if filler.integer("sparse", -1) >= 0 and kind != "gaussian":
        raise NetError(f"filler {kind!r} has no sparse; gaussian has")
    return FILLERS[kind](filler, shape, generator)


def constant(filler: Message, shape: Shape, _: torch.Generator) -> torch.Tensor:
    """One value everywhere."""
    return torch.full(shape, filler.number("value"))


def uniform(filler: Message, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Between ``min`` and ``max``."""
    return between(filler.number("min"), filler.number("max", 1.0), shape, generator)


def between(low: float, high: float, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Uniform numbers."""
    return torch.empty(shape).uniform_(low, high, generator=generator)


def gaussian(filler: Message, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Normal numbers; with ``sparse``, that many of each column on average, the others zero."""
    values = torch.empty(shape).normal_(filler.number("mean"), filler.number("std", 1.0), generator=generator)
    sparse = filler.integer("sparse", -1)
    if sparse < 0:
        return values
    if not shape or sparse > shape[0]:
        raise NetError(f"filler gaussian: {sparse} of {shape[0] if shape else 0} cannot be non-zero")
    return values * torch.empty(shape).bernoulli_(sparse / shape[0], generator=generator)


def positive_unitball(_: Message, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Positive numbers whose sum over each row is one."""
    values = between(0.0, 1.0, shape, generator)
    rows = values.reshape(shape[0] if shape else 1, -1)
    return (rows / rows.sum(1, keepdim=True)).reshape(shape)


def fan(filler: Message, shape: Shape) -> float:
    """What the variance is divided by: inputs or outputs of a unit, or their mean."""
    count = math.prod(shape)
    inward = count / (shape[0] if shape else 1)
    outward = count / (shape[1] if len(shape) > 1 else 1)
    norm = filler.string("variance_norm", "FAN_IN")
    norms = {"FAN_IN": inward, "FAN_OUT": outward, "AVERAGE": (inward + outward) / 2}
    norms |= {"0": inward, "1": outward, "2": (inward + outward) / 2}
    if norm not in norms:
        raise NetError(f"variance_norm is {norm!r}, not one of FAN_IN, FAN_OUT, AVERAGE")
    return max(norms[norm], 1e-30)


def xavier(filler: Message, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Uniform, of variance 1 / fan (Glorot and Bengio 2010, as Caffe simplifies it)."""
    scale = math.sqrt(3 / fan(filler, shape))
    return between(-scale, scale, shape, generator)


def msra(filler: Message, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Normal, of variance 2 / fan (He et al. 2015)."""
    return torch.empty(shape).normal_(0.0, math.sqrt(2 / fan(filler, shape)), generator=generator)


def bilinear(_: Message, shape: Shape, __: torch.Generator) -> torch.Tensor:
    """The kernel that interpolates when a Deconvolution scales up."""
    if len(shape) != 4 or shape[2] != shape[3]:
        raise NetError("filler bilinear needs square kernels over two spatial axes")
    size = shape[3]
    half = math.ceil(size / 2)
    centre = (size - 1) / (2 * half)
    line = 1 - (torch.arange(size, dtype=torch.float32) / half - centre).abs()
    return (line[:, None] * line[None, :]).expand(shape).contiguous()


Filler = Callable[[Message, Shape, torch.Generator], torch.Tensor]

FILLERS: Final[dict[str, Filler]] = {
    "constant": constant,
    "uniform": uniform,
    "gaussian": gaussian,
    "positive_unitball": positive_unitball,
    "xavier": xavier,
    "msra": msra,
    "bilinear": bilinear,
}
