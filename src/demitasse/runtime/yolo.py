"""Yolov3DetectionOutput (MobileNet-YOLO): boxes out of YOLOv3's maps (Redmon and Farhadi, 2018). No gradient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from demitasse.layers.layertype import text
from demitasse.runtime.boxes import Boxes, corners, descending, suppress
from demitasse.runtime.operation import Call

__all__ = ["yolov3_detection_output"]

Array = npt.NDArray[np.float32]


def yolov3_detection_output(call: Call) -> torch.Tensor:
    """1 × 1 × boxes × (image, label from 1, score, x1, y1, x2, y2), scores falling over all classes.

    Suppression is across classes, as in the layer that this follows; the pictures of a batch are told apart, which
    that layer does not. Without a detection one row an image, all -1 but for the image.
    """
    param = call.layer.message.message("yolov3_detection_output_param")
    groups = param.integer("mask_group_num", 2)
    masks, biases = param.integers("mask"), np.array(param.numbers("biases"), np.float32)
    if param.flag("gaussian_box"):
        call.placed.refuse("gaussian_box is not computed here")
    if len(call.inputs) != groups or not masks or len(masks) % groups:
        call.placed.refuse(f"has {len(call.inputs)} inputs and {len(masks)} masks for {groups} groups of masks")
    if max(masks) * 2 + 1 >= len(biases) or len(param.integers("anchors_scale")) != groups:
        call.placed.refuse("needs biases for each mask, and one anchors_scale for each input")
    rows = []
    for image in range(call.x.shape[0]):
        found = [boxes_of(call, which, image, masks, biases) for which in range(groups)]
        labels, scores, boxes = (np.concatenate([part[k] for part in found]) for k in range(3))
        order = descending(scores)
        threshold = np.nextafter(np.float32(param.number("nms_threshold", 0.45)), np.float32(-1))
        kept = order[suppress(boxes[order], float(threshold))]  # an overlap equal to the threshold suppresses here
        head = np.stack((np.full(len(kept), image), labels[kept] + 1, scores[kept]), 1)
        rows.append(np.concatenate((head.astype(np.float32), boxes[kept]), 1))
    if not any(len(part) for part in rows):
        rows = [np.array([[image, *(-1.0,) * 6]], np.float32) for image in range(call.x.shape[0])]
    return torch.from_numpy(np.concatenate(rows)[None, None]).to(call.x.device)


@np.errstate(all="ignore")
def boxes_of(
    call: Call, which: int, image: int, masks: tuple[int, ...], biases: Array
) -> tuple[npt.NDArray[np.int64], Array, Boxes]:
    """Label, score and box of every place, anchor and class of one map whose score is above the threshold."""
    param = call.layer.message.message("yolov3_detection_output_param")
    number, classes = param.integer("num_box", 3), param.integer("num_classes", 20)
    x = call.inputs[which].detach()[image]
    if x.dim() != 3 or x.shape[0] != number * (classes + 5):
        wanted = number * (classes + 5)
        call.placed.refuse(f'"{call.placed.name(which)}" is {text(tuple(x.shape))}; it needs {wanted} channels')
    group = len(masks) // param.integer("mask_group_num", 2)
    own = masks[which * group : which * group + number]
    height, width = x.shape[1:]
    maps = x.reshape(number, classes + 5, height, width).permute(2, 3, 0, 1)
    scores = (torch.sigmoid(maps[..., 4:5]) * torch.sigmoid(maps[..., 5:])).cpu().numpy()
    row, column, anchor, label = np.nonzero(scores > np.float32(param.number("confidence_threshold", 0.01)))
    chosen = maps.cpu().numpy()[row, column, anchor]
    inside = 1 / (1 + np.exp(-chosen[:, :2]))
    sides = np.array([width, height], np.float32)
    shapes = biases.reshape(-1, 2)[list(own)][anchor]
    center = (np.stack((column, row), 1).astype(np.float32) + inside) / sides
    size = np.exp(chosen[:, 2:4]) * shapes / (sides * np.float32(param.integers("anchors_scale")[which]))
    boxes = corners(np.concatenate((center, size), 1).astype(np.float32))
    return label, scores[row, column, anchor, label], boxes
