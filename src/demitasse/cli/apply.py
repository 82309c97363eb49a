"""``demitasse apply``: a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from demitasse.cli.transform import Request, transform_options
from demitasse.transforms.recipe import read_recipe

__all__ = ["command"]


@click.command("apply")
@click.argument("recipe", metavar="RECIPE.yaml", type=click.Path(path_type=Path))
@transform_options
def command(recipe: Path, **options: Any) -> int:
    """Apply the transforms that a recipe lists, in order.

    A recipe is a YAML list of transforms: '- fold', or '- factorize: {layer: fc6, rank: 1024}'. The JSON report of any
    transforming command holds the recipe that was applied.
    """
    return Request("apply", read_recipe(recipe), **options)()
