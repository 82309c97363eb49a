"""Which transform, where, how far: from a target to a smaller network."""

from demitasse.plan.calibration import sensitivity
from demitasse.plan.compress import QUALITY, compress

__all__ = ["QUALITY", "compress", "sensitivity"]
