"""What a transform is: a frozen dataclass whose fields are its options, and whose call turns a `Net` into another.

``Factorize(layer="fc6", rank=1024)(net)``. A list of transforms is a recipe (`demitasse.transforms.recipe`).
What only whoever runs a transform can give it (what blobs look like on pictures, a number of threads) are fields with
the metadata `SUPPLIED`: recipes do not have them, and `supply` fills them in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from demitasse.net import Net, Note

__all__ = [
    "EXACT",
    "SUPPLIED",
    "Activations",
    "Transform",
    "altered",
    "done",
    "is_altered",
    "is_kept",
    "kept",
    "supply",
]

EXACT: Final = 1e-4
"""Relative error of outputs that rounding explains where a transform changes nothing else."""

SUPPLIED: Final = MappingProxyType({"supplied": True})
"""Metadata of a field that no recipe holds."""

Activations = Callable[[Net, Sequence[str]], Iterator[Mapping[str, npt.NDArray[np.float32]]]]
"""Given a network and names of blobs: the values of these blobs, one mapping for each picture (or batch of them)."""


class Transform(Protocol):
    """A callable from network to network.

    Never changes what it is given, and leaves the names of the network's input and output blobs as they are.
    Says what it did, and what it did not do and why, in notes added to ``Net.report`` (`done`, `kept`).
    OptionError for an option that makes no sense, also for this network; NetError for what it cannot work on.

    One that takes networks which cannot be run as they are has a method ``reference(net)``, too: the network to compare
    the result with instead, or ``net`` itself.
    """

    tolerance: ClassVar[float | None]
    """Largest relative error of the outputs that rounding explains (`EXACT` for an exact transform); None if the
    transform changes what the network computes by choice. What an option allows beyond it is told by `altered`."""

    def __call__(self, net: Net) -> Net:
        """The network, transformed."""
        ...


def done(step: str, layer: str, text: str, **data: Any) -> Note:
    """A note on something that was done; ``layer`` is "" for a summary of the whole step."""
    return Note(step, layer, text, data)


def altered(step: str, layer: str, text: str, **data: Any) -> Note:
    """A note on something that an option allowed, and that no rounding explains: outputs may be as far off as they
    are."""
    return Note(step, layer, text, {"altered": True, **data})


def is_altered(note: Note) -> bool:
    """Whether a note says that what the network computes was changed."""
    return bool(note.data.get("altered"))


def kept(step: str, layer: str, why: str, **data: Any) -> Note:
    """A note on something that was not done to a layer, and the reason."""
    return Note(step, layer, why, {"kept": True, **data})


def is_kept(note: Note) -> bool:
    """Whether a note says that something was not done."""
    return bool(note.data.get("kept"))


T = TypeVar("T", bound=Transform)


def supply(transform: T, **values: Any) -> T:
    """The transform with its fields of the metadata `SUPPLIED` set to those of ``values`` that have their names.

    What is None is left as it is, and so is what the transform has no such field for."""
    if not is_dataclass(transform):
        return transform
    wanted = [one.name for one in fields(transform) if one.metadata.get("supplied")]
    found = {name: values[name] for name in wanted if values.get(name) is not None}
    return replace(transform, **found) if found else transform
