"""Python layers that are known by module and class: what they compute, or why they are not computed.

No code that a file names is ever run. A function for another class comes from a file named with ``--plugin``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from demitasse.layers.python import Python
from demitasse.runtime.distance_loss import difference
from demitasse.runtime.gradient import with_gradient
from demitasse.runtime.operation import Call, Operation
from demitasse.runtime.proposals import proposal_layer

if TYPE_CHECKING:
    from demitasse.runtime.operation import Result

__all__ = ["PYTHON", "REFUSED", "python_layer"]


def python_layer(call: Call) -> Result:
    """A layer of type Python, by its class. NetError for one that is not known or not computed."""
    module, name = call.of(Python).kind
    if name not in PYTHON:
        why = REFUSED.get(name, "its class is not known; compare and evaluate take it with --plugin FILE.py")
        call.placed.refuse(f"Python layer {module}.{name} cannot be run: {why}")
    return PYTHON[name](call)


def euclidean_loss_layer(call: Call) -> torch.Tensor:
    """``pyloss.EuclideanLossLayer``, an example of Caffe's: as EuclideanLoss, but its gradient is not multiplied by
    the weight of the loss."""
    apart, rows = difference(call).detach(), call.x.shape[0]
    total = apart.square().sum().reshape(1) / (2 * rows)
    a, b = call.inputs
    return with_gradient(total, (a, apart / rows), (b, -apart.reshape(b.shape) / rows), scaled=False)


PYTHON: Mapping[str, Operation] = {
    "EuclideanLossLayer": euclidean_loss_layer,
    "ProposalLayer": proposal_layer,
}
"""By class: the module is wherever a project keeps its copy."""

DATA = "it reads pictures and annotations of its own; give its outputs as inputs"
REFUSED: Mapping[str, str] = {
    "AnchorTargetLayer": "it draws random samples to train a proposal network; it is not needed to run one",
    "ClusterDetections": "it is code of NVIDIA's DetectNet",
    "ClusterGroundtruth": "it is code of NVIDIA's DetectNet",
    "ProposalTargetLayer": "it draws random samples to train a detector; it is not needed to run one",
    "RoIDataLayer": DATA,
    "SBDDSegDataLayer": DATA,
    "ScoreDetections": "it is code of NVIDIA's DetectNet",
    "VOCSegDataLayer": DATA,
    "mAP": "it is code of NVIDIA's DetectNet",
}
