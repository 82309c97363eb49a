"""Losses over classes: one label for each place, or a target for each element.

Formulas and gradients are those of BVLC Caffe 1.0; labels, targets and matrices get no gradient, and neither does
what flows into a second output (the probabilities).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.layers.layertype import text
from demitasse.runtime.gradient import passed_by
from demitasse.runtime.normalization import ignored_label, mode, normalizer
from demitasse.runtime.operation import Call

__all__ = [
    "hinge",
    "infogain",
    "labels_of",
    "multinomial_logistic",
    "sigmoid_cross_entropy",
    "softmax_loss",
    "softmax_loss_per_region",
]

SMALLEST = 1.17549435e-38
"""Least probability that SoftmaxWithLoss takes the logarithm of: the smallest normal float32."""
LOG_THRESHOLD = 1e-20
"""Least probability that the other losses take the logarithm of."""


def softmax_loss(call: Call) -> tuple[torch.Tensor, ...]:
    """SoftmaxWithLoss: cross-entropy of labels after a softmax along ``axis``; the probabilities as second output."""
    losses, counted, axis = cross_entropy(call)
    divisor = normalizer(call, mode(call, "VALID"), losses.shape[0], losses[0].numel(), counted)
    probabilities = torch.softmax(call.x.detach(), axis)
    return (losses.sum() / divisor, probabilities)[: max(1, len(call.layer.outputs))]


def softmax_loss_per_region(call: Call) -> tuple[torch.Tensor, ...]:
    """SoftmaxWithLossOHEM (R-FCN): as `softmax_loss`, and the loss of every place as third output."""
    losses, counted, axis = cross_entropy(call)
    divisor = normalizer(call, mode(call, "VALID"), losses.shape[0], losses[0].numel(), counted)
    images, _, height, width = call.placed.legacy(0)
    each = losses.detach().reshape(images, 1, height, width)
    probabilities = torch.softmax(call.x.detach(), axis)
    return (losses.sum() / divisor, probabilities, each)[: max(1, len(call.layer.outputs))]


def cross_entropy(call: Call) -> tuple[torch.Tensor, int, int]:
    """The loss of each place (outer × inner), how many places count, and the axis of the classes."""
    param = call.layer.message.message("softmax_param")
    axis = call.placed.axis(param.integer("axis", 1), call.placed.inputs[0])
    scores = by_class(call.x, axis)
    labels, counts = labels_of(call, scores.shape[0], scores.shape[1], scores.shape[2])
    logarithms = torch.log_softmax(scores, 1).gather(1, labels[:, None]).squeeze(1)
    losses = -passed_by(logarithms, logarithms.detach().clamp_min(math.log(SMALLEST)))
    weights = class_weights(call, scores.shape[1])
    if weights is not None:
        losses = losses * weights.to(losses)[labels]
    return torch.where(counts, losses, 0.0), int(counts.sum()), axis


def by_class(x: torch.Tensor, axis: int) -> torch.Tensor:
    """The same numbers as outer × classes × inner."""
    shape = tuple(x.shape)
    return x.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


def labels_of(call: Call, outer: int, classes: int, inner: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels as whole numbers, outer × inner, 0 where ignored, and which are not ignored.

    NetError for a label that is no class; Caffe would read beyond its memory.
    """
    labels = call.inputs[1].detach().reshape(outer, inner).long()
    ignored = ignored_label(call)
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored
    labels = torch.where(counts, labels, 0)
    if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        worst = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
        call.placed.refuse(
            f'"{call.placed.name(1)}" holds label {worst}; there are {classes} classes, 0 to {classes - 1}'
        )
    return labels, counts


def class_weights(call: Call, classes: int) -> torch.Tensor | None:
    """SegNet's ``class_weighting``: how much a place of each class counts; ``None`` unless asked for."""
    param = call.layer.message.message("loss_param")
    if not param.flag("weight_by_label_freqs"):
        return None
    weights = param.numbers("class_weighting")
    if len(weights) != classes:
        call.placed.refuse(f"has {len(weights)} class_weighting for {classes} classes; it needs one for each")
    return torch.tensor(weights)


