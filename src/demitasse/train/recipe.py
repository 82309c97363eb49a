"""Training recipes: lists of shapings as YAML, to be written down and run again.

    - distill: {teacher: [deploy.prototxt, large.caffemodel], temperature: 4}
    - mask: {density: {ip1: 0.08, "conv*": 0.5}, end: 5000}
    - clusters: {values: 32, begin: 8000}

A step is a shaping's name, alone or with the fields of its dataclass. Nothing in a recipe is executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demitasse.train.clusters import Clusters
from demitasse.train.distill import Distill
from demitasse.train.lasso import Lasso
from demitasse.train.masks import Mask
from demitasse.train.rate import Rate
from demitasse.train.shaping import Shaping
from demitasse.train.steps import Steps
from demitasse.transforms.recipe import parse_steps, read_steps

__all__ = ["SHAPINGS", "parse_training_recipe", "read_training_recipe"]

SHAPINGS: dict[str, type[Any]] = {
    "clusters": Clusters,
    "distill": Distill,
    "lasso": Lasso,
    "mask": Mask,
    "rate": Rate,
    "steps": Steps,
}
"""Shapings by the names that recipes call them."""


def read_training_recipe(path: Path) -> tuple[Shaping, ...]:
    """The shapings in a YAML file. FileError if it cannot be read, OptionError for what it should not say."""
    return read_steps(path, SHAPINGS, "shaping")


def parse_training_recipe(text: str, where: str = "recipe") -> tuple[Shaping, ...]:
    """The shapings in a YAML text. ``where`` begins the messages of errors."""
    return parse_steps(text, where, SHAPINGS, "shaping")
