"""V0 networks (Caffe of 2013, connections around a ``layer { }`` with all parameters in one place) to V1.

As Caffe's UpgradeV0Net does it, losses included: only the name, inputs, layers and force_backward stay of the
network, only bottoms, tops and known parameters of a layer, and layers of type ``padding`` move into the
convolution or pooling that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from demitasse.errors import NetError
from demitasse.message import Field, Message, Scalar, Word, renamed
from demitasse.net import Note

__all__ = ["needs_v0_upgrade", "upgrade_v0"]

_TYPES: Final[Mapping[str, str]] = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}

_CONV: Final = {"conv": "convolution_param"}
_POOL: Final = {"pool": "pooling_param"}
_WEIGHTED: Final = {**_CONV, "innerproduct": "inner_product_param"}
_SLIDING: Final = {**_CONV, **_POOL}
_DROPOUT: Final = {"dropout": "dropout_param"}
_LRN: Final = {"lrn": "lrn_param"}
_IMAGES: Final = {"images": "image_data_param"}
_WINDOW: Final = {"window_data": "window_data_param"}
_STORED: Final = {"data": "data_param", **_IMAGES}
_BATCHED: Final = {**_STORED, "hdf5_data": "hdf5_data_param", **_WINDOW}
_SOURCED: Final = {**_BATCHED, "infogain_loss": "infogain_loss_param"}
_ANY: Final = dict.fromkeys(_TYPES, "transform_param")

_PARAMETERS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "num_output": ("num_output", _WEIGHTED),
    "biasterm": ("bias_term", _WEIGHTED),
    "weight_filler": ("weight_filler", _WEIGHTED),
    "bias_filler": ("bias_filler", _WEIGHTED),
    "pad": ("pad", _SLIDING),
    "kernelsize": ("kernel_size", _SLIDING),
    "group": ("group", _CONV),
    "stride": ("stride", _SLIDING),
    "pool": ("pool", _POOL),
    "dropout_ratio": ("dropout_ratio", _DROPOUT),
    "local_size": ("local_size", _LRN),
    "alpha": ("alpha", _LRN),
    "beta": ("beta", _LRN),
    "k": ("k", _LRN),
    "source": ("source", _SOURCED),
    "scale": ("scale", _ANY),
    "meanfile": ("mean_file", _ANY),
    "batchsize": ("batch_size", _BATCHED),
    "cropsize": ("crop_size", _ANY),
    "mirror": ("mirror", _ANY),
    "rand_skip": ("rand_skip", _STORED),
    "shuffle_images": ("shuffle", _IMAGES),
    "new_height": ("new_height", _IMAGES),
    "new_width": ("new_width", _IMAGES),
    "concat_dim": ("concat_dim", {"concat": "concat_param"}),
    "det_fg_threshold": ("fg_threshold", _WINDOW),
    "det_bg_threshold": ("bg_threshold", _WINDOW),
    "det_fg_fraction": ("fg_fraction", _WINDOW),
    "det_context_pad": ("context_pad", _WINDOW),
    "det_crop_mode": ("crop_mode", _WINDOW),
}
"""V0 parameter -> its V1 name, and the message it belongs to by V0 type; in Caffe's order."""

_REPORTED: Final = {"shuffle_images": "shuffle"}
_KEPT_OF_NET: Final = ("name", "layers", "input", "input_dim", "force_backward")
_POOL_METHODS: Final = ("MAX", "AVE", "STOCHASTIC")


def needs_v0_upgrade(root: Message) -> bool:
    """Whether any layer holds a V0 ``layer { }``."""
    return any("layer" in layer for layer in root.messages("layers"))


def upgrade_v0(root: Message) -> tuple[Message, tuple[Note, ...]]:
    """The V1 network, and a note on every parameter that Caffe would report as unknown.

    NetError where Caffe aborts: unknown layer types, padding read by anything but one conv or pool."""
    padded = _without_padding(root)
    notes: list[Note] = []
    lost = sorted({field.name for field in padded if field.name not in _KEPT_OF_NET})
    if lost:
        notes.append(Note("upgrade", "", f"V0 networks have no {', '.join(lost)}: dropped, as Caffe does"))

    def change(field: Field) -> Field | None:
        if field.name not in _KEPT_OF_NET:
            return None
        if field.name != "layers" or not isinstance(field.value, Message):
            return field
        layer = _upgraded_layer(field.value, notes)
        return Field("layers", layer, field.lead, field.text)

    return padded.map(change), tuple(notes)


