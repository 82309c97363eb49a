"""DetectionEvaluate (SSD): which detections are right, for an average precision to be made from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from demitasse.runtime.boxes import descending, overlaps
from demitasse.runtime.operation import Call

__all__ = ["detection_evaluate"]

Array = npt.NDArray[np.float32]


def detection_evaluate(call: Call) -> torch.Tensor:
    """1 × 1 × rows × 5: for each class but the background (-1, label, number of true boxes, -1, -1), then for each
    detection (image, label, score, right, wrong); difficult boxes may be found or missed for neither."""
    background = call.param.integer("background_label_id")
    if call.param.string("name_size_file"):
        call.placed.refuse("name_size_file names a list of picture sizes, which is not read here; leave it out")
    found = call.x.detach().reshape(-1, 7).cpu().numpy()
    true = call.inputs[1].detach().reshape(-1, 8).cpu().numpy()
    for rows, which in ((found, 0), (true, 1)):
        if ((rows[:, 0] != -1) & (rows[:, 1] == background)).any():
            call.placed.refuse(f'"{call.placed.name(which)}" holds a box of the background, label {background}')
    padding = np.flatnonzero(true[:, 0].astype(int) == -1)
    true = true[: padding[0]] if len(padding) else true
    judgements = count_rows(call, true, background)
    for image in np.unique(found[:, 0][found[:, 0] != -1]):
        for label in np.unique(found[found[:, 0] == image, 1]):
            detections = found[(found[:, 0] == image) & (found[:, 1] == label)]
            judgements.extend(judged(call, detections, true[(true[:, 0] == image) & (true[:, 1] == label)]))
    judgements.extend([(0.0,) * 5] * int((found[:, 0] == -1).sum()))
    return torch.tensor(judgements, dtype=torch.float32, device=call.x.device).reshape(1, 1, -1, 5)


Row = tuple[float, ...]


def count_rows(call: Call, true: Array, background: int) -> list[Row]:
    """The rows that say how many true boxes each class has."""
    counted = true if call.param.flag("evaluate_difficult_gt", True) else true[true[:, 7] == 0]
    labels = [label for label in range(call.param.integer("num_classes")) if label != background]
    return [(-1.0, float(label), float((counted[:, 1] == label).sum()), -1.0, -1.0) for label in labels]


def judged(call: Call, detections: Array, true: Array) -> list[Row]:
    """One image's detections of one class: in order of score where there are true boxes, else as they came.

    The first to overlap a true box enough is right, further ones of the same box are wrong.
    """
    if not len(true):
        return [(*map(float, row[:3]), 0.0, 1.0) for row in detections]
    difficult = true[:, 7] != 0
    taken = np.zeros(len(true), bool)
    rows: list[Row] = []
    detections = detections[descending(detections[:, 2])]
    for row, shared in zip(detections, overlaps(detections[:, 3:7], true[:, 3:7]), strict=True):
        best = int(shared.argmax())
        right, wrong = 0.0, 1.0
        if shared[best] >= np.float32(call.param.number("overlap_threshold", 0.5)):
            if difficult[best] and not call.param.flag("evaluate_difficult_gt", True):
                wrong = 0.0
            elif not taken[best]:
                taken[best], right, wrong = True, 1.0, 0.0
        rows.append((*map(float, row[:3]), right, wrong))
    return rows
