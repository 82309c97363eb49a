"""Old networks and solvers to the form that Caffe 1.0 writes: UpgradeNetAsNeeded and UpgradeSolverAsNeeded.

Each step has its predicate, so that a file can be read as V2 without being rewritten. What Caffe drops is dropped,
what it refuses is a NetError, what it reports and survives is a note with ``data["problem"]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from demitasse.caffe.upgrade_v0 import needs_v0_upgrade, upgrade_v0
from demitasse.caffe.upgrade_v1 import needs_data_upgrade, needs_v1_upgrade, upgrade_data, upgrade_v1
from demitasse.errors import NetError
from demitasse.message import Field, Message, Scalar, renamed, replaced
from demitasse.net import Note

__all__ = [
    "needs_batch_norm_upgrade",
    "needs_data_upgrade",
    "needs_input_upgrade",
    "needs_net_upgrade",
    "needs_solver_upgrade",
    "needs_v0_upgrade",
    "needs_v1_upgrade",
    "upgrade_batch_norm",
    "upgrade_data",
    "upgrade_input",
    "upgrade_net",
    "upgrade_solver",
    "upgrade_v0",
    "upgrade_v1",
]

_Step = tuple[Callable[[Message], bool], Callable[[Message], tuple[Message, tuple[Note, ...]]]]


def needs_net_upgrade(root: Message) -> bool:
    """Whether Caffe would upgrade the network (one with three param entries to BatchNorm every time again)."""
    return any(needed(root) for needed, _ in _STEPS)


def upgrade_net(root: Message) -> tuple[Message, tuple[Note, ...]]:
    """The network in V2, and what was done; a network in V2 as it is. NetError where Caffe aborts."""
    notes: list[Note] = []
    for needed, upgrade in _STEPS:
        if needed(root):
            root, told = upgrade(root)
            notes += told
    return root, tuple(notes)


# Input fields

_DIMS: Final = 4


def needs_input_upgrade(root: Message) -> bool:
    """Whether the network names its inputs outside of layers."""
    return bool(root.scalars("input"))


def upgrade_input(root: Message) -> tuple[Message, tuple[Note, ...]]:
    """Input fields as an Input layer before all others; inputs without shapes vanish, as in Caffe."""
    inputs, shapes = root.scalars("input"), root.messages("input_shape")
    dims = root.scalars("input_dim")
    if not shapes and not dims:
        text = "inputs without shapes dropped, as Caffe does: " + ", ".join(map(str, inputs))
        return root.remove("input"), (Note("upgrade", "", text),)
    if shapes and len(shapes) < len(inputs):
        raise NetError(f"{len(inputs)} inputs have only {len(shapes)} input_shape: every input needs one")
    if not shapes and len(dims) < _DIMS * len(inputs):
        raise NetError(f"{len(inputs)} inputs have only {len(dims)} input_dim: every input needs {_DIMS}")
    wanted = [
        _resettled(shapes[i]) if shapes else Message.of(*(("dim", dim) for dim in dims[_DIMS * i : _DIMS * (i + 1)]))
        for i in range(len(inputs))
    ]
    layer = _input_layer(inputs, wanted)
    return _placed(root, layer), (Note("upgrade", "input", "input fields became an Input layer"),)


def _input_layer(inputs: tuple[Scalar, ...], shapes: list[Message]) -> Message:
    return Message.of(
        ("name", "input"),
        ("type", "Input"),
        *(("top", name) for name in inputs),
        ("input_param", Message.of(*(("shape", shape) for shape in shapes))),
    )


def _placed(root: Message, layer: Message) -> Message:
    """The layer where the inputs were, or before the first layer if that comes earlier."""
    old = ("input", "input_shape", "input_dim")
    place = next(field for field in root if field.name in ("layer", *old))
    if place.name != "layer":
        return root.map(
            lambda field: Field("layer", layer, field.lead) if field is place else None if field.name in old else field
        )
    rest = root.remove(*old)
    at = next(i for i, field in enumerate(rest) if field.name == "layer")
    return Message((*rest.fields[:at], Field("layer", layer), *rest.fields[at:]), rest.tail)


def _resettled(shape: Message) -> Message:
    """A shape without its spacing, which was for another depth; with comments, the lines are indented anew."""
    commented = any("#" in text for text in (*(field.lead or "" for field in shape), shape.tail or ""))

    def spaced(text: str | None, indentation: str) -> str | None:
        return re.sub(r"\n[ \t]*", f"\n{indentation}", text) if commented and text is not None else None

    fields = (Field(field.name, field.value, spaced(field.lead, " " * 6), field.text) for field in shape)
    return Message(fields, spaced(shape.tail, " " * 4))


# BatchNorm


def needs_batch_norm_upgrade(root: Message) -> bool:
    """Whether a BatchNorm layer has the three param entries that old versions asked for."""
    return any(_is_old_batch_norm(layer) for layer in root.messages("layer"))


def _is_old_batch_norm(layer: Message) -> bool:
    return layer.get("type") == "BatchNorm" and len(layer.messages("param")) == 3


def upgrade_batch_norm(root: Message) -> tuple[Message, tuple[Note, ...]]:
    """Learning rates and decays of BatchNorm's statistics set to zero."""
    frozen: list[str] = []

    def freeze(field: Field) -> Field:
        if field.name != "param" or not isinstance(field.value, Message):
            return field
        return replaced(field, field.value.set("lr_mult", 0).set("decay_mult", 0))

    def change(field: Field) -> Field:
        layer = field.value
        if field.name != "layer" or not isinstance(layer, Message) or not _is_old_batch_norm(layer):
            return field
        fixed = layer.map(freeze)
        if fixed != layer:
            frozen.append(layer.string("name"))
        return replaced(field, fixed)

    new = root.map(change)
    text = f"learning rates of BatchNorm's statistics set to 0 in {len(frozen)} layers"
    return new, (Note("upgrade", "", text, {"layers": frozen}),) if frozen else ()


# Solvers

_SOLVERS: Final = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}
"""In the order of the enum's numbers."""


def needs_solver_upgrade(root: Message) -> bool:
    """Whether the solver's type is given as an enum."""
    return bool(root.scalars("solver_type"))


def upgrade_solver(root: Message) -> tuple[Message, tuple[Note, ...]]:
    """The solver with its type as a string. NetError if it has both, or a type that does not exist."""
    value = root.get("solver_type")
    if value is None:
        return root, ()
    if "type" in root:
        raise NetError(f"the solver has both solver_type ({value}) and type ({root.get('type')}): keep one")
    names = list(_SOLVERS)
    name = names[value] if isinstance(value, int) and 0 <= value < len(names) else str(value)
    if name not in _SOLVERS:
        raise NetError(f"unknown solver_type {value}, not one of {', '.join(names)}")
    last = [field for field in root if field.name == "solver_type"][-1]
    new = root.map(
        lambda field: (
            field
            if field.name != "solver_type"
            else renamed(replaced(field, _SOLVERS[name]), "type")
            if field is last
            else None
        )
    )
    return new, (Note("upgrade", "", f'solver_type {value} became type "{_SOLVERS[name]}"'),)


# In Caffe's order
_STEPS: Final[tuple[_Step, ...]] = (
    (needs_v0_upgrade, upgrade_v0),
    (needs_data_upgrade, upgrade_data),
    (needs_v1_upgrade, upgrade_v1),
    (needs_input_upgrade, upgrade_input),
    (needs_batch_norm_upgrade, upgrade_batch_norm),
)
