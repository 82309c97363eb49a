"""Layers without inputs."""

from __future__ import annotations

from typing import NoReturn

import torch

from demitasse.layers.layertype import text
from demitasse.message import Message
from demitasse.runtime.fillers import fill
from demitasse.runtime.operation import Call

__all__ = ["dummy_data", "missing", "parameter"]


def missing(call: Call) -> NoReturn:
    """Input and data layers: the caller has to give what they bring. NetError."""
    names = " and ".join(f'"{name}"' for name in call.layer.outputs)
    shapes = ", ".join(text(shape) for shape in call.shapes if shape is not None)
    call.placed.refuse(f"no array is given for {names}" + (f"; its shape is {shapes}" if shapes else ""))


def dummy_data(call: Call) -> tuple[torch.Tensor, ...]:
    """What the fillers say, zeros where there is none: constants, or other random numbers in each pass."""
    said = call.param.messages("data_filler") or (Message(),)
    fillers = said * len(call.shapes) if len(said) == 1 else said
    drawn = torch.Generator().manual_seed(draw(call.generator))
    pairs = zip(fillers, call.shapes, strict=True)
    device = call.generator.device if call.generator else "cpu"
    return tuple(fill(filler, shape, drawn).to(device) for filler, shape in pairs if shape is not None)


def draw(generator: torch.Generator | None) -> int:
    """A seed for a generator on the CPU, where fillers work."""
    device = generator.device if generator else "cpu"
    return int(torch.randint(2**31, (), generator=generator, device=device))


def parameter(call: Call) -> torch.Tensor:
    """The weights themselves."""
    return call.weights[0]
