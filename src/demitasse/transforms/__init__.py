"""Transforms: a network to a network, one idea a module. A transform's options are the fields of its dataclass."""

from demitasse.transforms.quantize import Quantize

__all__ = ["Quantize"]
