"""What a transform did to a network's layers, as data and as rows: shapes before and after."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from demitasse.net import Layer, Net, Tensor
from demitasse.report.quantities import shape, size
from demitasse.report.table import Column

__all__ = ["LAYERS", "TENSORS", "Change", "changes", "layer_rows", "listed", "others", "reshaped", "tensor_rows"]

LAYERS = (
    Column("layer", least=12),
    Column("type", least=8),
    Column("before", least=10),
    Column("after", least=10),
    Column("bytes", "right"),
    Column("", "right"),
)

TENSORS = (Column("tensor", least=12), Column("before"), Column("after"), Column("bytes", "right"), Column("", "right"))

NAMES = 4
"""Layers that are named before it is said how many more there are."""


@dataclass(frozen=True, slots=True)
class Change:
    """One layer that has other tensors than before, is gone, or is new. ``None``: there is no such layer."""

    layer: str
    type: str
    before: tuple[Tensor, ...] | None
    after: tuple[Tensor, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON: shapes, and bytes as plain arrays."""
        return {
            "layer": self.layer,
            "type": self.type,
            "before": None if self.before is None else [list(tensor.shape) for tensor in self.before],
            "after": None if self.after is None else [list(tensor.shape) for tensor in self.after],
            "bytes_before": nbytes(self.before),
            "bytes_after": nbytes(self.after),
        }


def changes(before: Net, after: Net) -> list[Change]:
    """The layers whose weights differ in shape or type of number, that are gone, or that are new; the new network's
    order, what is gone where it was."""
    waiting: dict[str, deque[Layer]] = defaultdict(deque)
    for layer in after.layers:
        waiting[layer.name].append(layer)
    pairs: list[tuple[Layer | None, Layer | None]] = []
    matched: set[int] = set()
    for layer in before.layers:
        other = waiting[layer.name].popleft() if waiting[layer.name] else None
        pairs.append((layer, other))
        matched.add(id(other))
    order = {id(layer): i for i, layer in enumerate(after.layers)}
    for layer in after.layers:
        if id(layer) not in matched:
            behind = [i for i, (_, other) in enumerate(pairs) if other and order[id(other)] < order[id(layer)]]
            pairs.insert(behind[-1] + 1 if behind else 0, (None, layer))
    return [change for old, new in pairs if (change := changed(old, new)) is not None]


def changed(old: Layer | None, new: Layer | None) -> Change | None:
    """The change of one layer, if there is one."""
    one = new or old
    if one is None or (old and new and forms(old.tensors) == forms(new.tensors)):
        return None
    return Change(one.name, one.type, None if old is None else old.tensors, None if new is None else new.tensors)


def forms(tensors: Iterable[Tensor]) -> list[Any]:
    """What makes tensors of one form."""
    return [(tensor.shape, tensor.dtype) for tensor in tensors]


def nbytes(tensors: Sequence[Tensor] | None) -> int:
    """Bytes of tensors as plain arrays."""
    return sum(tensor.nbytes for tensor in tensors or ())


def reshaped(found: Sequence[Change]) -> list[Change]:
    """The changes of layers that have weights now."""
    return [one for one in found if one.after]


def others(found: Sequence[Change]) -> str:
    """Which layers are gone, and which are new without weights, in words; nothing if there are none."""
    gone = [one.layer for one in found if one.after is None]
    new = [one.layer for one in found if one.before is None and not one.after]
    return "; ".join(f"{len(names)} {what}: {listed(names)}" for what, names in (("gone", gone), ("new", new)) if names)


def listed(names: Sequence[str]) -> str:
    """A few names and how many more."""
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def layer_rows(found: Sequence[Change]) -> list[list[str]]:
    """Rows for `LAYERS`: every tensor of a layer in one cell."""
    return [
        [
            one.layer,
            one.type,
            shapes(one.before),
            shapes(one.after),
            size(nbytes(one.before)) if one.before else "–",
            left(one),
        ]
        for one in found
    ]


def left(one: Change) -> str:
    """What is left of a layer's bytes."""
    return "" if one.after is None else f"→ {size(nbytes(one.after))}"


def shapes(tensors: Sequence[Tensor] | None) -> str:
    """All shapes, or that there is no layer."""
    return "–" if tensors is None else ", ".join(shape(tensor.shape) for tensor in tensors) or "no weights"


def tensor_rows(found: Sequence[Change]) -> list[list[str]]:
    """Rows for `TENSORS`: every tensor for itself."""
    return [row for one in found for row in rows_of(one)]


def rows_of(one: Change) -> Iterator[list[str]]:
    """The tensors of one layer."""
    for i, (old, new) in enumerate(zip_longest(one.before or (), one.after or ())):
        form = [shape(tensor.shape) if tensor else "–" for tensor in (old, new)]
        yield [f"{one.layer}[{i}]", *form, size(old.nbytes) if old else "", f"→ {size(new.nbytes) if new else '0'}"]
