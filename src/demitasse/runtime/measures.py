"""What is measured rather than trained on: Accuracy, ArgMax, SegAccuracy; and Reduction, which is differentiable."""

from __future__ import annotations

import torch

from demitasse.runtime.classification_loss import by_class
from demitasse.runtime.operation import Call

__all__ = ["accuracy", "argmax", "reduction", "segmentation_accuracy"]


def accuracy(call: Call) -> tuple[torch.Tensor, ...]:
    """Accuracy: the share of labels whose score is beaten or met by fewer than ``top_k`` other classes.

    A tie counts against the prediction. Second output: the share for each class, 0 for one without labels.
    """
    axis = call.placed.axis(call.param.integer("axis", 1), call.placed.inputs[0])
    scores = by_class(call.x.detach(), axis)
    labels, counts = accuracy_labels(call, *scores.shape)
    true = scores.gather(1, labels[:, None])
    right = ((scores >= true).sum(1) - 1 < call.param.integer("top_k", 1)) & counts
    total = int(counts.sum())
    share = right.sum().to(torch.float32) / total if total else call.x.new_zeros(())
    if len(call.layer.outputs) < 2:
        return (share,)
    classes = scores.shape[1]
    numbers = torch.bincount(labels[counts], minlength=classes)
    hits = torch.bincount(labels[right], minlength=classes)
    return share, hits.to(torch.float32) / numbers.clamp_min(1)


def accuracy_labels(call: Call, outer: int, classes: int, inner: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As `labels_of`, with the label to ignore from ``accuracy_param``."""
    labels = call.inputs[1].detach().reshape(outer, inner).long()
    counts = torch.ones_like(labels, dtype=torch.bool)
    if "ignore_label" in call.param:
        counts = labels != call.param.integer("ignore_label")
    labels = torch.where(counts, labels, 0)
    if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        call.placed.refuse(f'"{call.placed.name(1)}" holds a label outside of 0 to {classes - 1}')
    return labels, counts


def argmax(call: Call) -> torch.Tensor:
    """ArgMax: indices of the ``top_k`` largest along ``axis``, or in each whole row; of equals the later first.

    With ``out_max_val``: their values instead, along an axis; both, indices first, of whole rows.
    """
    top, both = call.param.integer("top_k", 1), call.param.flag("out_max_val")
    x = call.x.detach()
    if "axis" in call.param:
        axis = call.placed.axis(call.param.integer("axis"), call.placed.inputs[0])
        values, indices = largest(x, top, axis)
        return values if both else indices
    values, indices = largest(x.reshape(x.shape[0], -1), top, 1)
    rows = torch.stack((indices, values), 1) if both else indices[:, None]
    return rows.reshape(*rows.shape, *(1,) * max(0, x.dim() - 3))


def largest(x: torch.Tensor, top: int, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest values along an axis and their indices as float32, of equal ones the later first."""
    order = x.flip(axis).sort(dim=axis, descending=True, stable=True)
    values, places = order.values.narrow(axis, 0, top), order.indices.narrow(axis, 0, top)
    return values, (x.shape[axis] - 1 - places).to(x.dtype)


def reduction(call: Call) -> torch.Tensor:
    """Reduction: sum, sum of absolute values or of squares, or mean over all axes from ``axis`` on, times ``coeff``."""
    axis = call.placed.axis(call.param.integer("axis", 0), call.placed.inputs[0])
    shape = tuple(call.x.shape)
    rows = call.x.reshape(*shape[:axis], -1)
    kind, coefficient = call.param.string("operation", "SUM"), call.param.number("coeff", 1.0)
    if kind in ("ASUM", "2"):
        rows = rows.abs()
    elif kind in ("SUMSQ", "3"):
        rows = rows * rows
    elif kind in ("MEAN", "4"):
        coefficient /= rows.shape[-1]
    elif kind not in ("SUM", "1"):
        call.placed.refuse(f"operation is {kind}; it must be SUM, ASUM, SUMSQ or MEAN")
    return rows.sum(-1) * coefficient


def segmentation_accuracy(call: Call) -> torch.Tensor:
    """SegAccuracy (DeepLab): share of right pixels, mean share over classes that occur, mean intersection over union.

    A class that neither occurs nor is predicted counts 1 in the last. Counts add up over passes unless ``reset``,
    the default, is set.
    """
    param = call.layer.message.message("seg_accuracy_param")
    metric = param.string("metric", "PixelAccuracy")
    if metric != "PixelAccuracy":
        call.placed.refuse(f"metric {metric} is not computed here; only PixelAccuracy, which gives all three numbers")
    scores = by_class(call.x.detach(), 1)
    classes = scores.shape[1]
    labels = call.inputs[1].detach().reshape(-1).long()
    counts = torch.ones_like(labels, dtype=torch.bool)
    for ignored in param.integers("ignore_label"):
        counts &= labels != ignored
    kept = labels[counts]
    if kept.numel() and (int(kept.min()) < 0 or int(kept.max()) >= classes):
        call.placed.refuse(f'"{call.placed.name(1)}" holds a label outside of 0 to {classes - 1}')
    predicted = largest(scores, 1, 1)[1].reshape(-1).long()[counts]
    matrix = torch.bincount(kept * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    if not param.flag("reset", True):
        matrix = call.state["matrix"] = matrix + call.state.get("matrix", 0)
    return three_measures(matrix.double()).to(call.x).reshape(1, 1, 1, 3)


def three_measures(matrix: torch.Tensor) -> torch.Tensor:
    """Accuracy, mean recall and mean intersection over union of a confusion matrix (true × predicted)."""
    right, true, predicted = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    total, occurring = matrix.sum(), true > 0
    union = true + predicted - right
    overlap = torch.where(union == right, 1.0, right / union.clamp_min(1))
    recall = (right / true.clamp_min(1)).sum() / occurring.sum().clamp_min(1)
    return torch.stack((right.sum() / total.clamp_min(1), recall, overlap.mean()))
