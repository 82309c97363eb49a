"""How weights change, by Caffe's solvers: clipping, normalisation, weight decay, then the rule of the solver's type.

All tensors are handled in lists at once (torch's ``foreach`` operations): small networks are otherwise dominated by
the cost of starting operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch

from demitasse.errors import NetError
from demitasse.message import Message
from demitasse.train.settings import Settings

__all__ = ["RULES", "Parameter", "Updater", "history_sets"]

Tensors = list[torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A blob that is learned: ``LAYER/INDEX``, its values, by what its learning rate and weight decay are multiplied,
    and the ``param`` that says so."""

    name: str
    values: torch.Tensor
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    spec: Message = field(default_factory=Message)

    @property
    def layer(self) -> str:
        """The name of its layer."""
        return self.name.rpartition("/")[0]


def history_sets(kind: str) -> int:
    """How many tensors a solver of that type keeps for each parameter."""
    return 2 if kind in ("AdaDelta", "Adam") else 1


class Updater:
    """One solver's state over its parameters: ``history`` in the order of Caffe's solverstate."""

    def __init__(self, settings: Settings, parameters: Sequence[Parameter]) -> None:
        self.settings = settings
        self.parameters = tuple(parameters)
        self.values: Tensors = [p.values.detach() for p in parameters]
        self.history: Tensors = [torch.zeros_like(v) for _ in range(history_sets(settings.type)) for v in self.values]
        self.decays = [settings.weight_decay * p.decay_mult for p in parameters]
        # One fork lets each param choose.
        kinds = [p.spec.string("regularization_type", settings.regularization_type) for p in parameters]
        for parameter, kind, decay in zip(parameters, kinds, self.decays, strict=True):
            if decay and kind not in ("L1", "L2"):
                raise NetError(f'{parameter.name}: its regularization_type is "{kind}", not one of L1, L2')
        self.by_sign = [i for i, kind in enumerate(kinds) if kind == "L1" and self.decays[i]]
        self.by_value = [i for i, kind in enumerate(kinds) if kind != "L1" and self.decays[i]]

    @torch.no_grad()
    def __call__(self, gradients: Sequence[torch.Tensor | None], rate: float, iteration: int) -> None:
        """One update from gradients summed over ``iter_size`` passes; ``None``: zero. Gradients are overwritten."""
        given = [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, self.values, strict=True)]
        if not given:
            return
        self.clip(given)
        if self.settings.iter_size > 1:
            torch._foreach_mul_(given, 1.0 / self.settings.iter_size)
        self.decay(given)
        rates = [rate * p.lr_mult for p in self.parameters]
        changes = RULES[self.settings.type](self.settings, given, self.history, rates, iteration)
        torch._foreach_sub_(self.values, changes)

    def clip(self, gradients: Tensors) -> None:
        """Scales all gradients such that their common length is at most ``clip_gradients``."""
        limit = self.settings.clip_gradients
        if limit < 0:
            return
        length = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if length > limit:
            torch._foreach_mul_(gradients, limit / length)

    def decay(self, gradients: Tensors) -> None:
        """Adds the gradient of the weights' own cost."""
        for chosen, signs in ((self.by_value, False), (self.by_sign, True)):
            if not chosen:
                continue
            values = [self.values[i] for i in chosen]
            values = list(torch._foreach_sign(values)) if signs else values
            scaled = torch._foreach_mul(values, [self.decays[i] for i in chosen])
            torch._foreach_add_([gradients[i] for i in chosen], scaled)


def sgd(settings: Settings, gradients: Tensors, history: Tensors, rates: list[float], _: int) -> Tensors:
    """Momentum as Caffe has it: the rate is part of what is remembered."""
    torch._foreach_mul_(history, settings.momentum)
    torch._foreach_mul_(gradients, rates)
    torch._foreach_add_(history, gradients)
    return history


def nesterov(settings: Settings, gradients: Tensors, history: Tensors, rates: list[float], _: int) -> Tensors:
    """The step from where momentum will have led."""
    before = [values.clone() for values in history]
    after = list(torch._foreach_mul(sgd(settings, gradients, history, rates, 0), 1 + settings.momentum))
    torch._foreach_sub_(after, torch._foreach_mul(before, settings.momentum))
    return after


def adagrad(settings: Settings, gradients: Tensors, history: Tensors, rates: list[float], _: int) -> Tensors:
    """Divided by the length of all gradients so far."""
    torch._foreach_addcmul_(history, gradients, gradients)
    return divided(settings, gradients, history, rates)


def rmsprop(settings: Settings, gradients: Tensors, history: Tensors, rates: list[float], _: int) -> Tensors:
    """Divided by a moving average of the length of gradients."""
    torch._foreach_mul_(history, settings.rms_decay)
    torch._foreach_addcmul_(history, gradients, gradients, 1 - settings.rms_decay)
    return divided(settings, gradients, history, rates)


def divided(settings: Settings, gradients: Tensors, squares: Tensors, rates: list[float]) -> Tensors:
    """Gradients over the roots of their squares, at their rates."""
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, settings.delta)
    torch._foreach_div_(gradients, roots)
    torch._foreach_mul_(gradients, rates)
    return gradients


def adadelta(settings: Settings, gradients: Tensors, history: Tensors, rates: list[float], _: int) -> Tensors:
    """Scaled by the ratio of the average lengths of past changes and of gradients."""
    squares, changes = history[: len(gradients)], history[len(gradients) :]
    keep = settings.momentum
    torch._foreach_mul_(squares, keep)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - keep)
    ratio = torch._foreach_add(changes, settings.delta)
    torch._foreach_div_(ratio, torch._foreach_add(squares, settings.delta))
    torch._foreach_sqrt_(ratio)
    torch._foreach_mul_(gradients, ratio)
    torch._foreach_mul_(changes, keep)
    torch._foreach_addcmul_(changes, gradients, gradients, 1 - keep)
    torch._foreach_mul_(gradients, rates)
    return gradients


def adam(settings: Settings, gradients: Tensors, history: Tensors, rates: list[float], iteration: int) -> Tensors:
    """Kingma and Ba's, with the bias correction in the rate and ``delta`` beside the uncorrected root."""
    means, squares = history[: len(gradients)], history[len(gradients) :]
    first, second = settings.momentum, settings.momentum2
    torch._foreach_mul_(means, first)
    torch._foreach_add_(means, gradients, alpha=1 - first)
    torch._foreach_mul_(squares, second)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
    correction = (1 - second ** (iteration + 1)) ** 0.5 / (1 - first ** (iteration + 1))
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, settings.delta)
    changes = list(torch._foreach_div(means, roots))
    torch._foreach_mul_(changes, [rate * correction for rate in rates])
    return changes


Rule = Callable[[Settings, Tensors, Tensors, list[float], int], Tensors]

RULES: Final[dict[str, Rule]] = {
    "SGD": sgd,
    "Nesterov": nesterov,
    "AdaGrad": adagrad,
    "RMSProp": rmsprop,
    "AdaDelta": adadelta,
    "Adam": adam,
}
"""What is subtracted from the weights, by solver type: from gradients (which may be overwritten), the history (which is
renewed), the rate of each parameter and the iteration."""
