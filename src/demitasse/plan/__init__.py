"""Which transform, where, how far: from a target to a smaller network."""

from demitasse.plan.calibration import sensitivity
from demitasse.plan.compress import QUALITY, compress, planned
from demitasse.plan.quantization import Attempt
from demitasse.plan.result import Plan, TensorPlan
from demitasse.plan.target import Target

__all__ = ["QUALITY", "Attempt", "Plan", "Target", "TensorPlan", "compress", "planned", "sensitivity"]
