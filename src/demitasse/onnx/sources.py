"""Layers without inputs that hold what they give. Inputs of the network are not exported by a function."""

from __future__ import annotations

from demitasse.message import Message
from demitasse.onnx.call import Call, Result

__all__ = ["dummy_data", "parameter"]


def parameter(call: Call) -> Result:
    """The weights themselves."""
    return call.op("Identity", call.weight(0))


def dummy_data(call: Call) -> Result:
    """Constants; random numbers are refused."""
    said = call.param.messages("data_filler") or (Message(),)
    fillers = said * len(call.outputs) if len(said) == 1 else said
    return tuple(filled(call, filler, shape) for filler, shape in zip(fillers, call.outputs, strict=True))


def filled(call: Call, filler: Message, shape: tuple[int, ...]) -> str:
    """One value everywhere."""
    kind = filler.string("type", "constant")
    if kind != "constant":
        call.refuse(f'its filler "{kind}" gives other random numbers in every run')
    proto = call.nodes.onnx.TensorProto
    dtype = proto.FLOAT16 if call.half else proto.FLOAT
    value = call.nodes.onnx.helper.make_tensor("value", dtype, (1,), (filler.number("value"),))
    return call.op("ConstantOfShape", call.integers(*shape), value=value)
