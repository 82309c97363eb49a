"""Low rank: one layer as two or three thin ones that together are smaller.

The rank is a number, or follows from the energy to keep, from a budget for the whole network, or from break-even, which
it never exceeds: a layer that would not become smaller stays, and the report says so. With activations the outputs of a
layer are kept as well as possible rather than its weights, which is better at the same rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from demitasse.caffe.write import buffers
from demitasse.errors import NetError, OptionError
from demitasse.layers import UNKNOWN, MaybeShape, build, infer
from demitasse.net import Layer, Net, Note
from demitasse.transforms.consistency import consistent
from demitasse.transforms.lowrank.method import Method
from demitasse.transforms.lowrank.methods import MethodName, methods_for
from demitasse.transforms.lowrank.ranks import Choice, Measure, by_budget, by_energy
from demitasse.transforms.lowrank.statistics import Seen, observe
from demitasse.transforms.transform import SUPPLIED, Activations, done, kept
from demitasse.transforms.weighted import WEIGHTED, Weighted, shared_names, weighted
from demitasse.transforms.wiring import Wiring, fresh

__all__ = ["Factorize"]

Candidates = dict[int, list[Method]]
Values = npt.NDArray[Any]

CLEARLY: Final = 0.9
"""Share of the error of all methods together that one alone has to get below: less may be chance."""


@dataclass(frozen=True, slots=True)
class Factorize:
    """The transform.

    ``layer``: one or more names; all InnerProduct and Convolution layers by default. Exactly one of

    - ``rank``: a number, one for each layer by name, or "break-even": the largest that makes the layer smaller;
    - ``energy``: share of the energy (of outputs, where there are activations, else of weights) to keep, 0 to 1;
    - ``macs``, ``params``: share of the whole network's to be left, 0 to 1, ranks chosen such that least is lost.

    ``method``: for convolutions, see `demitasse.transforms.lowrank.methods`; "auto" takes what costs least, with a
    number for a rank ``channel``; with a budget and activations it is tried beside the others, and what is least off
    is taken. OptionError for layers that are named and cannot be factorized, and for budgets that
    cannot be met.
    """

    tolerance: ClassVar[float | None] = None

    layer: str | tuple[str, ...] = ()
    rank: int | Literal["break-even"] | Mapping[str, int] | None = None
    energy: float | None = None
    macs: float | None = None
    params: float | None = None
    method: MethodName = "auto"
    activations: Activations | None = field(default=None, repr=False, compare=False, kw_only=True, metadata=SUPPLIED)

    def __post_init__(self) -> None:
        criteria = ("rank", "energy", "macs", "params")
        given = [name for name in criteria if getattr(self, name) is not None]
        if len(given) != 1:
            raise OptionError(f"give one of {', '.join(criteria)}" + (f", not {' and '.join(given)}" if given else ""))
        numbers = self.rank.values() if isinstance(self.rank, Mapping) else [self.rank]
        if any(isinstance(number, int) and number < 1 for number in numbers):
            raise OptionError("a rank is at least 1")
        for name in ("energy", "macs", "params"):
            if (share := getattr(self, name)) is not None and not 0 < share <= 1:
                raise OptionError(f"{name} is a share between 0 and 1, and is {share:g}")
        if isinstance(self.rank, Mapping) and self.layer:
            raise OptionError("ranks by name say which layers are meant: leave layer out")

    @property
    def names(self) -> tuple[str, ...]:
        """Layers that are meant by name; none: all."""
        if isinstance(self.rank, Mapping):
            return tuple(self.rank)
        return (self.layer,) if isinstance(self.layer, str) else tuple(self.layer)

    def __call__(self, net: Net) -> Net:
        """The network with thin layers in place of thick ones."""
        notes: list[Note] = []
        targets = self.targets(net, Wiring.of(net), notes)
        seen = observe(net, targets, self.activations) if self.activations is not None else {}
        if self.activations is None or self.method != "auto" or (self.macs is None and self.params is None):
            return self.applied(net, targets, seen, notes)
        return self.best(net, targets, seen, notes, self.activations)

    def best(
        self,
        net: Net,
        targets: Mapping[int, Weighted],
        seen: Mapping[int, Seen],
        notes: Sequence[Note],
        activations: Activations,
    ) -> Net:
        """A budget spent in several ways, and the one of least error on every other picture, which it has not seen:
        what layers lose each for itself does not tell what the network loses. OptionError if none meets the budget."""
        found: dict[MethodName, float] = {}
        error: OptionError | None = None
        names = deciding(net)
        before = list(activations(net, names))
        learned, judged = (slice(0, None, 2), slice(1, None, 2)) if len(before) > 1 else (slice(None), slice(None))
        taught = observe(net, targets, some(activations, learned))
        methods: tuple[MethodName, ...] = get_args(MethodName)
        for method in methods:
            try:
                one = replace(self, method=method).applied(net, targets, taught, notes)
            except OptionError as refused:
                error = error or refused
                continue
            found[method] = apart(before[judged], some(activations, judged)(one, names))
        if not found:
            raise error or OptionError("no method can be applied")
        method = min(found, key=lambda name: found[name] * (CLEARLY if name == "auto" else 1.0))
        tried = ", ".join(f"{name} {100 * value:.3g} %" for name, value in found.items())
        result = replace(self, method=method).applied(net, targets, seen, notes)
        return result.noting(done("factorize", "", f"method {method}, by the error on pictures held out: {tried}"))

    def applied(
        self, net: Net, targets: Mapping[int, Weighted], seen: Mapping[int, Seen], before: Sequence[Note]
    ) -> Net:
        """By the method that is given."""
        wiring, notes = Wiring.of(net), list(before)
        candidates = self.candidates(targets, seen, notes)
        chosen = self.chosen(net, candidates)
        applied = 0
        for key, choice in chosen.items():
            name = wiring.layers[key].name
            if choice.rank > choice.method.break_even:
                notes.append(kept("factorize", name, above(choice), rank=choice.rank))
                continue
            thin = thin_layers(wiring, key, choice)
            old, new = stored(wiring.layers[key]), sum(map(stored, thin))
            if new >= old:
                why = f"rank {choice.rank} has fewer weights, and takes more to describe: {old} → {new} bytes"
                notes.append(kept("factorize", name, why, rank=choice.rank))
                continue
            notes.append(done("factorize", name, said(choice), rank=choice.rank, method=choice.method.name))
            put(wiring, key, thin)
            applied += 1
        for key in candidates.keys() - chosen.keys():
            notes.append(kept("factorize", wiring.layers[key].name, "it is worth what it costs: the budget keeps it"))
        how = "by what their outputs are on pictures" if seen else "by their weights alone"
        text = f"{applied} of {len(candidates)} layers, {how}" if applied else "no layer would become smaller"
        return consistent(wiring.net(done("factorize", "", text, layers=applied), *notes))

    def targets(self, net: Net, wiring: Wiring, notes: list[Note]) -> dict[int, Weighted]:
        """The layers that are meant, in their places."""
        shapes = shapes_of(net)
        shared = shared_names(net.layers)
        names = self.names
        present = {layer.name: layer for layer in wiring.layers.values()}
        for name in names:
            if name not in present:
                raise OptionError(f'the network has no layer "{name}"')
        found: dict[int, Weighted] = {}
        for key, layer in wiring.layers.items():
            if layer.name not in names if names else layer.type not in WEIGHTED:
                continue
            source = wiring.sources[key]
            target = weighted(layer, shapes.get(wiring.names[source[0]])) if source else "it has no inputs"
            if any(spec.string("name") in shared for spec in layer.message.messages("param")):
                target = "its weights are shared with other layers"
            if isinstance(target, Weighted):
                found[key] = target
            elif names:
                raise OptionError(f"{layer} cannot be factorized: {target}")
            else:
                notes.append(kept("factorize", layer.name, target))
        return found

    def candidates(self, targets: Mapping[int, Weighted], seen: Mapping[int, Seen], notes: list[Note]) -> Candidates:
        """The ways to factorize each of them."""
        found: Candidates = {}
        for key, target in targets.items():
            methods = methods_for(target, self.method, seen.get(key))
            if not isinstance(methods, str):
                found[key] = methods
            elif self.names:
                raise OptionError(f"{target.layer} cannot be factorized: {methods}")
            else:
                notes.append(kept("factorize", target.layer.name, methods))
        return found

    def chosen(self, net: Net, candidates: Candidates) -> dict[int, Choice]:
        """What is to become of them; layers that are not among the keys stay."""
        if self.energy is not None:
            return {key: by_energy(methods, self.energy) for key, methods in candidates.items()}
        if self.rank == "break-even":
            return {key: largest(methods) for key, methods in candidates.items()}
        if isinstance(self.rank, Mapping):
            ranks = self.rank
            return {key: Choice(ways[0], ranks[ways[0].target.layer.name]) for key, ways in candidates.items()}
        if isinstance(self.rank, int):
            return {key: Choice(methods[0], self.rank) for key, methods in candidates.items()}
        measure: Measure = "macs" if self.macs is not None else "params"
        share = self.macs if self.macs is not None else self.params
        return by_budget(candidates, measure, budget(net, candidates, measure, share or 0.0))


def some(activations: Activations, which: slice) -> Activations:
    """Those on some of the pictures."""
    return lambda net, wanted: islice(activations(net, wanted), which.start, which.stop, which.step)


def deciding(net: Net) -> list[str]:
    """Blobs that the network decides by: its outputs; of boxes and probabilities, what they are made from. Of classes
    also the features that tell them: a few numbers on a few pictures would leave the choice to chance."""
    graph = build(net)
    makers = {name: layer for layer in graph.layers for name in layer.outputs}
    found: list[str] = []
    for name in graph.outputs:
        layer = makers[name]
        through = layer.type in ("DetectionOutput", "Softmax", "Sigmoid") and name not in layer.inputs
        found += layer.inputs[:2] if through else [name]
    features = [makers[name].inputs[0] for name in found if makers[name].type == "InnerProduct"]
    return list(dict.fromkeys([*found, *(name for name in features if name not in graph.inputs)]))


def apart(before: Sequence[Mapping[str, Values]], after: Iterable[Mapping[str, Values]]) -> float:
    """Length of the difference over length of what was, over all pictures; the mean over blobs."""
    noise: dict[str, float] = {}
    signal: dict[str, float] = {}
    for old, new in zip(before, after, strict=True):
        for name, values in old.items():
            noise[name] = noise.get(name, 0.0) + float(np.square(values - new[name], dtype=np.float64).sum())
            signal[name] = signal.get(name, 0.0) + float(np.square(values, dtype=np.float64).sum())
    return float(np.mean([(noise[name] / max(signal[name], 1e-30)) ** 0.5 for name in noise]))


def shapes_of(net: Net) -> Mapping[str, MaybeShape]:
    """Shapes of blobs by name, as far as they are known."""
    try:
        return infer(build(net), strict=False).blobs
    except NetError:
        return {}


def largest(methods: Sequence[Method]) -> Choice:
    """The method that loses least at the largest rank that makes the layer smaller."""
    choices = [Choice(method, max(1, method.break_even)) for method in methods]
    return min(choices, key=lambda one: (one.method.break_even == 0, one.loss))


def budget(net: Net, candidates: Candidates, measure: Measure, share: float) -> int:
    """What is left for the layers to factorize if the whole network is to have that share of what it has."""
    if measure == "params":
        whole, own = net.parameters, sum(methods[0].weights for methods in candidates.values())
    else:
        total = infer(build(net), strict=False).total_macs
        if total is None or any(methods[0].target.placed.macs() is UNKNOWN for methods in candidates.values()):
            raise OptionError("the multiply-accumulates of the network are not known: give params, or ranks")
        whole, own = total, sum(methods[0].target.placed.macs() for methods in candidates.values())
    return int(share * whole) - (whole - own)


def above(choice: Choice) -> str:
    """Why a rank is not applied."""
    if not choice.method.break_even:
        return "it would not become smaller at any rank"
    return f"rank {choice.rank} would not make it smaller: break-even is {choice.method.break_even}"


def said(choice: Choice) -> str:
    """What becomes of a layer."""
    method, rank = choice.method, choice.rank
    energy = 100 * (1 - choice.loss)
    what = "of its outputs' variance" if method.seen is not None else "of its weights' energy"
    return f"{method.name}, rank {rank}: {method.weights} → {method.parameters(rank)} weights, {energy:.2f} % {what}"


def thin_layers(wiring: Wiring, key: int, choice: Choice) -> list[Layer]:
    """The new layers with names of their own. The last one gives what the old one gave."""
    old = wiring.layers[key]
    taken = {layer.name for layer in wiring.layers.values()} | {layer.name for layer in wiring.aside.values()}
    found: list[Layer] = []
    inputs = old.inputs
    *thin, last = choice.method.layers(choice.rank)
    for number, layer in enumerate(thin):
        name = fresh(layer.name, taken)
        taken.add(name)
        origin = old.origin if number == 0 else ()
        found.append(replace(layer, name=name, inputs=inputs, outputs=(name,), origin=origin))
        inputs = (name,)
    return [*found, replace(last, name=fresh(last.name, taken), inputs=inputs, outputs=old.outputs, origin=())]


def stored(layer: Layer) -> int:
    """Bytes of a layer in the prototxt and in the caffemodel together."""
    said = buffers(Net("", (layer.with_tensors(()),)))
    return sum(map(len, said)) + sum(tensor.nbytes for tensor in layer.tensors)


def put(wiring: Wiring, key: int, layers: Sequence[Layer]) -> None:
    """The new layers in place of the old one."""
    source = wiring.sources[key][0]
    *thin, last = layers
    for layer in thin:
        source = (wiring.add(layer, [source], before=key), 0)
    wiring.change(key, last)
    wiring.sources[key] = [source]
