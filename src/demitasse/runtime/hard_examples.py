"""BoxAnnotatorOHEM: online hard example mining of R-FCN (Shrivastava et al., 2016; Dai et al., 2016)."""

from __future__ import annotations

import torch

from demitasse.runtime.operation import Call

__all__ = ["box_annotator"]


def box_annotator(call: Call) -> tuple[torch.Tensor, ...]:
    """Labels and box weights of the ``roi_per_img`` regions of each image whose loss is largest; the labels of the
    others are ``ignore_label`` and their weights 0. No gradient."""
    param = call.layer.message.message("box_annotator_ohem_param")
    most, ignored = param.integer("roi_per_img"), param.integer("ignore_label", -1)
    if most <= 0:
        call.placed.refuse("roi_per_img has to be at least 1")
    regions, losses, labels, weights = (value.detach() for value in call.inputs)
    images = regions.reshape(*call.placed.legacy(0))[:, 0].reshape(-1).long()
    kept = torch.zeros_like(images, dtype=torch.bool)
    order = losses.reshape(-1).sort(descending=True, stable=True).indices
    for image in set(images.tolist()):
        kept[order[images[order] == image][:most]] = True
    number, channels, height, width = call.placed.legacy(3)
    keeps = kept.reshape(number, 1, height, width)
    chosen = torch.where(keeps.reshape(labels.shape), labels, float(ignored))
    weighted = torch.where(keeps, weights.reshape(number, channels, height, width), 0.0)
    return (chosen, weighted.reshape(weights.shape))[: len(call.layer.outputs)]
