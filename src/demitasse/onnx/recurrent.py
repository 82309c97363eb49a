"""LSTM and RNN, unrolled over the first axis of their input as Caffe unrolls them.

ONNX's own operators know no "goes on" flags, which take the state back to zero in the middle of a sequence. Nothing is
carried from run to run: a network that relies on it has to expose its state (``expose_hidden``).
"""

from __future__ import annotations

from typing import cast

import numpy as np

from demitasse.layers.recurrent import Recurrent
from demitasse.onnx.call import Call, Result

__all__ = ["lstm", "lstm_unit", "rnn"]

FOREIGN = ("tf_rnn", "linear_before_reset", "direction", "activations", "default_initial", "continue_recur")
"""Fields of Synopsys' fork, which computes something else."""

CARRIED = "begins each run with a state of zeros; Caffe would carry on that of the run before"


def lstm(call: Call) -> Result:
    """Gates in the order input, forget, output, candidate."""
    drive, flags, recurrent = prepared(call)
    hidden, cell = initial(call, 2)
    steps = []
    for now, flag in zip(drive, flags, strict=True):
        gates = call.op("Gemm", call.op("Mul", hidden, flag), recurrent, now, transB=1)
        cell, hidden = unit(call, cell, gates, flag)
        steps.append(hidden)
    return finished(call, steps, (hidden, cell))


def rnn(call: Call) -> Result:
    """``h = tanh(W h' + V x + b)``, ``o = tanh(U h + c)``."""
    drive, flags, recurrent = prepared(call)
    blobs = len(call.placed.parameters() or ())
    output, bias = call.weight(blobs - 2), call.weight(blobs - 1)
    (hidden,) = initial(call, 1)
    steps = []
    for now, flag in zip(drive, flags, strict=True):
        hidden = call.op("Tanh", call.op("Gemm", call.op("Mul", hidden, flag), recurrent, now, transB=1))
        steps.append(call.op("Tanh", call.op("Gemm", hidden, output, bias, transB=1)))
    return finished(call, steps, (hidden,))


def prepared(call: Call) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """What drives each step whatever the state, each step's flags, and the weights of the state."""
    placed = cast(Recurrent, call.placed)
    for field in FOREIGN:
        if field in call.param:
            call.refuse(f"{field} is of Synopsys' fork")
    steps, streams = call.shape[:2]
    steps = call.known(steps, "it is unrolled over the first axis of its input")
    gates = (placed.parameters() or ((0,),))[0][0]
    rows = call.reshape(call.x, (steps * streams, placed.features))
    drive = call.reshape(call.op("Gemm", rows, call.weight(0), call.weight(1), transB=1), (steps, streams, gates))
    rest = 2
    if placed.constant is not None:
        constant = call.op("Gemm", call.reshape(call.inputs[2], (streams, placed.constant)), call.weight(2), transB=1)
        drive, rest = call.op("Add", drive, constant), 3
    flags = call.reshape(call.inputs[1], (steps * streams, 1))
    rows_of_each = (call.reshape(x, (streams, gates)) for x in split(call, drive, [1] * steps))
    return tuple(rows_of_each), split(call, flags, [streams] * steps), call.weight(rest)


def split(call: Call, x: str, sizes: list[int]) -> tuple[str, ...]:
    """Parts along the first axis."""
    return call.ops("Split", len(sizes), x, call.integers(*sizes), axis=0)


def initial(call: Call, number: int) -> tuple[str, ...]:
    """The states that a run begins with, streams × units each: given, or zeros."""
    streams, units = call.shape[1], cast(Recurrent, call.placed).units
    if call.param.flag("expose_hidden"):
        return tuple(call.reshape(state, (streams, units)) for state in call.inputs[-number:])
    call.remark(CARRIED)
    return (call.floats(np.zeros((streams, units))),) * number


def finished(call: Call, steps: list[str], states: tuple[str, ...]) -> tuple[str, ...]:
    """All outputs: the steps, and the states if they are exposed."""
    shapes = call.outputs
    joined = call.reshape(call.op("Concat", *steps, axis=0), shapes[0])
    if len(shapes) == 1:
        return (joined,)
    return joined, *(call.reshape(state, shape) for state, shape in zip(states, shapes[1:], strict=True))


def lstm_unit(call: Call) -> Result:
    """One step: the cell before, the gates and the flags; gives the cell and the output."""
    cell, gates, flags = call.inputs
    return unit(call, cell, gates, call.op("Unsqueeze", flags, call.integers(2)))


def unit(call: Call, cell: str, gates: str, flag: str) -> tuple[str, str]:
    """The new cell and the new output."""
    enter, forget, leave, candidate = call.ops("Split", 4, gates, axis=-1, num_outputs=4)
    kept = call.op("Mul", call.op("Mul", call.op("Sigmoid", forget), flag), cell)
    cell = call.op("Add", kept, call.op("Mul", call.op("Sigmoid", enter), call.op("Tanh", candidate)))
    return cell, call.op("Mul", call.op("Sigmoid", leave), call.op("Tanh", cell))
