"""A prototxt and a caffemodel become a `Net`: layers in file order, weights matched by layer name as Caffe does.

The text is kept as the frame that the writer fills again. V0 and V1 texts are upgraded; the network's own inputs
(``input:``, ``input_dim:``, ``input_shape:``) become one Input layer, as Caffe builds it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from demitasse.caffe.decode import decode_net
from demitasse.caffe.fields import check_values, slips
from demitasse.caffe.match import with_weights
from demitasse.caffe.model import Caffemodel
from demitasse.caffe.text import parse
from demitasse.caffe.upgrade import needs_v0_upgrade, needs_v1_upgrade, upgrade_net
from demitasse.errors import FileError, NetError
from demitasse.message import Field, Message, replaced
from demitasse.net import Layer, Net, Note

__all__ = ["INPUT_FIELDS", "input_layer", "layer_of", "net_of", "parse_net", "read_binary", "read_net"]

INPUT_FIELDS: Final = ("input", "input_dim", "input_shape")


def read_net(
    prototxt: str | os.PathLike[str],
    caffemodel: str | os.PathLike[str] | None = None,
    *,
    missing: str = "error",
) -> Net:
    """The network of a prototxt, with the weights of a caffemodel if one is given.

    ``missing="keep"`` leaves layers that the caffemodel lacks without weights, where Caffe would keep its fillers'
    values; by default that is a WeightsError, as is every difference in number or shape. FileError, TextError and
    WireError for files that cannot be read or understood.
    """
    path = Path(prototxt)
    net = parse_net(read_text(path), str(path))
    files = [str(path.resolve())]
    if caffemodel is not None:
        files.append(str(Path(caffemodel).resolve()))
        net = with_weights(net, Caffemodel.open(caffemodel), missing=missing)
    return net.noting(Note("read", "", " + ".join(Path(file).name for file in files), {"files": files}))


def read_binary(caffemodel: str | os.PathLike[str]) -> Net:
    """The network that a caffemodel itself describes, in V2, with its weights: mostly the one that was trained.

    Fields that no known dialect explains have no name to stand under in a text, and are left out.
    """
    model = Caffemodel.open(caffemodel)
    root, notes = upgrade_net(decode_net(model))
    net = with_weights(net_of(nameable(root)), model, missing="keep")
    file = Path(caffemodel)
    return net.noting(*notes, Note("read", "", file.name, {"files": [str(file.resolve())]}))


def nameable(message: Message) -> Message:
    """The message without blobs, and without fields that are known by their number only."""

    def change(field: Field) -> Field | None:
        if field.name == "blobs" or field.name.isdigit():
            return None
        return replaced(field, nameable(field.value)) if isinstance(field.value, Message) else field

    return message.map(change)


def read_text(path: Path) -> bytes:
    """The bytes of a text file. FileError if there are none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FileError(f"{path}: cannot be read: {error}") from None
    if not data.strip():
        raise FileError(f"{path}: the file is empty")
    return data


def parse_net(text: bytes, name: str = "<text>") -> Net:
    """The network that a prototxt describes, without weights. ``name`` begins the messages of errors."""
    root = parse(text, name)
    check_values(root, text, name)
    notes = slips(root)
    try:
        if needs_v0_upgrade(root) or needs_v1_upgrade(root):
            root, upgraded = upgrade_net(root)
            notes += upgraded
        net = net_of(root)
    except NetError as error:
        raise NetError(f"{name}: {error}") from None
    if not net.layers:
        solver = "a solver" if "base_lr" in root or "max_iter" in root else "no network"
        raise FileError(f"{name}: there are no layers in it; it is {solver}")
    return net.noting(*notes)


def net_of(root: Message) -> Net:
    """The network in a V2 tree."""
    layers = [layer for layer in [input_layer(root)] if layer is not None]
    for i, field in enumerate(root.fields):
        if field.name == "layer":
            layers.append(
                layer_of(root.messages("layer")[0] if not isinstance(field.value, Message) else field.value, i)
            )
    return Net(root.string("name"), tuple(layers), root)


def layer_of(message: Message, position: int) -> Layer:
    """The layer that a ``layer { … }`` at that position of the root describes."""
    return Layer(
        name=message.string("name"),
        type=message.string("type"),
        inputs=message.strings("bottom"),
        outputs=message.strings("top"),
        message=message,
        origin=(position,),
    )


def input_layer(root: Message) -> Layer | None:
    """The Input layer that stands for the network's own inputs; None if it has none."""
    inputs = root.strings("input")
    if not inputs:
        return None
    shapes: list[Message] = list(root.messages("input_shape"))
    if not shapes:
        dims = root.integers("input_dim")
        shapes = [Message.of(*(("dim", dim) for dim in dims[i : i + 4])) for i in range(0, len(dims) - 3, 4)]
    if len(shapes) < len(inputs) and ("input_shape" in root or "input_dim" in root):
        raise NetError(f"{len(inputs)} inputs need as many input_shape fields, or 4 input_dim fields each")
    fields = [Field("name", "input"), Field("type", "Input"), *(Field("top", name) for name in inputs)]
    if shapes:
        fields.append(Field("input_param", Message(Field("shape", shape) for shape in shapes[: len(inputs)])))
    origin = tuple(i for i, field in enumerate(root.fields) if field.name in INPUT_FIELDS)
    return Layer("input", "Input", (), inputs, Message(fields), (), origin)
