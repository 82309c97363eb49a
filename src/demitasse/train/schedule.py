"""The learning rate of each iteration, by Caffe's policies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from demitasse.train.settings import Settings

__all__ = ["LearningRate"]


@dataclass(slots=True)
class LearningRate:
    """Gives the rate of one iteration after the other. ``step`` is what Caffe saves as ``current_step``."""

    settings: Settings
    step: int = 0

    def __call__(self, iteration: int) -> float:
        """The rate, as float32. Asked once for each iteration: "multistep" moves on by at most one step a time."""
        return float(np.float32(self._rate(self.settings, iteration)))

    def _rate(self, settings: Settings, iteration: int) -> float:
        base, gamma = settings.base_lr, settings.gamma
        match settings.lr_policy:
            case "step":
                self.step = iteration // settings.stepsize
                return base * gamma**self.step
            case "exp":
                return base * gamma**iteration
            case "inv":
                return float(base * (1 + gamma * iteration) ** -settings.power)
            case "multistep":
                if self.step < len(settings.stepvalues) and iteration >= settings.stepvalues[self.step]:
                    self.step += 1
                return base * gamma**self.step
            case "poly":
                left = 1 - iteration / settings.max_iter if settings.max_iter else math.nan
                return float(base * left**settings.power) if left >= 0 else math.nan
            case "sigmoid":
                return base / (1 + math.exp(-gamma * (iteration - settings.stepsize)))
        return base
