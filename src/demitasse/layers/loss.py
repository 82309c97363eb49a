"""Losses and measures: what training reads and deployment drops."""

from __future__ import annotations

from typing import ClassVar

from demitasse.layers.layertype import Counts, LayerType, refuse, text
from demitasse.layers.sizes import Shape, count, differ
from demitasse.net import Layer

__all__ = [
    "Accuracy",
    "ArgMax",
    "BoxAnnotator",
    "CenterLoss",
    "ContrastiveLoss",
    "CountLoss",
    "EuclideanLoss",
    "InfogainLoss",
    "Loss",
    "MultinomialLogisticLoss",
    "PairLoss",
    "Reduction",
    "SegAccuracy",
    "Sink",
    "SmoothL1Loss",
    "SmoothL1LossPerRegion",
    "SoftmaxWithLoss",
    "SoftmaxWithLossPerRegion",
]


class Loss(LayerType):
    """One number from any inputs, weighted 1 unless the file says otherwise."""

    takes: ClassVar[Counts] = (1, None)
    is_loss: ClassVar[bool] = True
    ignores_inputs: ClassVar[bool] = True

    def outputs(self) -> tuple[Shape | None, ...]:
        return ((),)


class PairLoss(Loss):
    """Compares predictions with targets, which have as many rows (EuclideanLoss: of the same length)."""

    takes: ClassVar[Counts] = (2, 2)
    ignores_inputs: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        self.same(self.rows(0), self.rows(1), f'inputs "{self.name(0)}" and "{self.name(1)}" should have as many rows')
        return ((),)

    def one_per_place(self, axis: int, targets: Shape) -> None:
        """NetError unless there is one target for each place outside of the class axis."""
        shape = self.inputs[0]
        places = count(shape, 0, axis) * count(shape, axis + 1)
        if differ(places, count(targets)):
            self.refuse(
                f'"{self.name(1)}" holds {text(count(targets))} labels for {text(places)} predictions;'
                f" with classes along axis {axis} of {text(shape)} it needs one for each"
            )


class CountLoss(PairLoss):
    """Compares element by element: as many elements on both sides."""

    def outputs(self) -> tuple[Shape | None, ...]:
        a, b = self.inputs[:2]
        self.same(count(a), count(b), f'inputs "{self.name(0)}" and "{self.name(1)}" should have as many elements')
        return super().outputs()


class EuclideanLoss(PairLoss):
    """Rows of the same length."""

    def outputs(self) -> tuple[Shape | None, ...]:
        a, b = self.inputs
        self.same(count(a, 1), count(b, 1), f'rows of "{self.name(0)}" and "{self.name(1)}" should be as long')
        return super().outputs()


class SmoothL1Loss(CountLoss):
    """Fast R-CNN: weights inside and outside may follow."""

    takes: ClassVar[Counts] = (2, 4)


class MultinomialLogisticLoss(PairLoss):
    """One label per row."""

    def outputs(self) -> tuple[Shape | None, ...]:
        self.same(self.legacy(1)[1:], (1, 1, 1), f'"{self.name(1)}" should hold one label per row')
        return super().outputs()


class ContrastiveLoss(PairLoss):
    """Two sets of vectors and whether each pair is alike."""

    takes: ClassVar[Counts] = (3, 3)

    def outputs(self) -> tuple[Shape | None, ...]:
        a, b, alike = (self.legacy(which) for which in range(3))
        self.same(a[1], b[1], f'"{self.name(0)}" and "{self.name(1)}" should have as many channels')
        for shape, which in ((a, 0), (b, 1)):
            self.same(shape[2:], (1, 1), f'"{self.name(which)}" should have height and width 1')
        self.same(alike[1:], (1, 1, 1), f'"{self.name(2)}" should hold one number per row')
        return super().outputs()


class SoftmaxWithLoss(PairLoss):
    """Cross-entropy of labels after a softmax; the second output holds the probabilities."""

    field: ClassVar[str] = "softmax_param"
    gives: ClassVar[Counts] = (1, 2)

    @classmethod
    def check_as_caffe(cls, layer: Layer) -> None:
        if cls is SoftmaxWithLoss and len(layer.message.scalars("loss_weight")) > 1:
            refuse(layer, "loss_weight may be given once: Caffe hands it on to the Softmax inside, of one output")

    def outputs(self) -> tuple[Shape | None, ...]:
        super().outputs()
        axis = self.axis(self.param.integer("axis", 1), self.inputs[0])
        self.one_per_place(axis, self.inputs[1])
        return ((), self.inputs[0])[: max(1, len(self.layer.outputs))]


