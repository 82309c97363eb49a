"""The table of operations: what computes each type of layer."""

from __future__ import annotations

from collections.abc import Mapping

from demitasse.layers import LayerType
from demitasse.layers.layertype import refuse
from demitasse.layers.python import Python
from demitasse.runtime import elementwise
from demitasse.runtime.operation import Operation

__all__ = ["OPERATIONS", "operation"]

OPERATIONS: dict[str, Operation] = {
    # BVLC Caffe 1.0
    "AbsVal": elementwise.absolute,
    "BNLL": elementwise.softplus,
    "Clip": elementwise.clip,
    "Dropout": elementwise.dropout,
    "ELU": elementwise.elu,
    "Eltwise": elementwise.eltwise,
    "Exp": elementwise.exponential,
    "Log": elementwise.logarithm,
    "PReLU": elementwise.prelu,
    "Power": elementwise.power,
    "ReLU": elementwise.relu,
    "Sigmoid": elementwise.sigmoid,
    "Softmax": elementwise.softmax,
    "Split": elementwise.split,
    "Swish": elementwise.swish,
    "TanH": elementwise.tanh,
    "Threshold": elementwise.threshold,
    # MobileNet, ShuffleNet, SENet
    "Axpy": elementwise.axpy,
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": elementwise.hard_swish,
    "ReLU6": elementwise.relu6,
}


def operation(placed: LayerType, plugins: Mapping[str, Operation]) -> Operation:
    """What computes a layer: a plugin for its type, or for its class (``module.Class`` or ``Class``) if it is a Python
    layer, else our own. NetError for a type that neither knows."""
    layer = placed.layer
    names = [layer.type]
    if isinstance(placed, Python):
        module, kind = placed.kind
        names = [f"{module}.{kind}", kind, layer.type]
    for name in names:
        if name in plugins:
            return plugins[name]
    if layer.type not in OPERATIONS:
        refuse(layer, f'type "{layer.type}" is not known and cannot be run; a file named with --plugin can supply it')
    return OPERATIONS[layer.type]
