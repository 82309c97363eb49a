"""V1 networks (``layers`` with enum types) to V2 (``layer`` with string types), as Caffe's UpgradeV1Net does.

Edits in place: a file keeps its order, spacing and comments. Fields that upstream does not know, and types that only
forks have, are carried along, so that a fork's model can still be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from demitasse.errors import NetError
from demitasse.message import Field, Message, Scalar, Word, renamed, replaced
from demitasse.net import Note

__all__ = ["needs_data_upgrade", "needs_v1_upgrade", "upgrade_data", "upgrade_v1"]

_TYPES: Final[Mapping[str, tuple[int, str]]] = {
    "NONE": (0, ""),
    "ACCURACY": (1, "Accuracy"),
    "BNLL": (2, "BNLL"),
    "CONCAT": (3, "Concat"),
    "CONVOLUTION": (4, "Convolution"),
    "DATA": (5, "Data"),
    "DROPOUT": (6, "Dropout"),
    "EUCLIDEAN_LOSS": (7, "EuclideanLoss"),
    "FLATTEN": (8, "Flatten"),
    "HDF5_DATA": (9, "HDF5Data"),
    "HDF5_OUTPUT": (10, "HDF5Output"),
    "IM2COL": (11, "Im2col"),
    "IMAGE_DATA": (12, "ImageData"),
    "INFOGAIN_LOSS": (13, "InfogainLoss"),
    "INNER_PRODUCT": (14, "InnerProduct"),
    "LRN": (15, "LRN"),
    "MULTINOMIAL_LOGISTIC_LOSS": (16, "MultinomialLogisticLoss"),
    "POOLING": (17, "Pooling"),
    "RELU": (18, "ReLU"),
    "SIGMOID": (19, "Sigmoid"),
    "SOFTMAX": (20, "Softmax"),
    "SOFTMAX_LOSS": (21, "SoftmaxWithLoss"),
    "SPLIT": (22, "Split"),
    "TANH": (23, "TanH"),
    "WINDOW_DATA": (24, "WindowData"),
    "ELTWISE": (25, "Eltwise"),
    "POWER": (26, "Power"),
    "SIGMOID_CROSS_ENTROPY_LOSS": (27, "SigmoidCrossEntropyLoss"),
    "HINGE_LOSS": (28, "HingeLoss"),
    "MEMORY_DATA": (29, "MemoryData"),
    "ARGMAX": (30, "ArgMax"),
    "THRESHOLD": (31, "Threshold"),
    "DUMMY_DATA": (32, "DummyData"),
    "SLICE": (33, "Slice"),
    "MVN": (34, "MVN"),
    "ABSVAL": (35, "AbsVal"),
    "SILENCE": (36, "Silence"),
    "CONTRASTIVE_LOSS": (37, "ContrastiveLoss"),
    "EXP": (38, "Exp"),
    "DECONVOLUTION": (39, "Deconvolution"),
}
_BY_NUMBER: Final[Mapping[int, str]] = {number: name for name, (number, _) in _TYPES.items()}
_SPELLED: Final = {
    word.upper(): word
    for word in (
        "BN",
        "CRF",
        "HDF5",
        "L1",
        "L2",
        "LRN",
        "LSTM",
        "MVN",
        "PReLU",
        "RNN",
        "ROI",
        "ReLU",
        "ReLU6",
        "SPP",
        "TanH",
    )
}
"""Words that fork's type names do not write in title case."""

_TRANSFORMED: Final = {"DATA": "data_param", "IMAGE_DATA": "image_data_param", "WINDOW_DATA": "window_data_param"}
_TRANSFORMATIONS: Final = ("scale", "mean_file", "crop_size", "mirror")
_SPECS: Final = {"param": "name", "blob_share_mode": "share_mode", "blobs_lr": "lr_mult", "weight_decay": "decay_mult"}
_SHARE_MODES: Final = ("STRICT", "PERMISSIVE")


def needs_v1_upgrade(root: Message) -> bool:
    """Whether there are ``layers``."""
    return "layers" in root


def needs_data_upgrade(root: Message) -> bool:
    """Whether a V1 data layer says in its own parameters how data are transformed."""
    return any(
        any(name in layer.message(param) for name in _TRANSFORMATIONS)
        for layer in root.messages("layers")
        if (param := _TRANSFORMED.get(_enum_name(layer))) is not None
    )


