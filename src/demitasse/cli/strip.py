"""``demitasse strip``: from a network as it was trained to the network as it is used."""

from __future__ import annotations

import re
from typing import Any

import click

from demitasse.cli.transform import Request, transform_options
from demitasse.transforms.strip import Strip

__all__ = ["command"]


class NamedShape(click.ParamType[Any]):
    """``data=1x3x224x224``."""

    name = "shape"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """Name and sizes; refuses what is neither."""
        if isinstance(value, tuple):
            return value
        name, _, sizes = str(value).rpartition("=")
        if not name or not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8})*", sizes):
            self.fail(f"{value!r} is no name and shape, such as data=1x3x224x224", parameter, context)
        return name, tuple(map(int, sizes.split("x")))


@click.command("strip")
@transform_options
@click.option(
    "--input",
    "inputs",
    type=NamedShape(),
    multiple=True,
    metavar="NAME=1x3xHxW",
    help="Shape of an input, where the file does not say it, or another one. May be repeated.",
)
@click.option(
    "--until",
    multiple=True,
    metavar="BLOB",
    help="End with this blob (default: what the losses judge). May be repeated.",
)
def command(inputs: tuple[tuple[str, tuple[int, ...]], ...], until: tuple[str, ...], **options: Any) -> int:
    """Turn a network as it was trained into the network as it is used.

    Data layers, losses, accuracies, auxiliary heads with their weights, Dropout, rules about phases, and weights in
    the file that no layer has: they leave. Inputs are declared, a Softmax takes the place of SoftmaxWithLoss, and a
    DetectionOutput that of MultiBoxLoss.
    """
    return Request("strip", (Strip(dict(inputs), until),), **options)()