def infogain(call: Call) -> tuple[torch.Tensor, ...]:
    """InfogainLoss: cross-entropies of all classes after a softmax, weighted by the label's row of a matrix."""
    if "normalize" in call.layer.message.message("loss_param"):
        call.placed.refuse("normalize is not read by this type; use normalization")
    axis = call.placed.axis(call.param.integer("axis", 1), call.placed.inputs[0])
    scores = by_class(call.x, axis)
    outer, classes, inner = scores.shape
    labels, counts = labels_of(call, outer, classes, inner)
    rows = gains(call, classes)[labels].movedim(-1, 1)
    logarithms = torch.log_softmax(scores, 1)
    logarithms = passed_by(logarithms, logarithms.detach().clamp_min(math.log(LOG_THRESHOLD)))
    losses = torch.where(counts, -(rows * logarithms).sum(1), 0.0)
    divisor = normalizer(call, mode(call, "VALID"), outer, inner, int(counts.sum()))
    probabilities = torch.softmax(call.x.detach(), axis)
    return (losses.sum() / divisor, probabilities)[: max(1, len(call.layer.outputs))]


def gains(call: Call, classes: int) -> torch.Tensor:
    """The matrix of InfogainLoss, classes × classes: the third input, or from the file that ``source`` names."""
    if len(call.inputs) == 3:
        return call.inputs[2].detach().reshape(classes, classes)
    if "gains" not in call.state:
        from demitasse.runtime.matrix import matrix_of

        call.state["gains"] = matrix_of(call.layer, call.param.string("source"))
    matrix: torch.Tensor = call.state["gains"]
    if matrix.numel() != classes * classes:
        call.placed.refuse(f"its matrix is {text(tuple(matrix.shape))}; {classes} classes need {classes}×{classes}")
    return matrix.reshape(classes, classes).to(call.x.device)


def sigmoid_cross_entropy(call: Call) -> torch.Tensor:
    """SigmoidCrossEntropyLoss: cross-entropy of each element's target, after a sigmoid; targets may be fractions."""
    targets = call.inputs[1].detach().reshape(call.x.shape)
    ignored = ignored_label(call)
    counts = torch.ones_like(targets, dtype=torch.bool) if ignored is None else targets.long() != ignored
    losses = F.binary_cross_entropy_with_logits(call.x, targets, reduction="none")
    outer = call.x.shape[0]
    divisor = normalizer(call, mode(call, "BATCH_SIZE"), outer, call.x.numel() // outer, int(counts.sum()))
    return torch.where(counts, losses, 0.0).sum() / divisor


def multinomial_logistic(call: Call) -> torch.Tensor:
    """MultinomialLogisticLoss: minus the mean logarithm of the label's probability, which is the input."""
    rows = call.x.reshape(call.x.shape[0], -1)
    labels = row_labels(call, rows)
    chosen = rows.gather(1, labels[:, None]).squeeze(1)
    return -torch.log(passed_by(chosen, chosen.detach().clamp_min(LOG_THRESHOLD))).sum() / rows.shape[0]


def hinge(call: Call) -> torch.Tensor:
    """HingeLoss: how far scores are on the wrong side of their margin of 1, one label against the rest."""
    rows = call.x.reshape(call.x.shape[0], -1)
    sign = torch.ones_like(rows).scatter(1, row_labels(call, rows)[:, None], -1.0)
    beyond = torch.relu(1 + sign * rows)
    norm = call.layer.message.message("hinge_loss_param").string("norm", "L1")
    if norm not in ("L1", "L2", "1", "2"):
        call.placed.refuse(f"norm is {norm}; it must be L1 or L2")
    return (beyond if norm in ("L1", "1") else beyond * beyond).sum() / rows.shape[0]


def row_labels(call: Call, rows: torch.Tensor) -> torch.Tensor:
    """One label a row; NetError for one that is no column."""
    labels = call.inputs[1].detach().reshape(-1)[: rows.shape[0]].long()
    if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= rows.shape[1]):
        call.placed.refuse(f'"{call.placed.name(1)}" holds a label outside of 0 to {rows.shape[1] - 1}')
    return labels
