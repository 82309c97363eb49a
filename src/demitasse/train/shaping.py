"""What makes a network smaller while it trains: an interface between the solver and whatever wants zeros or few values.

A `Shaping` is a frozen dataclass of options, as a transform is; `attach` makes what works on one solver's weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy.typing as npt
import torch

from demitasse.errors import OptionError
from demitasse.net import Net

if TYPE_CHECKING:
    from demitasse.train.solver import Solver
    from demitasse.train.updates import Parameter

__all__ = ["Attached", "Shaping", "State", "by_layer", "check_each", "matrices"]

Value = TypeVar("Value", int, float)

State = Mapping[str, npt.NDArray[Any]]
"""What has to be saved with a snapshot, by name."""


class Attached:
    """At work on one solver. Every method may be left as it is."""

    @property
    def blobs(self) -> tuple[str, ...]:
        """What `loss` has to see of the network beside its losses. Who names any has something to train for."""
        return ()

    @property
    def coded(self) -> tuple[str, ...]:
        """The blobs of weights, by parameter's name, that get few values, which `net` gives in coded form."""
        return ()

    def before_pass(self) -> None:
        """Before the batches of an iteration."""

    def loss(self, outputs: Mapping[str, torch.Tensor], inputs: Mapping[str, Any]) -> torch.Tensor | None:
        """Something to add to the loss of a pass, given the blobs that were computed and what was fed."""
        return None

    def before_update(self) -> None:
        """With the gradients of all passes summed in ``.grad``, before the weights change."""

    def after_update(self, rate: float) -> None:
        """After the weights have changed, at that learning rate."""

    def net(self, net: Net) -> Net:
        """The network to be saved: with zeros and levels as they are meant."""
        return net

    def state(self) -> State:
        """What a continued run needs beside the weights and the solver's history."""
        return {}

    def restore(self, state: State) -> None:
        """Continue from what `state` gave."""


class Shaping(Protocol):
    """Options. OptionError, when attached, for layers that there are not."""

    def attach(self, solver: Solver) -> Attached:
        """At work on this solver's weights."""
        ...


def matrices(solver: Solver, patterns: Sequence[str] = ()) -> list[Parameter]:
    """The learned weights of more than one axis, of the layers whose names match a pattern (``conv*``); all of them
    without any. OptionError for a pattern that matches none."""
    every = [p for p in solver.learned if p.values.dim() > 1 and p.lr_mult]
    for pattern in patterns:
        if not any(matches(parameter, (pattern,)) for parameter in every):
            names = ", ".join(parameter.layer for parameter in every)
            raise OptionError(f'no layer with weights is called "{pattern}"; there are {names}')
    return [parameter for parameter in every if not patterns or matches(parameter, patterns)]


def matches(parameter: Parameter, patterns: Sequence[str]) -> bool:
    """Whether a parameter's layer has one of these names."""
    return any(fnmatchcase(parameter.layer, pattern) for pattern in patterns)


def by_layer(
    solver: Solver, values: Value | Mapping[str, Value], patterns: Sequence[str] = ()
) -> list[tuple[Parameter, Value]]:
    """Blobs of weights, each with its value: one for all that match ``patterns``, or one for each name or pattern, of
    which the last that matches counts. OptionError for a pattern that matches none."""
    if not isinstance(values, Mapping):
        return [(parameter, values) for parameter in matrices(solver, patterns)]
    if patterns:
        raise OptionError("values are given for each layer by name already: leave layers out")
    found = matrices(solver, tuple(values))
    of = {p.name: value for pattern, value in values.items() for p in found if matches(p, (pattern,))}
    return [(parameter, of[parameter.name]) for parameter in found]


def check_each(
    what: str, name: str, values: Value | Mapping[str, Value], right: Callable[[Value], bool], wanted: str
) -> None:
    """OptionError if an option, or its value for some layer, is not what is ``wanted``."""
    for layer, value in (values if isinstance(values, Mapping) else {"": values}).items():
        if not right(value):
            raise OptionError(f"{what}: {name} is {value:g}{f' for {layer}' if layer else ''}; it must be {wanted}")
