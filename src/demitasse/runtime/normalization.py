"""What a loss is divided by: ``loss_param``'s normalization, in the dialects of BVLC Caffe, R-FCN and Intel."""

from __future__ import annotations

from demitasse.message import Message
from demitasse.runtime.operation import Call

__all__ = ["ignored_label", "mode", "normalizer"]

MODES = ("FULL", "VALID", "BATCH_SIZE", "NONE")


def loss_param(call: Call) -> Message:
    """The layer's ``loss_param``. NetError for fields whose computation is not documented."""
    param = call.layer.message.message("loss_param")
    if param.number("label_smoothing"):
        call.placed.refuse("label_smoothing is of NVIDIA's fork, and is not computed here")
    return param


def ignored_label(call: Call) -> int | None:
    """The label that does not count, if there is one."""
    param = loss_param(call)
    return param.integer("ignore_label") if "ignore_label" in param else None


def mode(call: Call, default: str) -> str:
    """FULL, VALID, BATCH_SIZE, NONE or PRE_FIXED.

    ``normalize``, the older field, means VALID or BATCH_SIZE, and counts only without the newer one.
    3 is NONE in Caffe and PRE_FIXED in R-FCN, which has no NONE: it is the latter where a ``pre_fixed_normalizer`` is.
    """
    param = loss_param(call)
    if "normalization" in param:
        given = param.string("normalization")
        if given.isdigit() and int(given) < len(MODES):
            given = MODES[int(given)]
            given = "PRE_FIXED" if given == "NONE" and "pre_fixed_normalizer" in param else given
        if given not in (*MODES, "PRE_FIXED"):
            call.placed.refuse(f"normalization is {given}; it must be one of {', '.join(MODES)}, PRE_FIXED")
        return given
    if "normalize" in param:
        return "VALID" if param.flag("normalize") else "BATCH_SIZE"
    return default


def normalizer(call: Call, kind: str, outer: int, inner: int, valid: int) -> float:
    """What the sum of losses is divided by, at least 1.

    ``outer`` × ``inner``: all places; ``outer``: the batch; ``valid``: places whose label is not ignored.
    """
    fixed = loss_param(call).number("pre_fixed_normalizer", 1.0)
    sizes = {"FULL": outer * inner, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1, "PRE_FIXED": fixed}
    return max(1.0, float(sizes[kind]))
