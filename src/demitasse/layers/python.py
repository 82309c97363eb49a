"""Python layers. Their code is never run: the known ones are described here, the others are opaque.

``param_str`` is data: a Python or YAML mapping of plain values.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from demitasse.layers.anchors import anchors
from demitasse.layers.layertype import Counts, LayerType
from demitasse.layers.sizes import UNKNOWN, Shape

__all__ = ["KNOWN", "Python", "parse_param_str"]

LONGEST = 10_000
"""Characters of a ``param_str`` that are looked at."""

TUPLE = "!!python/tuple"
"""What PyYAML writes before a tuple: a list is as good."""


class Python(LayerType):
    """A layer whose class is named in the file."""

    field: ClassVar[str] = "python_param"
    takes: ClassVar[Counts] = (0, None)
    gives: ClassVar[Counts] = (0, None)
    depends_on_values: ClassVar[bool] = True
    ignores_inputs: ClassVar[bool] = True

    @property
    def known(self) -> bool:
        """Whether this layer's class is described here."""
        return self.kind in KNOWN

    @property
    def kind(self) -> tuple[str, str]:
        """Module (its last name counts, or the last two) and class."""
        return self.param.string("module"), self.param.string("layer")

    @property
    def options(self) -> Mapping[str, Any]:
        """What ``param_str`` says; empty if it cannot be read as a mapping."""
        return parse_param_str(self.param.string("param_str"))

    def option(self, name: str, default: int = UNKNOWN) -> int:
        """A whole number from ``param_str``."""
        value = self.options.get(name, default)
        return value if isinstance(value, int) else default

    def anchor_shapes(self) -> npt.NDArray[np.float32]:
        """The anchors of a ProposalLayer, rows of corners: py-faster-rcnn's, or with ``scales`` and (PVANet) ``ratios``
        from ``param_str``. NetError for what are no lists of numbers above 0."""
        return anchors(16, self._numbers("ratios", (0.5, 1, 2)), self._numbers("scales", (8, 16, 32)))

    def _numbers(self, name: str, default: Sequence[float]) -> Sequence[float]:
        found = self.options.get(name, default)
        if not isinstance(found, list | tuple) or not found:
            self.refuse(f"{name} in its param_str should be a list of numbers")
        if not all(isinstance(each, int | float) and each > 0 for each in found):
            self.refuse(f"{name} in its param_str should be a list of numbers above 0")
        return found

    def parameters(self) -> tuple[Shape, ...] | None:
        return () if self.known else None

    def outputs(self) -> tuple[Shape | None, ...]:
        number = len(self.layer.outputs)
        rule = KNOWN.get(self.kind)
        shapes = rule(self) if rule else ()
        return (*shapes, *(None,) * number)[:number]


def parse_param_str(text: str) -> Mapping[str, Any]:
    """The mapping that a ``param_str`` writes, in Python's or YAML's spelling, with or without braces.

    Only literals are understood; anything else gives an empty mapping. Nothing is executed.
    """
    text = text.replace(TUPLE, "").strip()
    if not text or len(text) > LONGEST:
        return {}
    for source in (text, "{" + text + "}"):
        value = _literal(source)
        if isinstance(value, dict):
            return {str(key): item for key, item in value.items()}
    inside = text.strip("{}")
    lines = inside.splitlines() if "\n" in inside else inside.split(",")
    pairs = [line.rstrip(", ").partition(":") for line in lines]
    return {key.strip(" '\""): _literal(item.strip()) for key, colon, item in pairs if colon}


def _literal(text: str) -> Any:
    """The value of a Python literal, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


def _proposals(layer: Python) -> tuple[Shape | None, ...]:
    return (1, 5), (1, 1, 1, 1)


def _anchor_targets(layer: Python) -> tuple[Shape | None, ...]:
    number = len(layer.anchor_shapes())
    scores = layer.inputs[0] if layer.inputs else ()
    height, width = scores[-2:] if len(scores) == 4 else (UNKNOWN, UNKNOWN)
    targets = (1, 4 * number, height, width)
    return (1, 1, number * height, width), targets, targets, targets


def _proposal_targets(layer: Python) -> tuple[Shape | None, ...]:
    targets = (1, 4 * layer.option("num_classes"))
    return (1, 5), (1, 1), targets, targets, targets


def _regions_data(layer: Python) -> tuple[Shape | None, ...]:
    data = (UNKNOWN, 3, UNKNOWN, UNKNOWN)
    if len(layer.layer.outputs) == 3:
        return data, (1, 3), (1, 4)
    targets = (1, 4 * layer.option("num_classes"))
    return data, (1, 5), (1,), targets, targets, targets


def _segmentation_data(layer: Python) -> tuple[Shape | None, ...]:
    return (1, 3, UNKNOWN, UNKNOWN), (1, 1, UNKNOWN, UNKNOWN)


def _one_number(layer: Python) -> tuple[Shape | None, ...]:
    return ((1,),)


KNOWN: dict[tuple[str, str], Callable[[Python], tuple[Shape | None, ...]]] = {
    ("rpn.proposal_layer", "ProposalLayer"): _proposals,
    ("rpn.anchor_target_layer", "AnchorTargetLayer"): _anchor_targets,
    ("rpn.proposal_target_layer", "ProposalTargetLayer"): _proposal_targets,
    ("roi_data_layer.layer", "RoIDataLayer"): _regions_data,
    ("voc_layers", "SBDDSegDataLayer"): _segmentation_data,
    ("voc_layers", "VOCSegDataLayer"): _segmentation_data,
    ("pyloss", "EuclideanLossLayer"): _one_number,
}
"""Shapes that a class gives its outputs when it is set up, as Caffe calls it before any data is there."""
