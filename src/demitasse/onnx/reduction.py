"""Layers that make one number, or a few, out of many: ArgMax and Reduction."""

from __future__ import annotations

from demitasse.layers import count
from demitasse.onnx.call import Call, Result

__all__ = ["argmax", "reduction"]

REDUCTIONS = {"SUM": "ReduceSum", "ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}
NUMBERS = dict(zip("1234", REDUCTIONS, strict=True))


def argmax(call: Call) -> Result:
    """Indices of the ``top_k`` largest along ``axis``, or in each whole row; of equals the later first.

    With ``out_max_val``: their values instead, along an axis; both, indices first, of whole rows.
    """
    top, both = call.param.integer("top_k", 1), call.param.flag("out_max_val")
    if "axis" in call.param:
        axis = call.placed.axis(call.param.integer("axis"), call.shape)
        values, places = largest(call, call.x, top, axis, call.shape[axis])
        return values if both else places
    rows = call.x if len(call.shape) == 2 else call.op("Flatten", call.x, axis=1)
    values, places = largest(call, rows, top, 1, count(call.shape, 1))
    found = call.op("Concat", places, values, axis=1) if both else places
    return call.reshape(found, call.outputs[0])


def largest(call: Call, x: str, top: int, axis: int, size: int) -> tuple[str, str]:
    """Values and indices as floats. ONNX puts the earlier of equals first, so it is shown the axis backwards."""
    last = call.known(size, "it looks for maxima along the batch") - 1
    backwards = call.slice(x, axis, -1, -(last + 2), -1)
    values, places = call.ops("TopK", 2, backwards, call.integers(top), axis=axis)
    return values, call.op("Sub", call.floats(last), call.to_floats(places))


def reduction(call: Call) -> Result:
    """Over all axes from ``axis`` on, times ``coeff``."""
    axis = call.placed.axis(call.param.integer("axis", 0), call.shape)
    kind = call.param.string("operation", "SUM")
    kind = REDUCTIONS.get(NUMBERS.get(kind, kind), "")
    if not kind:
        call.refuse(f"operation {call.param.string('operation')}")
    y = call.op(kind, call.x, call.integers(*range(axis, len(call.shape))), keepdims=0)
    coefficient = call.param.number("coeff", 1.0)
    return y if coefficient == 1 else call.op("Mul", y, call.floats(coefficient))
