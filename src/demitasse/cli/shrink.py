"""``demitasse shrink``: what says nothing leaves for good."""

from __future__ import annotations

from typing import Any

import click

from demitasse.cli.transform import Request, transform_options
from demitasse.transforms.shrink import Shrink

__all__ = ["command"]


@click.command("shrink")
@transform_options
@click.option(
    "--allow-outputs",
    multiple=True,
    metavar="NAME",
    help="A layer whose channels may leave although they are outputs of the network. May be repeated.",
)
def command(allow_outputs: tuple[str, ...], **options: Any) -> int:
    """Remove what the outputs do not depend on: channels that are zero, constant, unread or double. Exact.

    A channel leaves its layer, the layers behind it, and all layers that read it; so do empty borders of kernels,
    branches that are zero and layers that do nothing. What stays although it holds zeros is listed with the reason.
    """
    return Request("shrink", (Shrink(allow_outputs),), **options)()