class InfogainLoss(SoftmaxWithLoss):
    """As SoftmaxWithLoss, weighted by a matrix from a file or from the third input."""

    field: ClassVar[str] = "infogain_loss_param"
    takes: ClassVar[Counts] = (2, 3)

    def outputs(self) -> tuple[Shape | None, ...]:
        shapes = super().outputs()
        classes = self.inputs[0][self.axis(self.param.integer("axis", 1), self.inputs[0])]
        if len(self.inputs) == 3:
            self.same(count(self.inputs[2]), classes * classes, f'the elements of "{self.name(2)}" should be classes²')
        elif "source" not in self.param:
            self.refuse("needs its matrix: infogain_loss_param { source: … } or a third input")
        return shapes


class SoftmaxWithLossPerRegion(Loss):
    """SoftmaxWithLossOHEM (R-FCN): the loss, the probabilities, the loss of each region."""

    takes: ClassVar[Counts] = (2, 2)
    gives: ClassVar[Counts] = (1, 3)
    ignores_inputs: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        images, _, height, width = self.legacy(0)
        return ((), self.inputs[0], (images, 1, height, width))[: max(1, len(self.layer.outputs))]


class SmoothL1LossPerRegion(Loss):
    """SmoothL1LossOHEM (R-FCN): the loss, and the loss of each region."""

    takes: ClassVar[Counts] = (2, 4)
    gives: ClassVar[Counts] = (1, 2)
    ignores_inputs: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        images, _, height, width = self.legacy(0)
        return ((), (images, 1, height, width))[: max(1, len(self.layer.outputs))]


class BoxAnnotator(LayerType):
    """BoxAnnotatorOHEM (R-FCN): regions, losses, labels and weights in; the hard ones' labels and weights out."""

    takes: ClassVar[Counts] = (4, 4)
    gives: ClassVar[Counts] = (1, 2)

    def outputs(self) -> tuple[Shape | None, ...]:
        return (self.inputs[2], self.inputs[3])[: len(self.layer.outputs)]


class CenterLoss(PairLoss):
    """Distance of each vector from the learned centre of its class."""

    field: ClassVar[str] = "center_loss_param"

    def parameters(self) -> tuple[Shape, ...] | None:
        first = self.axis(self.param.integer("axis", 1), self.inputs[0])
        return ((self.positive("num_output"), count(self.inputs[0], first)),)


class Accuracy(PairLoss):
    """Share of labels among the ``top_k`` predictions; the second output tells it for each class."""

    field: ClassVar[str] = "accuracy_param"
    gives: ClassVar[Counts] = (1, 2)
    is_loss: ClassVar[bool] = False

    def outputs(self) -> tuple[Shape | None, ...]:
        shape, labels = self.inputs
        axis, top = self.axis(self.param.integer("axis", 1), shape), self.size("top_k", 1)
        self.one_per_place(axis, labels)
        if top > shape[axis]:
            self.refuse(f"top_k is {top}, and there are {shape[axis]} classes")
        return ((), (shape[axis],))[: len(self.layer.outputs)]


class SegAccuracy(LayerType):
    """DeepLab: three measures of a segmentation."""

    takes: ClassVar[Counts] = (2, 2)
    ignores_inputs: ClassVar[bool] = True

    def outputs(self) -> tuple[Shape | None, ...]:
        return ((1, 1, 1, 3),)


class ArgMax(LayerType):
    """Indices of the largest elements, along an axis or of each row, with their values in some layouts."""

    field: ClassVar[str] = "argmax_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        shape, top = self.inputs[0], self.positive("top_k", 1)
        if "axis" in self.param:
            axis = self.axis(self.param.integer("axis"), shape)
            if top > shape[axis]:
                self.refuse(f"top_k is {top}, and axis {axis} has {shape[axis]}")
            return ((*shape[:axis], top, *shape[axis + 1 :]),)
        if top > count(shape, 1):
            self.refuse(f"top_k is {top}, and a row has {count(shape, 1)}")
        kinds = 2 if self.param.flag("out_max_val") else 1
        return ((self.rows(0), kinds, top, *(1,) * max(0, len(shape) - 3)),)


class Reduction(LayerType):
    """Sum, mean or the like over all axes from ``axis`` on."""

    field: ClassVar[str] = "reduction_param"

    def outputs(self) -> tuple[Shape | None, ...]:
        return (self.inputs[0][: self.axis(self.param.integer("axis", 0), self.inputs[0])],)


class Sink(LayerType):
    """Writes its inputs somewhere, and gives nothing on."""

    takes: ClassVar[Counts] = (1, None)
    gives: ClassVar[Counts] = (0, 0)
    ignores_inputs: ClassVar[bool] = True

    @classmethod
    def input_limits(cls, layer: Layer) -> Counts:
        return (2, 2) if layer.type == "HDF5Output" else cls.takes

    def outputs(self) -> tuple[Shape | None, ...]:
        return ()
