"""Detection: anchors and boxes of SSD, Faster R-CNN and YOLO."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType, refuse, text
from demitasse.layers.loss import Loss
from demitasse.layers.sizes import UNKNOWN, Shape, differ
from demitasse.net import Layer

__all__ = [
    "Boxes",
    "DetectNetTransformation",
    "DetectionEvaluate",
    "DetectionOutput",
    "MultiBoxLoss",
    "PriorBox",
    "Proposal",
]


class PriorBox(LayerType):
    """SSD's anchors for each cell of the first input: 1 × 2 (boxes, variances) × coordinates."""

    field: ClassVar[str] = "prior_box_param"
    takes: ClassVar[Counts] = (2, 2)

    def priors(self) -> int:
        """Boxes per cell: per smallest size one for each aspect ratio, and one if there is a largest size."""
        smallest, largest = self.param.numbers("min_size"), self.param.numbers("max_size")
        if not smallest or min(smallest) <= 0:
            self.refuse("needs min_size, above 0")
        if largest and len(largest) != len(smallest):
            self.refuse(f"has {len(largest)} max_size for {len(smallest)} min_size; it needs none, or one for each")
        if any(high <= low for low, high in zip(smallest, largest, strict=False)):
            self.refuse("every max_size has to be above its min_size")
        return len(self.ratios()) * len(smallest) + len(largest)

    def ratios(self) -> list[float]:
        """Aspect ratios: 1, each new one, and its inverse unless ``flip`` is false."""
        ratios = [1.0]
        for ratio in self.param.numbers("aspect_ratio"):
            if ratio <= 0:
                self.refuse(f"aspect_ratio is {ratio:g}; it must be above 0")
            if all(abs(ratio - other) >= 1e-6 for other in ratios):
                ratios.extend((ratio, 1 / ratio) if self.param.flag("flip", True) else (ratio,))
        return ratios

    def outputs(self) -> tuple[Shape | None, ...]:
        _, _, height, width = self.legacy(0)
        return ((1, 2, height * width * self.priors() * 4),)


class DetectionOutput(LayerType):
    """SSD's result: 1 × 1 × boxes × (image, label, score, x1, y1, x2, y2); one box before running."""

    field: ClassVar[str] = "detection_output_param"
    takes: ClassVar[Counts] = (3, 5)
    depends_on_values: ClassVar[bool] = True

    @classmethod
    def check_as_caffe(cls, layer: Layer) -> None:
        param = layer.message.message(cls.field)
        if param.integer("background_label_id", 0) == -1 and param.flag("share_location", True):
            refuse(layer, "background_label_id is -1: with share_location, Caffe takes that for the shared location")

    def outputs(self) -> tuple[Shape | None, ...]:
        places, scores, priors = (self.legacy(which) for which in range(3))
        classes = self.positive("num_classes")
        boxes = priors[2] // 4
        each = 1 if self.param.flag("share_location", True) else classes
        self.same(places[0], scores[0], f'"{self.name(0)}" and "{self.name(1)}" should have as many images')
        for which, per_box, shape in ((0, each * 4, places), (1, classes, scores)):
            if differ(shape[1], boxes * per_box):
                self.refuse(
                    f'"{self.name(which)}" holds {text(shape[1])} per image;'
                    f" {text(boxes)} prior boxes need {text(boxes * per_box)}"
                )
        return ((1, 1, 1, 7),)


class Boxes(LayerType):
    """Other detectors' result in the same form (YOLO)."""

    takes: ClassVar[Counts] = (1, None)
    depends_on_values: ClassVar[bool] = True
    ignores_inputs: ClassVar[bool] = True

    def outputs(self) -> tuple[Shape | None, ...]:
        return ((1, 1, 1, 7),)


class DetectionEvaluate(LayerType):
    """A row of five for each class but the background, and for each detection."""

    field: ClassVar[str] = "detection_evaluate_param"
    takes: ClassVar[Counts] = (2, 2)
    depends_on_values: ClassVar[bool] = True

    def outputs(self) -> tuple[Shape | None, ...]:
        classes = self.positive("num_classes")
        background = self.param.integer("background_label_id", 0) != -1
        return ((1, 1, classes - background + self.legacy(0)[2], 5),)


class MultiBoxLoss(Loss):
    """SSD's loss: places, scores, prior boxes and true boxes in."""

    takes: ClassVar[Counts] = (4, 4)


class Proposal(LayerType):
    """Faster R-CNN: regions (image, x1, y1, x2, y2) and their scores; as many as asked for, before running."""

    field: ClassVar[str] = "proposal_param"
    takes: ClassVar[Counts] = (3, 3)
    gives: ClassVar[Counts] = (1, 2)
    depends_on_values: ClassVar[bool] = True
    ignores_inputs: ClassVar[bool] = True

    def outputs(self) -> tuple[Shape | None, ...]:
        regions = self.positive("max_rois", self.positive("post_nms_topn", 300))
        return ((regions, 5), (regions,))[: len(self.layer.outputs)]


class DetectNetTransformation(LayerType):
    """NVCaffe's DetectNet: pictures of one size, and labels on a coarser grid."""

    field: ClassVar[str] = "detectnet_groundtruth_param"
    takes: ClassVar[Counts] = (2, 2)
    gives: ClassVar[Counts] = (2, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        images, channels = self.legacy(0)[:2]
        height, width = self.positive("image_size_y", 384), self.positive("image_size_x", 1248)
        stride = self.positive("stride", 4)
        return (images, channels, height, width), (images, UNKNOWN, height // stride, width // stride)