def _without_padding(root: Message) -> Message:
    """UpgradeV0PaddingLayers: the pad goes to the reader, which then reads what the padding layer read."""
    source: dict[str, Message | None] = dict.fromkeys(root.strings("input"))

    def change(field: Field) -> Field | None:
        connection = field.value
        if field.name != "layers" or not isinstance(connection, Message):
            return field
        inner = connection.message("layer")
        new = connection
        for i, blob in enumerate(connection.strings("bottom")):
            if blob not in source:
                raise NetError(f'layer "{inner.string("name")}" reads "{blob}", which nothing before it gives')
            padding = source[blob]
            if padding is not None and padding.message("layer").string("type") == "padding":
                new = _padded(new, i, padding)
        source.update(dict.fromkeys(connection.strings("top"), connection))
        return None if inner.string("type") == "padding" else Field("layers", new, field.lead, field.text)

    return root.map(change)


def _padded(connection: Message, bottom: int, padding: Message) -> Message:
    inner, outer = connection.message("layer"), padding.message("layer")
    where = f'layer "{inner.string("name")}" ({inner.string("type")}) reads the padding layer "{outer.string("name")}"'
    if inner.string("type") not in _SLIDING:
        raise NetError(f"{where}: only conv and pool can")
    if len(connection.strings("bottom")) != 1:
        raise NetError(f"{where} and other inputs: it can have only one")
    if len(padding.strings("bottom")) != 1 or len(padding.strings("top")) != 1:
        raise NetError(f"{where}, which must have one bottom and one top")
    bottoms = list(connection.scalars("bottom"))
    bottoms[bottom] = padding.strings("bottom")[0]
    return connection.set("layer", inner.set("pad", outer.get("pad", 0))).set_all("bottom", bottoms)


def _upgraded_layer(connection: Message, notes: list[Note]) -> Message:
    """UpgradeV0LayerParameter."""
    inner = connection.message("layer")
    kind, name = inner.string("type"), inner.string("name")
    margin = _margin(connection)
    fields: list[Field] = []
    if "name" in inner:
        fields.append(_outdented(_moved(inner, "name"), margin))
    if "type" in inner:
        if kind not in _TYPES:
            raise NetError(f'unknown layer name: layer "{name}" is of type "{kind}", which V0 does not have')
        fields.append(Field("type", Word(_TYPES[kind]), _outdented(_moved(inner, "type"), margin).lead))
    fields += [field for field in connection if field.name in ("bottom", "top")]
    for repeated in ("blobs", "blobs_lr", "weight_decay"):
        fields += [_outdented(field, margin) for field in inner if field.name == repeated]
    parameters: dict[str, dict[int, Field]] = {}
    written = {field.name: i for i, field in enumerate(inner)}

    def unknown(field: str) -> None:
        text = f"Unknown parameter {_REPORTED.get(field, field)} for layer type {kind}"
        notes.append(Note("upgrade", name, text, {"problem": True}))

    for old, (new, places) in _PARAMETERS.items():
        if old not in inner:
            continue
        # Transformations are taken from every layer, one without a type included
        place = "transform_param" if places is _ANY else places.get(kind)
        if place is None:
            unknown(old)
        elif old == "pool":
            method = _pool_method(inner.get(old, 0), name)
            parameters.setdefault(place, {})[written[old]] = Field(new, method, _moved(inner, old).lead)
        else:
            parameters.setdefault(place, {})[written[old]] = renamed(_moved(inner, old), new)
    # In the order in which they were written, so that comments stay where they belong
    for place, content in parameters.items():
        fields.append(Field(place, Message(content[i] for i in sorted(content))))
    if "hdf5_output_param" in inner:
        if kind == "hdf5_output":
            fields.append(_outdented(_moved(inner, "hdf5_output_param"), margin))
        else:
            unknown("hdf5_output_param")
    return Message(fields, connection.tail)


def _pool_method(value: Scalar, layer: str) -> Word:
    if isinstance(value, int) and 0 <= value < len(_POOL_METHODS):
        return Word(_POOL_METHODS[value])
    if str(value) not in _POOL_METHODS:
        raise NetError(f'layer "{layer}": unknown pool method {value}, not one of {", ".join(_POOL_METHODS)}')
    return Word(value)


def _moved(inner: Message, name: str) -> Field:
    """The one field of that name, as it will stand in another message: several are one, as protobuf has it.

    Its spacing fits a parameter, which was two levels deep and will be again."""
    found = [field for field in inner if field.name == name]
    if len(found) > 1 and isinstance(found[-1].value, Message):
        return Field(name, inner.message(name))
    if isinstance(found[-1].value, tuple):
        return Field(name, inner.get(name, 0))
    return found[-1]


def _margin(message: Message) -> str:
    """The line break and indentation before the fields of a message."""
    for field in message:
        if field.lead is not None and "\n" in field.lead:
            return field.lead[field.lead.rindex("\n") :]
    return "\n"


def _outdented(field: Field, margin: str) -> Field:
    """As it stands one level less deep: spacing is left to the printer, but for comments, whose lines begin anew."""
    if field.lead is None or "#" not in field.lead:
        return Field(field.name, field.value, None, field.text)
    return Field(field.name, field.value, re.sub(r"\n[ \t]*", lambda _: margin, field.lead), field.text)
