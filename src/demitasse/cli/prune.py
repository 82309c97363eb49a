"""``demitasse prune``: fewer channels, by choice."""

from __future__ import annotations

from typing import Any

import click

from demitasse.cli.options import Real
from demitasse.cli.transform import Request, transform_options
from demitasse.transforms.prune import Prune
from demitasse.transforms.prune.criteria import CRITERIA

__all__ = ["command"]

SHARE = Real(0, 1, min_open=True)


class Keep(click.ParamType[Any]):
    """``0.5`` or ``conv1=0.5``."""

    name = "share"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, float]:
        """The layer ("" for all), and the share."""
        if isinstance(value, tuple):
            return value
        layer, _, share = str(value).rpartition("=")
        try:
            number = float(share)
        except ValueError:
            number = 0.0
        if not 0 < number <= 1:
            self.fail(f"{value!r} is no share: give a number above 0, up to 1, or LAYER=SHARE", parameter, context)
        return layer, number


@click.command("prune")
@transform_options
@click.option(
    "--keep",
    "keeps",
    type=Keep(),
    multiple=True,
    metavar="SHARE",
    help="Share of the channels to be left: of all that may leave, or LAYER=SHARE (may be repeated).",
)
@click.option("--macs", type=SHARE, metavar="SHARE", help="Share of the network's multiply-accumulates to be left.")
@click.option("--params", type=SHARE, metavar="SHARE", help="Share of the network's weights to be left.")
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Only channels of this layer. May be repeated.")
@click.option(
    "--criterion",
    type=click.Choice(CRITERIA),
    default="l2",
    help="What a channel is worth: the norm of its filter (l1, l2), its distance from others (median), its scale "
    "behind BatchNorm, or on --images its mean activation, or its effect on the outputs to first order (taylor).",
)
@click.option(
    "--ranking",
    type=click.Choice(["global", "layer", "time"]),
    default="global",
    help="Rank channels over all layers, take the same share of each, or (time, with --macs) more of layers whose "
    "multiplications take longest.",
)
@click.option("--round-to", type=click.IntRange(1), default=1, metavar="N", help="Channels in multiples of N.")
@click.option("--repair/--no-repair", default=True, help="Make up for what is no longer read (the default).")
@click.option(
    "--allow-outputs",
    multiple=True,
    metavar="NAME",
    help="A layer whose channels may leave although they are outputs of the network. May be repeated.",
)
def command(keeps: tuple[tuple[str, float], ...], layers: tuple[str, ...], **options: Any) -> int:
    """Remove the channels that matter least, with all that is tied to them.

    Give one of --keep, --macs and --params. Outputs of the network and what unknown layers read keep their channels.
    Layers that read what leaves make up for it: on --images by least squares, otherwise in their biases.
    """
    names = ("macs", "params", "criterion", "ranking", "round_to", "repair", "allow_outputs")
    own = {name: options.pop(name) for name in names}
    if not (keeps or own["macs"] or own["params"]):
        raise click.UsageError("give one of --keep, --macs and --params")
    return Request("prune", (Prune(**shares(keeps), layer=layers, **own),), **options)()


def shares(keeps: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    """One for all, or one for each layer by name."""
    if not keeps:
        return {}
    if len(keeps) == 1 and not keeps[0][0]:
        return {"keep": keeps[0][1]}
    if any(not layer for layer, _ in keeps):
        raise click.BadParameter("more than one needs the names of layers: conv1=0.5", param_hint="--keep")
    if len({layer for layer, _ in keeps}) < len(keeps):
        raise click.BadParameter("a layer is named twice", param_hint="--keep")
    return {"layers": dict(keeps)}
