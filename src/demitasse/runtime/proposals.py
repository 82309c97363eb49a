"""Regions from a region proposal network (Ren et al., "Faster R-CNN", 2015): the layer in C++, and the one in Python.

None has a gradient. They differ in what they do with small boxes, and in where their parameters are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from demitasse.layers.anchors import anchors, anchors_in_pixels
from demitasse.layers.python import Python
from demitasse.runtime.boxes import Boxes, descending, offsets, suppress
from demitasse.runtime.operation import Call
from demitasse.runtime.quicksort import falling

__all__ = ["proposal", "proposal_layer", "pvanet_proposal"]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Limits:
    """Boxes before and after suppression, the overlap that suppresses, the least side in pixels of the original."""

    before: int
    after: int
    overlap: float
    side: float


def proposal(call: Call) -> tuple[torch.Tensor, ...]:
    """Proposal: regions (image, x1, y1, x2, y2), best first, and their scores.

    As in the forks of BVLC Caffe 1.0 that took the layer over from PVANet: ``scale`` is the side of an anchor in
    pixels, and the scale of the picture does not count for ``min_size``. A box below that is not left out: its score
    counts as 0.
    """
    return proposed(call, anchors_in_pixels)


def pvanet_proposal(call: Call) -> tuple[torch.Tensor, ...]:
    """Proposal as PVANet's own Caffe has it: ``base_size`` times ``scale`` is the side of an anchor. Nothing in a file
    tells it from `proposal`; a plugin that says ``OPERATIONS = {"Proposal": pvanet_proposal}`` does."""
    return proposed(call, anchors)


def proposed(
    call: Call, shapes_of: Callable[[int, Sequence[float], Sequence[float]], Boxes]
) -> tuple[torch.Tensor, ...]:
    """`proposal`, with anchors of ``base_size``, ``ratio`` and ``scale`` by a rule."""
    param = call.param
    if any(name in param for name in ("anchor_scale", "anchor_ratio", "rpn_nms_thresh", "max_rois", "rpn_min_size")):
        call.placed.refuse("has the parameters of Synopsys' fork, whose boxes and thresholds differ; not computed here")
    limits = Limits(
        param.integer("pre_nms_topn", 6000),
        param.integer("post_nms_topn", 300),
        param.number("nms_thresh", 0.7),
        param.number("min_size", 16),
    )
    shapes = shapes_of(param.integer("base_size", 16), param.numbers("ratio"), param.numbers("scale"))
    chosen = []
    for image in range(call.x.shape[0]):
        boxes, scores = candidates(call, image, shapes, param.integer("feat_stride", 16))
        scores = np.where((sides_of(boxes) >= np.float32(limits.side)).all(1), scores, np.float32(0))
        order = falling(scores, limits.before)
        kept = order[suppress(boxes[order], limits.overlap, border=1.0, most=limits.after)]
        chosen.append((image, boxes[kept], scores[kept]))
    return regions(call, chosen)


def proposal_layer(call: Call) -> tuple[torch.Tensor, ...]:
    """Python's ``rpn.proposal_layer.ProposalLayer`` (py-faster-rcnn): regions, best first, and their scores.

    Boxes below 16 pixels of the original picture are left out; 6000 before suppression at 0.7 and 300 after, in
    training 12000 and 2000. ``param_str``: ``feat_stride``, and perhaps ``scales`` and (PVANet) ``ratios``.
    """
    python = call.of(Python)
    if call.x.shape[0] != 1:
        call.placed.refuse(f"is given {call.x.shape[0]} pictures; it takes one at a time")
    stride = python.options.get("feat_stride")
    if not isinstance(stride, int) or stride < 1:
        call.placed.refuse("needs feat_stride in its param_str")
    limits = Limits(12000, 2000, 0.7, 16) if call.training else Limits(6000, 300, 0.7, 16)
    boxes, scores = candidates(call, 0, python.anchor_shapes(), stride)
    large = (sides_of(boxes) >= limits.side * call.inputs[2].detach()[0, 2].item()).all(1)
    boxes, scores = boxes[large], scores[large]
    order = descending(scores)[: limits.before]
    kept = order[suppress(boxes[order], limits.overlap, border=1.0, most=limits.after)]
    return regions(call, [(0, boxes[kept], scores[kept])])


def candidates(call: Call, image: int, shapes: Boxes, stride: int) -> tuple[Boxes, Array]:
    """Every anchor at every place, moved and clipped to the picture, and its score.

    Places in reading order, anchors within. NetError if inputs do not fit the anchors.
    """
    number = len(shapes)
    _, channels, height, width = call.x.shape
    deltas, info = call.inputs[1].detach(), call.inputs[2].detach()[0].cpu().numpy().astype(np.float32)
    if channels != 2 * number or deltas.shape[1:] != (4 * number, height, width) or len(info) < 3:
        call.placed.refuse(
            f"has {number} anchors; it needs {2 * number} scores and {4 * number} moves a place, and for the picture"
            " its height, width and scale"
        )
    scores = call.x.detach()[image, number:].permute(1, 2, 0).reshape(-1).cpu().numpy()
    moves = deltas[image].reshape(number, 4, height, width).permute(2, 3, 0, 1).reshape(-1, 4).cpu().numpy()
    y, x = np.mgrid[:height, :width].astype(np.float32) * np.float32(stride)
    shifts = np.stack((x, y, x, y), -1).reshape(-1, 1, 4)
    boxes = offsets((shifts + shapes).reshape(-1, 4), moves)
    boxes = np.clip(boxes, 0, np.array([info[1] - 1, info[0] - 1] * 2, np.float32))
    return boxes, scores


def sides_of(boxes: Boxes) -> Array:
    """Widths and heights in pixels, both corners inside."""
    return boxes[:, 2:] - boxes[:, :2] + np.float32(1)


def regions(call: Call, chosen: Sequence[tuple[int, Boxes, Array]]) -> tuple[torch.Tensor, ...]:
    """Rows of (image, x1, y1, x2, y2), and the scores if the layer has a second output."""
    rows = [np.concatenate((np.full((len(boxes), 1), image, np.float32), boxes), 1) for image, boxes, _ in chosen]
    scores = np.concatenate([score for _, _, score in chosen])
    if isinstance(call.placed, Python):
        scores = scores.reshape(-1, 1, 1, 1)
    results = torch.from_numpy(np.concatenate(rows)), torch.from_numpy(scores)
    return tuple(result.to(call.x.device) for result in results)[: len(call.layer.outputs)]
