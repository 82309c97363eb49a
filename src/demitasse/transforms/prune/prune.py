"""The transform."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from demitasse.errors import OptionError
from demitasse.layers.ties import Ties, tie
from demitasse.layers.units import Ids
from demitasse.net import Layer, Net, Note
from demitasse.transforms.prune.criteria import CRITERIA, Criterion, makers, scores
from demitasse.transforms.prune.pace import leaning
from demitasse.transforms.prune.reconstruction import (
    Repair,
    applied,
    constants,
    means_by_statistics,
    moments,
    repairs,
)
from demitasse.transforms.prune.selection import (
    Cost,
    Family,
    families,
    in_multiples,
    kept_units,
    macs,
    parameters,
    to_budget,
    to_share,
    worst_first,
)
from demitasse.transforms.removal import removed
from demitasse.transforms.transform import SUPPLIED, Activations, done, kept

__all__ = ["Prune"]

STEP = "prune"


@dataclass(frozen=True, slots=True)
class Prune:
    """Removes the channels that matter least. What they mattered is made up for as far as possible.

    How many: exactly one of ``keep`` (share of the channels), ``macs`` or ``params`` (share of the network's, to be
    left), and ``layers`` (share of the channels of each of these layers; no other layer loses any).
    ``layer``: only the channels that these layers make, and what is tied to them.

    ``criterion``: see `demitasse.transforms.prune.criteria`; ``ranking``: "global" ranks over all layers, "layer" takes
    the same share of each, "time" more of layers whose multiplications take longest (with ``macs``; see
    `demitasse.transforms.prune.pace`). ``round_to``: numbers of channels become multiples of that.
    ``allow_outputs``: layers or blobs whose channels may leave although they are outputs of the network. ``repair``:
    whether layers make up for what they no longer read, by least squares on pictures, or else by its mean.
    OptionError for targets that cannot be met, and layers that cannot lose channels.
    """

    keep: float | None = None
    macs: float | None = None
    params: float | None = None
    layers: Mapping[str, float] | None = None
    layer: str | tuple[str, ...] = ()
    criterion: Criterion = "l2"
    ranking: Literal["global", "layer", "time"] = "global"
    round_to: int = 1
    allow_outputs: tuple[str, ...] = ()
    repair: bool = True
    activations: Activations | None = field(default=None, repr=False, compare=False, kw_only=True, metadata=SUPPLIED)
    gradients: Activations | None = field(default=None, repr=False, compare=False, kw_only=True, metadata=SUPPLIED)
    generated: Activations | None = field(default=None, repr=False, compare=False, kw_only=True, metadata=SUPPLIED)

    tolerance: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        targets = ("keep", "macs", "params", "layers")
        given = [name for name in targets if getattr(self, name) is not None]
        if len(given) != 1:
            raise OptionError(f"give one of {', '.join(targets)}" + (f", not {' and '.join(given)}" if given else ""))
        for name in ("keep", "macs", "params"):
            if (share := getattr(self, name)) is not None and not 0 < share <= 1:
                raise OptionError(f"{name} is a share between 0 and 1, and is {share:g}")
        for name, share in (self.layers or {}).items():
            if not 0 < share <= 1:
                raise OptionError(f"{name}: the share of its channels is between 0 and 1, and is {share:g}")
        if self.layers is not None and self.layer:
            raise OptionError("shares by name say which layers are meant: leave layer out")
        if self.criterion not in CRITERIA:
            raise OptionError(f"criterion is {self.criterion!r}; it is one of {', '.join(CRITERIA)}")
        if self.ranking == "time" and self.macs is None:
            raise OptionError("the ranking time divides multiplications over layers: it goes with macs")
        if self.round_to < 1:
            raise OptionError(f"round_to is {self.round_to}; it is at least 1")

    @property
    def names(self) -> tuple[str, ...]:
        """Layers that are meant by name; none: all."""
        if self.layers is not None:
            return tuple(self.layers)
        return (self.layer,) if isinstance(self.layer, str) and self.layer else tuple(self.layer)

    def __call__(self, net: Net) -> Net:
        """The network with fewer channels."""
        named(net, self.allow_outputs)
        ties = tie(net, allow=self.allow_outputs)
        meant = self.meant(ties)
        found = families(ties, scores(ties, self.criterion, self.activations, self.gradients), meant)
        self.check(ties, found)
        leaving = self.leaving(ties, found)
        stays = kept_units(ties, leaving)
        if stays.all():
            held = in_multiples(found, self.round_to)
            return net.noting(done(STEP, "", "no channel leaves" + (held and f": {held}")), *protected(ties))
        mending, how = self.mending(ties, stays)
        edits = {position: constants(ties.by_position[position][0], one) for position, one in mending.items()}
        layers = applied(ties, stays, mending, removed(ties, stays, edits))
        return net.with_layers(layers, *report(ties, stays, self.criterion, how), *protected(ties))

    def meant(self, ties: Ties) -> frozenset[int] | None:
        """Positions of the layers that are named; ``None``: all. OptionError for names that cannot be meant."""
        if not self.names:
            return None
        named(ties.net, self.names)
        makes = {tied.layer.name: tied.position for tied, _ in makers(ties)}
        for name in self.names:
            if name not in makes:
                raise OptionError(weightless(ties, name))
        return frozenset(makes[name] for name in self.names)

    def check(self, ties: Ties, found: list[Family]) -> None:
        """OptionError for a named layer that cannot lose channels."""
        able = {position for family in found for position in family.layers}
        for tied, product in makers(ties):
            if tied.layer.name in self.names and tied.position not in able:
                raise OptionError(f"{tied.layer.name} ({tied.layer.type}) {held(ties, product.rows)}")

    def leaving(self, ties: Ties, found: list[Family]) -> list[Ids]:
        """The groups of channels that leave."""
        across = self.ranking == "global"
        if self.layers is not None:
            shares = {tied.position: self.layers.get(tied.layer.name) for tied, _ in makers(ties)}
            each = {
                family.layers: max(share for position in family.layers if (share := shares[position]) is not None)
                for family in found
            }
            return to_share(found, lambda family: each[family.layers], self.round_to)
        if self.keep is not None:
            if not across:
                keep = self.keep
                return to_share(found, lambda _: keep, self.round_to)
            total = sum(len(family.bundles) for family in found)
            return worst_first(found, round((1 - self.keep) * total), self.round_to)
        cost: Cost = macs(ties) if self.macs is not None else parameters(ties)
        wanted = self.macs if self.macs is not None else self.params
        lean = leaning(ties, found, cost) if self.ranking == "time" else None
        return to_budget(ties, found, cost, wanted or 1.0, self.round_to, across=across, lean=lean)

    def mending(self, ties: Ties, stays: npt.NDArray[np.bool_]) -> tuple[dict[int, Repair], str]:
        """How readers make up for what leaves, and by what."""
        if not self.repair:
            return {}, ""
        if self.activations is not None:
            return repairs(ties, stays, moments(ties, self.activations, stays), fit=True), "re-solved on pictures"
        known = means_by_statistics(ties)
        how = "biases corrected by BatchNorm's statistics"
        if self.generated is not None:
            known, how = moments(ties, self.generated, stays), "biases corrected on generated pictures"
        found = repairs(ties, stays, known, fit=False)
        return found, how if found else ""


def named(net: Net, names: tuple[str, ...]) -> None:
    """OptionError for a name that is no layer's and no blob's."""
    layers = [layer.name for layer in net.layers]
    blobs = {blob for layer in net.layers for blob in layer.outputs}
    for name in names:
        if name not in layers and name not in blobs:
            near = difflib.get_close_matches(name, layers, 1)
            hint = f". Did you mean {near[0]} ({net.layer(near[0]).type})?" if near else ""
            raise OptionError(f'there is no layer "{name}"{hint}')


def weightless(ties: Ties, name: str) -> str:
    """What to say of a layer that makes no channels: the one that makes those that it hands on."""
    tied = next((one for one in ties.placed if one.layer.name == name), None)
    if tied is None:
        return f"{name} is no layer of the network's"
    text = f"{name} ({tied.layer.type}) has no weights"
    units = next((one for one in (*tied.outputs, *tied.inputs) if one is not None), None)
    positions = np.unique(ties.makers[units.ids]) if units is not None else np.zeros(0, np.int64)
    sources = [one for one, _ in makers(ties) if one.position in positions]
    if not sources:
        return text
    source = sources[-1].layer
    rows = next(product.rows for one, product in makers(ties) if one.layer is source)
    output = ", an output of the network? Name it with --allow-outputs." if at_output(ties, rows) else "?"
    return f"{text}. Did you mean {source.name} ({source.type}){output}"


def at_output(ties: Ties, rows: Ids) -> bool:
    """Whether channels stay because they are outputs of the network."""
    groups = ties.groups[rows]
    return any(pin.kind == "output" and np.isin(groups, ties.groups[pin.ids]).any() for pin in ties.pins)


def held(ties: Ties, rows: Ids) -> str:
    """Why a layer cannot lose channels."""
    if at_output(ties, rows):
        return "is an output of the network: name it with --allow-outputs"
    groups = ties.groups[rows]
    pin = next((pin for pin in ties.pins if np.isin(groups, ties.groups[pin.ids]).any()), None)
    if pin is None:
        return "cannot lose channels by this criterion"
    layer = ties.net.layers[pin.layer]
    return f"keeps its channels: {layer.name} ({layer.type}) {pin.text}"


def report(ties: Ties, stays: npt.NDArray[np.bool_], criterion: str, how: str) -> list[Note]:
    """A summary, and a note for each layer that lost outputs."""
    notes: list[Note] = []
    before = after = 0
    for tied, product in makers(ties):
        rows = stays[product.rows]
        before, after = before + len(rows), after + int(rows.sum())
        if not rows.all():
            text = f"{len(rows)} → {int(rows.sum())} channels"
            notes.append(done(STEP, tied.layer.name, text, before=len(rows), after=int(rows.sum())))
    text = f"{before - after} of {before} channels, by {criterion}" + (f"; {how}" if how else "")
    return [done(STEP, "", text, channels_before=before, channels_after=after, criterion=criterion), *notes]


def protected(ties: Ties) -> list[Note]:
    """Layers that keep their channels whatever they are worth, and why."""
    notes: list[Note] = []
    for tied, product in makers(ties):
        if ties.pinned[product.rows].all():
            notes.append(kept(STEP, tied.layer.name, reason(ties, tied.layer, product.rows), kind="protected"))
    return notes


def reason(ties: Ties, layer: Layer, rows: Ids) -> str:
    """Why a layer is protected."""
    return "is an output of the network" if at_output(ties, rows) else held(ties, rows)
