"""Distillation while a solver trains: beside the labels, or without any, a network learns what another one gives.

    Solver(settings, shapings=[Distill(("deploy.prototxt", "large.caffemodel"))])

What a Softmax decides from is compared as probabilities, softened by a temperature (Hinton et al., arXiv 1503.02531);
what detectors read, and inner blobs (Romero et al., arXiv 1412.6550), by their squared relative error. The teacher is
fed what the network in training is fed, augmented and all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from demitasse.errors import NetError, OptionError
from demitasse.net import Net
from demitasse.train.shaping import Attached
from demitasse.train.teacher import Teacher, check_shapes, decided_by, relative_error, taught_at

if TYPE_CHECKING:
    from demitasse.train.solver import Solver

__all__ = ["Distill"]


@dataclass(frozen=True, slots=True)
class Distill:
    """A teacher's loss.

    ``teacher``: files of the network, DEPLOY and MODEL or one .demi; or, from Python, ``net``. ``share``: of the
    teacher in the loss; the labels have the rest, and 1 leaves them out. ``temperature``: divides logits. ``blobs``:
    inner blobs, of the same name and shape in both networks, that are compared, too; ``inner``: the weight of their
    error. A network without a loss of its own is taught all the same: then the teacher is all there is.
    """

    teacher: tuple[str, ...] = ()
    share: float = 0.5
    temperature: float = 2.0
    blobs: tuple[str, ...] = ()
    inner: float = 1.0
    net: Net | None = field(default=None, metadata={"supplied": True})

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or not self.temperature > 0 or not self.inner >= 0:
            raise OptionError("distill needs a share above 0 and at most 1, a temperature above 0, and inner ≥ 0")
        if bool(self.teacher) == (self.net is not None):
            raise OptionError("distill needs one teacher: its files, DEPLOY and MODEL or one .demi")

    def attach(self, solver: Solver) -> Attached:
        """At work beside a solver. NetError if the two networks do not go together."""
        from demitasse.files import load

        teacher = Teacher(load(*self.teacher) if self.net is None else self.net, solver.device)
        return AttachedTeacher(self, solver, teacher)


class AttachedTeacher(Attached):
    """A teacher at work. ``classes``: blobs that are compared as probabilities, with their axis; ``values``: others."""

    def __init__(self, options: Distill, solver: Solver, teacher: Teacher) -> None:
        self.options = options
        self.network = solver.network
        self.teacher = teacher
        outputs = taught_at(solver.network.graph, teacher.graph)
        self.classes = {name: axis for name, axis in decided_by(teacher.graph) if name in outputs}
        self.values = tuple(name for name in outputs if name not in self.classes)
        for whose, graph in (("network", solver.network.graph), ("teacher", teacher.graph)):
            known = {name for layer in graph.layers for name in layer.outputs}
            if missing := [name for name in options.blobs if name not in known]:
                raise NetError(f'the {whose} has no blob "{missing[0]}", which is to be compared')

    @property
    def blobs(self) -> tuple[str, ...]:
        return (*self.classes, *self.values, *self.options.blobs)

    def loss(self, outputs: Mapping[str, torch.Tensor], inputs: Mapping[str, Any]) -> torch.Tensor:
        options = self.options
        wanted = self.teacher(inputs, self.blobs)
        terms = [self.divergence(outputs[name], wanted[name], name, axis) for name, axis in self.classes.items()]
        terms += [relative_error(outputs, wanted, [name]) for name in self.values]
        total = options.share * torch.stack(terms).mean()
        if options.blobs and options.inner:
            total = total + options.inner * relative_error(outputs, wanted, options.blobs)
        # The solver has counted the labels' loss in full.
        return total - options.share * self.network.loss(outputs)

    def divergence(self, found: torch.Tensor, wanted: torch.Tensor, name: str, axis: int) -> torch.Tensor:
        """Kullback and Leibler's, of softened probabilities, the mean over everything but classes; times the square of
        the temperature, so that gradients are as large at every one."""
        check_shapes(name, found, wanted)
        soft = self.options.temperature
        target = torch.log_softmax(wanted / soft, axis)
        apart = target.exp() * (target - torch.log_softmax(found / soft, axis))
        return apart.sum(axis).mean() * soft**2
