"""``demitasse half``: weights in half precision."""

from __future__ import annotations

from typing import Any

import click

from demitasse.cli.transform import Request, transform_options
from demitasse.transforms.half import Half

__all__ = ["command"]


@click.command("half")
@transform_options
@click.option("--clamp", is_flag=True, help="Clamp what is too large or too small for float16, instead of refusing.")
def command(clamp: bool, **options: Any) -> int:
    """Store weights as float16: half the size.

    OpenCV reads such a caffemodel, and so does NVIDIA's fork; BVLC Caffe does not.
    """
    return Request("half", (Half(clamp),), **options)()
