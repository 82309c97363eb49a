"""``demitasse factorize``: layers of low rank."""

from __future__ import annotations

from typing import Any

import click

from demitasse.cli.options import Real
from demitasse.cli.transform import Request, transform_options
from demitasse.transforms.factorize import Factorize

__all__ = ["command"]

SHARE = Real(0, 1, min_open=True)


class Rank(click.ParamType[Any]):
    """``1024``, ``fc6=1024`` or ``break-even``."""

    name = "rank"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, int | str]:
        """The layer ("" for all), and the rank."""
        if isinstance(value, tuple):
            return value
        layer, _, rank = str(value).rpartition("=")
        if rank == "break-even" and not layer:
            return "", rank
        if not rank.isascii() or not rank.isdigit() or not int(rank):
            self.fail(f"{value!r} is no rank: give a number, LAYER=NUMBER or break-even", parameter, context)
        return layer, int(rank)


@click.command("factorize")
@transform_options
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Only this layer. May be repeated.")
@click.option(
    "--rank",
    "ranks",
    type=Rank(),
    multiple=True,
    metavar="N",
    help="Rank: a number, LAYER=NUMBER (may be repeated), or break-even: the largest that makes a layer smaller.",
)
@click.option("--energy", type=SHARE, metavar="SHARE", help="Share of each layer's energy to keep, such as 0.95.")
@click.option("--macs", type=SHARE, metavar="SHARE", help="Share of the network's multiply-accumulates to be left.")
@click.option("--params", type=SHARE, metavar="SHARE", help="Share of the network's weights to be left.")
@click.option(
    "--method",
    type=click.Choice(["auto", "channel", "spatial", "tucker"]),
    default="auto",
    help="For convolutions: k×k and 1×1; k×1 and 1×k; 1×1, k×k and 1×1; or what costs least (the default).",
)
def command(layers: tuple[str, ...], ranks: tuple[tuple[str, int | str], ...], **options: Any) -> int:
    """Replace layers by two or three thin ones: the truncated SVD of InnerProducts, and its kin for convolutions.

    Give one of --rank, --energy, --macs and --params. A layer that would not become smaller stays. With --images, what
    layers give on these photographs is kept as well as possible, instead of their weights: better at the same rank.
    """
    own = {name: options.pop(name) for name in ("energy", "macs", "params", "method")}
    if not (ranks or own["energy"] or own["macs"] or own["params"]):
        raise click.UsageError("give one of --rank, --energy, --macs and --params")
    return Request("factorize", (Factorize(layers, rank_of(ranks), **own),), **options)()


def rank_of(ranks: tuple[tuple[str, int | str], ...]) -> Any:
    """One for all, or one for each layer by name."""
    if not ranks:
        return None
    if len(ranks) == 1 and not ranks[0][0]:
        return ranks[0][1]
    if any(not layer for layer, _ in ranks):
        raise click.BadParameter("more than one needs the names of layers: fc6=1024", param_hint="--rank")
    if len({layer for layer, _ in ranks}) < len(ranks):
        raise click.BadParameter("a layer is named twice", param_hint="--rank")
    return dict(ranks)
