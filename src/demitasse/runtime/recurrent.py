"""LSTM and RNN, unrolled over the first axis of their input as Caffe unrolls them.

The state that a pass ends with is where the next one begins, unless ``expose_hidden`` makes it an input and an output.
Nothing flows back into the state that a pass began with, nor from states that are outputs.
"""

from __future__ import annotations

import torch

from demitasse.layers.recurrent import Recurrent
from demitasse.runtime.operation import Call

__all__ = ["lstm", "lstm_unit", "rnn"]

FOREIGN = ("tf_rnn", "linear_before_reset", "direction", "activations", "default_initial", "continue_recur")
"""Fields of Synopsys' fork, which computes something else."""


def lstm(call: Call) -> tuple[torch.Tensor, ...]:
    """LSTM: gates in the order input, forget, output, candidate; peephole-free, as in Donahue et al. (2015).

    ``h = o tanh(c)``, ``c = f c' + i g``; where the "goes on" flag is 0 the state before counts as 0.
    """
    drive, flags, recurrent = prepared(call)
    hidden, cell = initial(call, 2)
    steps = []
    for now, flag in zip(drive, flags, strict=True):
        gates = torch.addmm(now, hidden * flag, recurrent.t())
        cell, hidden = unit(cell, gates, flag)
        steps.append(hidden)
    return finished(call, torch.stack(steps), (hidden, cell))


def rnn(call: Call) -> tuple[torch.Tensor, ...]:
    """RNN: ``h = tanh(W h' + V x + b)``, ``o = tanh(U h + c)``, with h' 0 where the "goes on" flag is 0."""
    drive, flags, recurrent = prepared(call)
    output, bias = call.weights[-2:]
    (hidden,) = initial(call, 1)
    steps = []
    for now, flag in zip(drive, flags, strict=True):
        hidden = torch.tanh(torch.addmm(now, hidden * flag, recurrent.t()))
        steps.append(torch.tanh(torch.addmm(bias, hidden, output.t())))
    return finished(call, torch.stack(steps), (hidden,))


def prepared(call: Call) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What drives each step whatever the state (time × streams × gates), the flags (time × streams × 1), and the
    weights of the state. NetError for fields of another fork."""
    for field in FOREIGN:
        if field in call.param:
            call.placed.refuse(f"{field} is of Synopsys' fork, and is not computed here")
    steps, streams = call.x.shape[:2]
    weights = call.weights
    drive = torch.addmm(weights[1], call.x.reshape(steps * streams, -1), weights[0].t()).reshape(steps, streams, -1)
    rest = 2
    if call.of(Recurrent).constant is not None:
        drive = drive + call.inputs[2].reshape(streams, -1) @ weights[2].t()
        rest = 3
    return drive, call.inputs[1].detach().unsqueeze(-1), weights[rest]


def initial(call: Call, number: int) -> tuple[torch.Tensor, ...]:
    """The states that a pass begins with, streams × units each: given, kept from the last pass, or zeros."""
    streams, units = call.x.shape[1], call.param.integer("num_output")
    if call.param.flag("expose_hidden"):
        return tuple(state.detach().reshape(streams, units) for state in call.inputs[-number:])
    kept: tuple[torch.Tensor, ...] = call.state.get("hidden", ())
    if kept and kept[0].shape == (streams, units) and kept[0].device == call.x.device:
        return kept
    return (call.x.new_zeros(streams, units),) * number


def finished(call: Call, steps: torch.Tensor, states: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """All outputs; the states that the pass ended with are kept, or given."""
    last = tuple(state.detach() for state in states)
    if call.param.flag("expose_hidden"):
        return (steps, *(state.unsqueeze(0) for state in last))
    call.state["hidden"] = last
    return (steps,)


def lstm_unit(call: Call) -> tuple[torch.Tensor, ...]:
    """LSTMUnit: one step, from the cell before, the gates and the flags; gives the cell and the output."""
    cell, gates, flags = call.inputs
    return unit(cell, gates, flags.detach().unsqueeze(-1))


def unit(cell: torch.Tensor, gates: torch.Tensor, flag: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The new cell and the new output."""
    enter, forget, leave, candidate = gates.chunk(4, -1)
    kept = torch.sigmoid(forget) * flag * cell
    cell = kept + torch.sigmoid(enter) * torch.tanh(candidate)
    return cell, torch.sigmoid(leave) * torch.tanh(cell)
