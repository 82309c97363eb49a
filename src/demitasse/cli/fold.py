"""``demitasse fold``: BatchNorm and its like into their neighbours."""

from __future__ import annotations

from typing import Any

import click

from demitasse.cli.transform import Request, transform_options
from demitasse.transforms.fold import Fold

__all__ = ["command"]


@click.command("fold")
@transform_options
def command(**options: Any) -> int:
    """Fold BatchNorm, Scale, Bias and linear Power into the layers before or behind them. Exact.

    What cannot be folded exactly stays, and the report says why: a layer in front of a padded convolution, one whose
    input is read elsewhere, shared weights.
    """
    return Request("fold", (Fold(),), **options)()
