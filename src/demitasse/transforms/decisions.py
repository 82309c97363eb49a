"""What a loss judged becomes what a deployed network decides by: probabilities, or the boxes of SSD.

A training network says how its outputs are read, since its losses have to read them. How many boxes are wanted it does
not say: that is a choice of whoever uses the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from demitasse.message import Message, Value, Word
from demitasse.net import Layer, Note
from demitasse.transforms.roles import SOFTMAX, Roles
from demitasse.transforms.transform import done, kept
from demitasse.transforms.wiring import Value as Place
from demitasse.transforms.wiring import Wiring, fresh

__all__ = ["decide"]

ALIKE: Final = {
    "num_classes": "num_classes",
    "share_location": "share_location",
    "background_label_id": "background_label_id",
    "code_type": "code_type",
    "encode_variance_in_target": "variance_encoded_in_target",
}
"""Parameters of MultiBoxLoss, and what DetectionOutput calls them."""

CHOSEN: Final = Message.of(
    ("nms_param", Message.of(("nms_threshold", 0.45), ("top_k", 400))),
    ("keep_top_k", 200),
    ("confidence_threshold", 0.01),
)
"""What no training network says: values of SSD's own scripts (Liu et al., 2016, section 3.1)."""


def decide(wiring: Wiring, roles: Roles, notes: list[Note]) -> None:
    """Adds what is missing behind the values that losses judged, unless it is there; that is the output then."""
    judged: dict[int, list[Place]] = {}
    for value, judge in roles.wanted.items():
        if judge is not None and not wiring.readers(value):
            judged.setdefault(judge, []).append(value)
    for judge, values in judged.items():
        loss = wiring.origin.layers[judge]
        if loss.type in SOFTMAX:
            for value in values:
                probabilities(wiring, loss, value)
        elif loss.type == "MultiBoxLoss":
            boxes(wiring, loss, values, notes)


def probabilities(wiring: Wiring, loss: Layer, value: Place) -> None:
    """A Softmax or Sigmoid."""
    kind = SOFTMAX[loss.type]
    fields = loss.message.message("softmax_param") if kind == "Softmax" else Message()
    wiring.fixed.pop(value, None)
    found = behind(wiring, "prob", kind, [value], {"softmax_param": fields} if len(fields) else {})
    wiring.fixed[found] = wiring.names[found]


def boxes(wiring: Wiring, loss: Layer, values: list[Place], notes: list[Note]) -> None:
    """SSD's DetectionOutput behind scores for each class."""
    if len(values) != 3:
        notes.append(
            kept("strip", loss.name, "its locations, scores and priors are read elsewhere, too: no boxes added")
        )
        return
    param = loss.message.message("multibox_loss_param")
    places, scores, priors = values
    name = wiring.names[scores]
    classes = param.integer("num_classes")
    if param.string("conf_loss_type", "SOFTMAX") in ("LOGISTIC", "1"):
        flat = behind(wiring, f"{name}_sigmoid", "Sigmoid", [scores])
    else:
        shape = Message.of(("shape", Message.of(("dim", (0, -1, classes)))))
        rows = behind(wiring, f"{name}_reshape", "Reshape", [scores], {"reshape_param": shape})
        soft = behind(wiring, f"{name}_softmax", "Softmax", [rows], {"softmax_param": Message.of(("axis", 2))})
        flat = behind(wiring, f"{name}_flatten", "Flatten", [soft], {"flatten_param": Message.of(("axis", 1))})
    said: list[tuple[str, Value]] = [
        (ALIKE[one.name], one.value if one.name != "code_type" else Word(param.string("code_type")))
        for one in param
        if one.name in ALIKE
    ]
    options = Message((*Message.of(*said).fields, *CHOSEN.fields))
    for value in values:
        wiring.fixed.pop(value, None)
    found = behind(
        wiring, "detection_out", "DetectionOutput", [places, flat, priors], {"detection_output_param": options}
    )
    wiring.fixed[found] = wiring.names[found]
    text = (
        "boxes are found by what the loss says of classes and coordinates; for what no training network says, "
        "as in SSD's scripts: scores from 0.01, overlaps below 0.45 among the best 400, 200 boxes a picture"
    )
    notes.append(done("strip", wiring.layers[found[0]].name, text))


def behind(
    wiring: Wiring, name: str, kind: str, values: list[Place], fields: Mapping[str, Message] | None = None
) -> Place:
    """A new layer that reads some values; what it gives."""
    name = fresh(name, {*(layer.name for layer in wiring.layers.values()), *wiring.names.values()})
    inputs = tuple(wiring.names[value] for value in values)
    return wiring.add(Layer(name, kind, inputs, (name,), Message.of(*(fields or {}).items())), values), 0
