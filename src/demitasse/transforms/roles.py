"""What the layers of a training network are for: bringing data, judging, or computing what a deployed network gives.

Nothing says so in the file, so it is told from how the network hangs together. Values that depend on labels exist in
training only. What losses and accuracies judge, and what is left unread, are the outputs, unless it leads to another
output. A loss that judges by the labels of another one of its type, with a smaller weight, is an auxiliary head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from demitasse.layers import LayerType, layer_type
from demitasse.layers.build import loss_weights
from demitasse.net import Layer
from demitasse.transforms.wiring import Value, Wiring

__all__ = ["SOFTMAX", "Roles", "is_source", "judges", "roles_of"]

LABELLED: Final = frozenset(
    {"AnnotatedData", "Data", "DenseImageData", "ImageData", "ImageSegData", "MemoryData", "WindowData"}
)
"""Types whose outputs but the first are labels, or tell about pictures."""

LABEL: Final = re.compile(r"label|target|truth|(^|_)gt(_|$)", re.IGNORECASE)
"""Names of labels among the outputs of other data layers."""

SQUASHING: Final = frozenset({"Sigmoid", "Softmax"})

SINKS: Final = frozenset(
    {"Accuracy", "BoxAnnotatorOHEM", "DetectionEvaluate", "HDF5Output", "MatWrite", "SegAccuracy", "Silence"}
)


@dataclass(frozen=True, slots=True)
class Roles:
    """``wanted``: the values that the deployed network gives, and the layer that judges each (None: it is not judged).
    ``labels``: values that depend on labels. ``auxiliary``: what only auxiliary heads gave."""

    wanted: dict[Value, int | None]
    labels: frozenset[Value]
    auxiliary: tuple[str, ...]


def judges(layer: Layer) -> bool:
    """Whether a layer judges, shows or drops its inputs, and gives nothing that a deployed network needs."""
    known = layer.type in SINKS or layer_type(layer.type).is_loss or layer.type.endswith(("Loss", "Accuracy"))
    return known or any(loss_weights(layer).values())


def is_source(layer: Layer) -> bool:
    """Whether a layer brings in data that a caller of the deployed network has to give instead.

    Not so an Input layer, which is that already, and DummyData that is constant."""
    if layer.inputs or layer.type in ("Input", "Parameter"):
        return False
    if layer.type == "DummyData":
        fillers = layer.message.message("dummy_data_param").messages("data_filler")
        return any(filler.string("type", "constant") != "constant" for filler in fillers)
    return layer_type(layer.type).is_source or layer.type == "Python"


def roles_of(wiring: Wiring, until: Iterable[str] = ()) -> Roles:
    """The roles in a network. ``until``: names of the outputs, if they are known already."""
    labels = frozenset(labels_in(wiring))
    judge = {key for key, layer in wiring.layers.items() if judges(layer)}
    if names := set(until):
        last = {name: value for value, name in wiring.names.items()}
        return Roles({last[name]: None for name in names if name in last}, labels, ())
    minor = auxiliary_losses(wiring, judge, labels)
    found: dict[Value, int | None] = {}
    aside: dict[Value, int | None] = {}
    for key, layer in wiring.layers.items():
        trained = any(value in labels for value in wiring.sources[key])
        if layer.type == "Silence" or not (key in judge or trained):
            continue
        judged = [value for value in wiring.sources[key] if value not in labels and not is_given(wiring, value)]
        computed = [value for value in judged if learned(wiring, value)]
        for value in computed or judged:
            chosen = aside if key in minor else found
            if value not in chosen or layer.type in SOFTMAX:
                chosen[value] = key
    for key, layer in wiring.layers.items():
        values = [(key, number) for number in range(len(layer.outputs))]
        trained = key in judge or any(value in labels for value in wiring.sources[key])
        if values and not trained and not any(map(wiring.readers, values)):
            found.update({value: None for value in values if not is_given(wiring, value)})
    for value in [value for value in found if unsquashed(wiring, value) in aside]:
        if not any(judge_is_loss(wiring, key) and key not in minor for key, _ in wiring.readers(value)):
            aside[value] = found.pop(value)
    wanted = {value: key for value, key in found.items() if not leads_on(wiring, value, found)}
    return Roles(wanted, labels, tuple(wiring.names[value] for value in aside if value not in wanted))


SOFTMAX: Final = {
    "SoftmaxWithLoss": "Softmax",
    "SoftmaxWithLossOHEM": "Softmax",
    "InfogainLoss": "Softmax",
    "SigmoidCrossEntropyLoss": "Sigmoid",
}
"""What a loss does to its first input before it judges it."""


def is_given(wiring: Wiring, value: Value) -> bool:
    """Whether a value is data itself."""
    layer = wiring.layers[value[0]]
    return is_source(layer) or layer.type == "Input"


def labels_in(wiring: Wiring) -> set[Value]:
    """Labels, and all that is computed from them."""
    found = {
        (key, number)
        for key, layer in wiring.layers.items()
        if is_source(layer)
        for number, name in enumerate(layer.outputs)
        if (number and layer.type in LABELLED) or (layer.type not in LABELLED and LABEL.search(name))
    }
    judged = {key for key, layer in wiring.layers.items() if judges(layer)}
    before = -1
    while len(found) != before:
        before = len(found)
        training = judged | {key for key, values in wiring.sources.items() if found.intersection(values)}
        for key in training:
            found.update((key, number) for number in range(len(wiring.layers[key].outputs)))
        for key, layer in wiring.layers.items():
            if is_source(layer):
                for value in [(key, number) for number in range(len(layer.outputs))]:
                    readers = wiring.readers(value)
                    if readers and all(reader in training for reader, _ in readers):
                        found.add(value)
    return found


def auxiliary_losses(wiring: Wiring, judge: Iterable[int], labels: frozenset[Value]) -> set[int]:
    """Losses of a type that judge by the same labels as another of that type that weighs more; and accuracies of what
    they judge."""
    weights: dict[tuple[str, frozenset[Value]], dict[int, float]] = {}
    for key in judge:
        layer = wiring.layers[key]
        given = frozenset(root for value in wiring.sources[key] if value in labels for root in roots(wiring, value))
        if (layer_type(layer.type).is_loss or layer.type.endswith("Loss")) and given:
            weights.setdefault((layer.type, given), {})[key] = max(loss_weights(layer).values(), default=0.0)
    minor = {key for group in weights.values() for key, one in group.items() if one < max(group.values())}
    major = {key for group in weights.values() for key in group} - minor
    judged, by_others = ({unsquashed(wiring, wiring.sources[key][0]) for key in keys} for keys in (minor, major))
    judged -= by_others
    accuracies = {key for key in judge if wiring.layers[key].type.endswith("Accuracy")}
    return minor | {key for key in accuracies if unsquashed(wiring, wiring.sources[key][0]) in judged}


def judge_is_loss(wiring: Wiring, key: int) -> bool:
    """Whether a layer is a loss, and not an accuracy."""
    layer = wiring.layers[key]
    return judges(layer) and layer.type not in SINKS and not layer.type.endswith("Accuracy")


def learned(wiring: Wiring, value: Value) -> bool:
    """Whether a layer with weights is among those that a value is computed by: otherwise it is a target."""
    return any(
        layer_type(wiring.layers[key].type).parameters is not LayerType.parameters
        or wiring.layers[key].type == "Python"
        for key in ancestors(wiring, value)
        if wiring.sources[key]
    )


def ancestors(wiring: Wiring, value: Value) -> set[int]:
    """The layers that a value is computed by."""
    found: set[int] = set()
    waiting = [value[0]]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += [source for source, _ in wiring.sources[key]]
    return found


def roots(wiring: Wiring, value: Value) -> set[Value]:
    """The data layers that a value is computed from, by their first outputs."""
    return {(key, 0) for key in ancestors(wiring, value) if not wiring.sources[key]}


def unsquashed(wiring: Wiring, value: Value) -> Value:
    """What a Softmax or Sigmoid is of."""
    while wiring.layers[value[0]].type in SQUASHING:
        value = wiring.sources[value[0]][0]
    return value


def leads_on(wiring: Wiring, value: Value, others: Iterable[Value]) -> bool:
    """Whether another one is computed from a value."""
    targets = set(others) - {value}
    waiting, seen = [value], set[Value]()
    while waiting:
        for key, _ in wiring.readers(waiting.pop()):
            for one in ((key, number) for number in range(len(wiring.layers[key].outputs))):
                if one in targets:
                    return True
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
    return False
