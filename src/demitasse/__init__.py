"""Trained Caffe networks, made physically smaller, and shown to compute the same thing.

    import demitasse as dm
    net = dm.load("deploy.prototxt", "face.caffemodel")
    dm.save(net, "face.demi")

Names are imported when they are first used, so that ``import demitasse`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demitasse.errors import (
        ContainerError,
        DemitasseError,
        FileError,
        MissingExtraError,
        NetError,
        OptionError,
        TextError,
        VerificationError,
        WeightsError,
        WireError,
    )
    from demitasse.evaluate.compare import compare
    from demitasse.evaluate.comparison import Comparison
    from demitasse.files import load, save
    from demitasse.message import Field, Message, Word
    from demitasse.net import Clustered, Dense, Layer, Levels, Net, Note, Tensor
    from demitasse.onnx.export import to_onnx
    from demitasse.onnx.writer import Exported
    from demitasse.runtime.opencv import to_opencv
    from demitasse.transforms.factorize import Factorize
    from demitasse.transforms.fold import Fold
    from demitasse.transforms.half import Half
    from demitasse.transforms.prune import Prune
    from demitasse.transforms.shrink import Shrink
    from demitasse.transforms.strip import Strip

__all__ = [
    "Clustered",
    "Comparison",
    "ContainerError",
    "DemitasseError",
    "Dense",
    "Exported",
    "Factorize",
    "Field",
    "FileError",
    "Fold",
    "Half",
    "Layer",
    "Levels",
    "Message",
    "MissingExtraError",
    "Net",
    "NetError",
    "Note",
    "OptionError",
    "Prune",
    "Shrink",
    "Strip",
    "Tensor",
    "TextError",
    "VerificationError",
    "WeightsError",
    "WireError",
    "Word",
    "compare",
    "load",
    "save",
    "to_onnx",
    "to_opencv",
]

_HOMES = {
    "demitasse.errors": (
        "ContainerError DemitasseError FileError MissingExtraError NetError OptionError TextError VerificationError "
        "WeightsError WireError"
    ),
    "demitasse.evaluate.compare": "compare",
    "demitasse.evaluate.comparison": "Comparison",
    "demitasse.files": "load save",
    "demitasse.message": "Field Message Word",
    "demitasse.net": "Clustered Dense Layer Levels Net Note Tensor",
    "demitasse.onnx.export": "to_onnx",
    "demitasse.onnx.writer": "Exported",
    "demitasse.runtime.opencv": "to_opencv",
    "demitasse.transforms.factorize": "Factorize",
    "demitasse.transforms.fold": "Fold",
    "demitasse.transforms.half": "Half",
    "demitasse.transforms.prune": "Prune",
    "demitasse.transforms.shrink": "Shrink",
    "demitasse.transforms.strip": "Strip",
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names.split():
            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'demitasse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
