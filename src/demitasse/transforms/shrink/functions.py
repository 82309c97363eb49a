"""Functions of one number, as layers compute them element by element: a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from demitasse.message import Message

__all__ = ["FUNCTIONS", "Function"]

Constants = npt.NDArray[np.float64]

Function = Callable[[Constants, Message], Constants]
"""Of the values and the layer's parameters."""


def rectified(x: Constants, param: Message) -> Constants:
    """ReLU, perhaps leaky."""
    return np.where(x > 0, x, x * param.number("negative_slope", 0.0))


def exponential(x: Constants, param: Message) -> Constants:
    """Exp."""
    base = param.number("base", -1.0)
    exponent = param.number("scale", 1.0) * x + param.number("shift", 0.0)
    return np.asarray(np.exp(exponent) if base == -1 else np.power(base, exponent), np.float64)


def dropped(x: Constants, param: Message) -> Constants:
    """Dropout does nothing afterwards, unless (in some forks) it did not scale in training."""
    return x if param.flag("scale_train", True) else x * (1 - param.number("dropout_ratio", 0.5))


def logarithm(x: Constants, param: Message) -> Constants:
    """Log."""
    base = param.number("base", -1.0)
    found = np.log(param.number("scale", 1.0) * x + param.number("shift", 0.0))
    return np.asarray(found if base == -1 else found / np.log(base), np.float64)


def power(x: Constants, param: Message) -> Constants:
    """Power."""
    inner = param.number("scale", 1.0) * x + param.number("shift", 0.0)
    exponent = param.number("power", 1.0)
    return np.asarray(inner if exponent == 1 else np.power(inner, exponent), np.float64)


FUNCTIONS: dict[str, tuple[str, Function]] = {
    "AbsVal": ("abs_val_param", lambda x, _: np.abs(x)),
    "BNLL": ("", lambda x, _: np.logaddexp(0, x)),
    "Clip": ("clip_param", lambda x, p: np.clip(x, p.number("min"), p.number("max"))),
    "Dropout": ("dropout_param", dropped),
    "ELU": ("elu_param", lambda x, p: np.where(x > 0, x, p.number("alpha", 1.0) * np.expm1(x))),
    "Exp": ("exp_param", exponential),
    "Log": ("log_param", logarithm),
    "Power": ("power_param", power),
    "ReLU": ("relu_param", rectified),
    "ReLU6": ("", lambda x, _: np.clip(x, 0, 6)),
    "Sigmoid": ("", lambda x, _: 1 / (1 + np.exp(-x))),
    "Swish": ("swish_param", lambda x, p: x / (1 + np.exp(-p.number("beta", 1.0) * x))),
    "TanH": ("", lambda x, _: np.tanh(x)),
    "Threshold": ("threshold_param", lambda x, p: np.where(np.isnan(x), x, x > p.number("threshold"))),
}
"""By type: the name of the parameter message, and the function."""
