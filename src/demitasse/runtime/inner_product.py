"""Layers whose work is one matrix: InnerProduct, its masked and margin forms, Embed."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.layers.inner_product import InnerProduct
from demitasse.runtime.operation import Call

__all__ = ["embed", "inner_product", "margin_inner_product", "masked_inner_product"]

Weights = tuple[torch.Tensor, ...]


def inner_product(call: Call) -> torch.Tensor:
    """The axes from ``axis`` on, as one vector, times the weights, plus the bias."""
    return product(call, call.weights)


def masked_inner_product(call: Call) -> torch.Tensor:
    """CInnerProduct: the weights, and in some forks the bias, times the masks behind them."""
    number = 2 if call.param.flag("bias_term", True) else 1
    kept, masks = call.weights[:number], call.weights[number:]
    return product(call, tuple(w * masks[k] if k < len(masks) else w for k, w in enumerate(kept)))


def margin_inner_product(call: Call) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """The products with weight rows of length 1; that of the label's row with the angle multiplied by m, mixed in as
    strongly as λ has fallen (Liu et al., SphereFace, 2017). A pass leaves the weights at length 1 and λ one step on."""
    placed, param = call.of(InnerProduct), call.param
    step = call.state.get("iteration", param.integer("iteration")) + 1
    call.state["iteration"] = step
    fading = param.number("base", 1.0) * (1 + param.number("gamma") * step) ** -param.number("power", 1.0)
    mixed = max(fading, param.number("lambda_min"))
    with torch.no_grad():
        call.weights[0].div_(call.weights[0].norm(dim=1, keepdim=True))
    x = call.x.reshape(-1, call.weights[0].shape[1])
    plain = F.linear(x, call.weights[0])
    labels = call.inputs[1].reshape(-1, 1).long()
    if labels.numel() != len(x) or not bool(((labels >= 0) & (labels < placed.units)).all()):
        placed.refuse(f"needs a label from 0 to {placed.units - 1} for each of {len(x)} rows")
    length = x.norm(dim=1, keepdim=True)
    chosen = plain.gather(1, labels)
    wanted = (mixed * chosen + length * multiplied(chosen / length, param.string("type", "SINGLE"))) / (1 + mixed)
    result = plain.scatter(1, labels, wanted).reshape(call.shape)
    return (result, x.new_full((1,), mixed)) if len(call.layer.outputs) > 1 else result


def multiplied(cosine: torch.Tensor, kind: str) -> torch.Tensor:
    """cos mθ for m = 1 to 4 from cos θ, continued so that it falls from θ = 0 to π."""
    sign = torch.sign(cosine)
    if kind in ("DOUBLE", "1"):
        return 2 * sign * cosine**2 - 1
    if kind in ("TRIPLE", "2"):
        outer = torch.sign(cosine.abs() - 0.5)
        return outer * (4 * cosine**3 - 3 * cosine) + sign * (1 + outer) - 2
    if kind in ("QUADRUPLE", "3"):
        outer = sign * torch.sign(2 * cosine**2 - 1)
        return outer * (8 * cosine**4 - 8 * cosine**2 + 1) + 2 * sign + outer - 3
    return cosine


def embed(call: Call) -> torch.Tensor:
    """The row of the weights that each number of the input names, plus the bias."""
    weight, *bias = call.weights
    rows = call.x.detach().long()
    if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < len(weight):
        call.placed.refuse(f"reads indices from {int(rows.min())} to {int(rows.max())}, and has {len(weight)} rows")
    result = F.embedding(rows, weight)
    return result + bias[0] if bias else result


def product(call: Call, weights: Weights) -> torch.Tensor:
    """The matrix product with these weights."""
    weight, *bias = weights
    matrix = weight.t() if call.param.flag("transpose") else weight
    first = call.of(InnerProduct).first
    x = call.x.flatten(first) if first != call.x.dim() - 1 else call.x
    return F.linear(x, matrix, bias[0] if bias else None)
