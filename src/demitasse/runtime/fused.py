"""What plain PyTorch does and layers one by one do not, for passes without gradients: a BatchNorm and the Scale behind
it in one go over memory, and a ReLU over its own input.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.layers.build import phase_of
from demitasse.net import Layer
from demitasse.runtime.normalize import stored_statistics
from demitasse.runtime.operation import Call

__all__ = ["relu_over", "reusing", "scaled_batch_norm", "scaled_behind"]

FRESH = ("BatchNorm", "Convolution", "Deconvolution", "DepthwiseConvolution", "InnerProduct", "ReLU", "Scale")
"""Types whose output is memory of its own, no view of another blob's; and Eltwise."""


def scaled_behind(layers: Sequence[Layer], phase: str, wanted: Collection[str]) -> Mapping[int, int]:
    """For each BatchNorm with stored statistics that only a Scale per channel reads, where this is."""
    readers: dict[int, list[int]] = {}
    last: dict[str, int] = {}
    for i, layer in enumerate(layers):
        for name in layer.inputs:
            readers.setdefault(last.get(name, -1), []).append(i)
        last.update(dict.fromkeys(layer.outputs, i))
    final = {last[name] for name in wanted if name in last}
    pairs = ((i, readers.get(i, [])) for i in range(len(layers)) if i not in final)
    return {i: behind[0] for i, behind in pairs if len(behind) == 1 and fits(layers[i], layers[behind[0]], phase)}


def fits(first: Layer, second: Layer, phase: str) -> bool:
    """Whether these are a BatchNorm and a Scale that can be one."""
    if (first.type, second.type) != ("BatchNorm", "Scale") or len(second.inputs) != 1:
        return False
    norm, scale = first.message.message("batch_norm_param"), second.message.message("scale_param")
    stored = norm.flag("use_global_stats", phase_of(first.message, phase) == "TEST") and not norm.flag("scale_bias")
    return stored and scale.integer("axis", 1) == 1 and scale.integer("num_axes", 1) == 1


def scaled_batch_norm(first: Call, second: Call) -> torch.Tensor:
    """What the Scale gives, from what the BatchNorm reads."""
    mean, variance = stored_statistics(first)
    scale, *shift = second.weights
    eps = first.param.number("eps", 1e-5)
    return F.batch_norm(first.x, mean, variance, scale, shift[0] if shift else None, False, 0.0, eps)


def reusing(layers: Sequence[Layer]) -> frozenset[int]:
    """The ReLU layers in place whose input nobody else has seen, so that it can be overwritten."""
    fresh: set[str] = set()
    result: set[int] = set()
    for i, layer in enumerate(layers):
        if layer.type == "ReLU" and layer.inputs == layer.outputs and layer.inputs[0] in fresh:
            result.add(i)
        fresh.difference_update(layer.inputs)
        if layer.type in FRESH or (layer.type == "Eltwise" and len(layer.inputs) > 1):
            fresh.update(layer.outputs)
        else:
            fresh.difference_update(layer.outputs)
    return frozenset(result)


def relu_over(call: Call) -> torch.Tensor:
    """A ReLU, written over its input."""
    param = call.layer.message.message("relu_param")
    if len(param) and param.flag("relu6"):
        return F.hardtanh_(call.x, 0.0, 6.0)
    slope = param.number("negative_slope") if len(param) else 0.0
    return F.leaky_relu_(call.x, slope) if slope else torch.relu_(call.x)
