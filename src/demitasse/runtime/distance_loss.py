"""Losses that measure distances: between vectors, element by element, or to the centre of a class.

EuclideanLoss and ContrastiveLoss are BVLC Caffe's, SmoothL1Loss is that of Fast R-CNN, Faster R-CNN and SSD, CenterLoss
that of Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition" (2016).
"""

from __future__ import annotations

from typing import Any

import torch

from demitasse.layers.layertype import text
from demitasse.runtime.gradient import passed_by, with_gradient
from demitasse.runtime.normalization import mode, normalizer
from demitasse.runtime.operation import Call

__all__ = ["center", "contrastive", "euclidean", "l1", "smooth_l1", "smooth_l1_per_region"]


def difference(call: Call) -> torch.Tensor:
    """First input less the second, which holds as many numbers; the gradient goes to both."""
    return call.x - call.inputs[1].reshape(call.x.shape)


def euclidean(call: Call) -> torch.Tensor:
    """EuclideanLoss: half the squared distance, averaged over the batch."""
    return difference(call).square().sum() / (2 * call.x.shape[0])


def l1(call: Call) -> torch.Tensor:
    """L1Loss (NVIDIA's DetectNet): sum of absolute differences, averaged over the batch."""
    return difference(call).abs().sum() / call.x.shape[0]


def contrastive(call: Call) -> torch.Tensor:
    """ContrastiveLoss: pulls pairs that are alike together, and others apart up to ``margin``.

    The distance of a pair that is unlike gets 1e-4 added where the gradient divides by it.
    """
    rows = call.x.shape[0]
    a, b = (value.detach().reshape(rows, -1) for value in call.inputs[:2])
    alike = call.inputs[2].detach().reshape(rows).long() != 0
    margin = call.layer.message.message("contrastive_loss_param").number("margin", 1.0)
    legacy = call.layer.message.message("contrastive_loss_param").flag("legacy_version")
    apart = a - b
    squared = apart.square().sum(1)
    distance = squared.sqrt()
    short = torch.clamp_min(margin - (squared if legacy else distance), 0)
    total = torch.where(alike, squared, short if legacy else short.square()).sum() / rows / 2
    push = (short > 0).to(short) if legacy else short / (distance + 1e-4)
    slope = torch.where(alike, 1.0, -push)[:, None] * apart / rows
    first, second = call.inputs[:2]
    return with_gradient(total, (first, slope.reshape(first.shape)), (second, -slope.reshape(second.shape)))


def huber(x: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Half of ``sharpness`` x² near 0, |x| less a constant where that is larger in slope than 1."""
    size = x.abs()
    return torch.where(size < 1 / sharpness, 0.5 * sharpness * x * x, size - 0.5 / sharpness)


def smooth_l1(call: Call) -> torch.Tensor:
    """SmoothL1Loss: the Huber loss, summed and averaged over the batch.

    With four inputs, as in Faster R-CNN: weights inside (of the difference) and outside (of the loss). With three, as
    in Fast R-CNN and SSD: weights of the difference, which the gradient passes by. ``sigma`` squared is the sharpness.
    """
    apart = weighted(call, difference(call))
    losses = huber(apart, call.layer.message.message("smooth_l1_loss_param").number("sigma", 1.0) ** 2)
    if len(call.inputs) == 4:
        losses = losses * weights(call, 3)
    if call.layer.message.message("smooth_l1_loss_param").flag("abssum", True):
        losses = losses.abs()
    return losses.sum() / call.x.shape[0]


def weighted(call: Call, apart: torch.Tensor) -> torch.Tensor:
    """Differences times the third input, if there is one."""
    if len(call.inputs) < 3:
        return apart
    scaled = apart * weights(call, 2)
    return scaled if len(call.inputs) == 4 else passed_by(apart, scaled.detach())


def weights(call: Call, which: int) -> torch.Tensor:
    """An input of weights, one for each element. NetError if it holds another number of them."""
    given = call.inputs[which].detach()
    if given.numel() != call.x.numel():
        shapes = text(tuple(given.shape)), text(tuple(call.x.shape))
        call.placed.refuse(f'"{call.placed.name(which)}" is {shapes[0]}; it needs a weight for each of {shapes[1]}')
    return given.reshape(call.x.shape)


def smooth_l1_per_region(call: Call) -> tuple[torch.Tensor, ...]:
    """SmoothL1LossOHEM (R-FCN): as `smooth_l1` with three inputs, normalised by ``loss_param``; and the loss of every
    place as second output. VALID counts all places here."""
    if len(call.inputs) > 3:
        call.placed.refuse("has 4 inputs; this type reads predictions, targets and weights")
    losses = huber(weighted(call, difference(call)), 1.0)
    images, channels, height, width = call.placed.legacy(0)
    places = height * width
    divisor = normalizer(call, mode(call, "VALID"), images, places, images * places)
    each = losses.detach().reshape(images, channels, height, width).sum(1, keepdim=True)
    return (losses.sum() / divisor, each)[: max(1, len(call.layer.outputs))]


def center(call: Call) -> torch.Tensor:
    """CenterLoss: half the squared distance of each vector from its class's centre, averaged over the batch.

    Centres move by their own rule, whatever the weight of the loss: the mean distance of a class's vectors, counted
    once more than there are.
    """
    centers, rows = call.weights[0], call.x.shape[0]
    labels = call.inputs[1].detach().reshape(-1).long()
    if labels.numel() != rows or int(labels.min()) < 0 or int(labels.max()) >= centers.shape[0]:
        call.placed.refuse(f'"{call.placed.name(1)}" should hold {rows} labels of 0 to {centers.shape[0] - 1}')
    vectors = call.x.reshape(rows, -1)
    own: torch.Tensor = CentersMove.apply(centers, vectors.detach(), labels)  # type: ignore[no-untyped-call]
    return (vectors - own).square().sum() / (2 * rows)


class CentersMove(torch.autograd.Function):
    """Each row's centre; backward, the centres' own rule in place of the gradient of the loss."""

    @staticmethod
    def forward(ctx: Any, centers: torch.Tensor, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The centres of the labels, rows × features."""
        chosen = centers[labels]
        ctx.save_for_backward(vectors - chosen, labels)
        ctx.shape = centers.shape
        return chosen

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Minus the sum of distances of a class, divided by 1 more than their number."""
        apart, labels = ctx.saved_tensors
        sums = apart.new_zeros(ctx.shape).index_add_(0, labels, -apart)
        numbers = torch.bincount(labels, minlength=ctx.shape[0]).to(apart)
        return sums / (numbers + 1)[:, None], None, None