def upgrade_data(root: Message) -> tuple[Message, tuple[Note, ...]]:
    """Transformations moved to ``transform_param``; like Caffe, every data layer gets both messages, if need be
    empty ones."""

    def change(field: Field) -> Field:
        if field.name != "layers" or not isinstance(field.value, Message):
            return field
        layer, param = field.value, _TRANSFORMED.get(_enum_name(field.value))
        if param is None:
            return field
        old, transform = layer.message(param), layer.message("transform_param")
        for name in _TRANSFORMATIONS:
            if name in old:
                transform = transform.set(name, old.get(name, 0))
        layer = layer.set(param, old.remove(*_TRANSFORMATIONS)).set("transform_param", transform)
        return replaced(field, layer)

    return root.map(change), (Note("upgrade", "", "data transformations moved to transform_param"),)


def upgrade_v1(root: Message) -> tuple[Message, tuple[Note, ...]]:
    """The V2 network. NetError if it holds both ``layer`` and ``layers``, or an unknown share mode."""
    if "layer" in root:
        raise NetError(
            "the network has both 'layer' and 'layers' fields: Caffe refuses to upgrade it; write all of it as 'layer'"
        )
    notes: list[Note] = []

    def change(field: Field) -> Field:
        if field.name != "layers":
            return field
        if isinstance(field.value, Message):
            field = replaced(field, _upgraded_layer(field.value, notes))
        return renamed(field, "layer")

    count = len(root.messages("layers"))
    new = root.map(change)
    return new, (Note("upgrade", "", f"{count} layers from V1 ('layers') to V2 ('layer')"), *notes)


def _enum_name(layer: Message) -> str:
    """The V1 type's name, also of a number; "" for a number that upstream does not have."""
    value = layer.get("type", Word("NONE"))
    return str(value) if isinstance(value, str) else _BY_NUMBER.get(value, "") if isinstance(value, int) else ""


def _upgraded_layer(layer: Message, notes: list[Note]) -> Message:
    """UpgradeV1LayerParameter."""
    name = layer.string("name")
    specs = _param_specs(layer, name)
    taken = 0

    def change(field: Field) -> Field | None:
        nonlocal taken
        if field.name == "layer":
            notes.append(Note("upgrade", name, "a V0 'layer' in a V1 layer: dropped, as Caffe does", {"problem": True}))
            return None
        if field.name == "type":
            kind = _string_type(_enum_name(layer), layer.get("type"), name, notes)
            return None if kind is None else replaced(field, kind)
        if field.name not in _SPECS:
            return field
        # One spec for each old field while they last: there are at least as many of these
        taken += 1
        return Field("param", specs[taken - 1], field.lead) if taken <= len(specs) else None

    upgraded = layer.map(change)
    missing = specs[taken:]
    if not missing:
        return upgraded
    # Lists ([1, 2]) give several specs a field
    return upgraded.set_all("param", specs)


def _param_specs(layer: Message, name: str) -> list[Message]:
    """What is said of blob 0, 1, … in four parallel repeated fields, as one message a blob."""
    said: list[list[tuple[str, Scalar]]] = []
    for old, new in _SPECS.items():
        for i, value in enumerate(layer.scalars(old)):
            if i == len(said):
                said.append([])
            said[i].append((new, _share_mode(value, name) if old == "blob_share_mode" else value))
    return [Message.of(*pairs) for pairs in said]


def _share_mode(value: Scalar, layer: str) -> Word:
    if isinstance(value, int) and 0 <= value < len(_SHARE_MODES):
        return Word(_SHARE_MODES[value])
    if str(value) not in _SHARE_MODES:
        raise NetError(f'layer "{layer}": unknown blob_share_mode {value}, not one of {", ".join(_SHARE_MODES)}')
    return Word(value)


def _string_type(enum: str, written: Scalar | None, layer: str, notes: list[Note]) -> str | None:
    """The V2 type. An enum's name that only a fork has is respelled, a number that only a fork has is dropped: it
    means different layers in different forks."""
    if isinstance(written, str) and not isinstance(written, Word):
        raise NetError(f'layer "{layer}": in \'layers\' a type is a bare word like CONVOLUTION, and is "{written}"')
    if enum in _TYPES:
        return _TYPES[enum][1]
    if not enum:
        notes.append(Note("upgrade", layer, f"type {written} is not upstream's: the layer has no type now"))
        return None
    kind = "".join(_SPELLED.get(word, word.capitalize()) for word in enum.split("_"))
    notes.append(Note("upgrade", layer, f'type {enum} is not upstream\'s: taken for "{kind}"'))
    return kind
