"""Options that say what makes a network smaller while it trains. `train` gets them as one `Wishes`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from demitasse.cli.model import source
from demitasse.errors import OptionError

if TYPE_CHECKING:
    from demitasse.train.lasso import Lasso
    from demitasse.train.shaping import Shaping

__all__ = ["Wishes", "shaping"]

F = TypeVar("F", bound=Callable[..., Any])
Number = TypeVar("Number", int, float)

OPTIONS = (
    click.option(
        "--recipe",
        type=click.Path(path_type=Path),
        metavar="FILE.yaml",
        help="A list of shapings: lasso, mask, clusters, steps, rate, distill, each with all of its fields.",
    ),
    click.option(
        "--lasso",
        multiple=True,
        metavar="KIND=PRICE[@LAYER,…]",
        help="Price on groups that become zero: filters, channels, shapes, depth, blocks:4x8, single (L1).",
    ),
    click.option(
        "--density",
        multiple=True,
        metavar="[network=]D[@LAYER,…]",
        help="Keep only this share of the weights, the largest: of each layer, or of all layers together.",
    ),
    click.option(
        "--until",
        type=click.IntRange(1),
        metavar="N",
        help="Get to --density little by little, in iteration N, not at once.",
    ),
    click.option("--splice", is_flag=True, help="Weights that --density has cut go on learning and may come back."),
    click.option("--keep-zeros", is_flag=True, help="Weights that are zero at the beginning stay zero."),
    click.option(
        "--clusters",
        multiple=True,
        metavar="N[@LAYER,…]",
        help="The weights of each layer share N values, which are trained; zero is not counted, and stays.",
    ),
    click.option(
        "--bits",
        multiple=True,
        metavar="N[@LAYER,…]",
        help="Weights are whole numbers of N bits times a step, which is trained.",
    ),
    click.option(
        "--teacher",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Also learn from this network: a .demi, a folder, or twice, DEPLOY and MODEL.",
    ),
)


def shaping(command: F) -> F:
    """The options above, as one ``wishes``."""
    names = [each.name for each in fields(Wishes)]

    @wraps(command)
    def combined(**options: Any) -> Any:
        return command(wishes=Wishes(**{name: options.pop(name) for name in names}), **options)

    made: Callable[..., Any] = combined
    for option in reversed(OPTIONS):
        made = option(made)
    return made  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options, by name."""

    recipe: Path | None
    lasso: tuple[str, ...]
    density: tuple[str, ...]
    until: int | None
    splice: bool
    keep_zeros: bool
    clusters: tuple[str, ...]
    bits: tuple[str, ...]
    teacher: tuple[Path, ...]

    def __call__(self) -> list[Shaping]:
        """The shapings: those of the recipe, then those of the other options. OptionError for what makes no sense."""
        from demitasse.train.clusters import Clusters
        from demitasse.train.distill import Distill
        from demitasse.train.recipe import read_training_recipe
        from demitasse.train.steps import Steps

        found: list[Shaping] = list(read_training_recipe(self.recipe)) if self.recipe else []
        if self.teacher:
            found.append(Distill(tuple(map(str, source(self.teacher).files))))
        found += map(lasso_of, self.lasso)
        found += self.mask()
        if self.clusters:
            found.append(Clusters(by_layer("--clusters", self.clusters, int)))
        if self.bits:
            found.append(Steps(by_layer("--bits", self.bits, int)))
        return found

    def mask(self) -> list[Shaping]:
        """One mask, if any is asked for."""
        from demitasse.train.masks import Mask

        if not self.density:
            if self.until is not None or self.splice:
                raise OptionError("--until and --splice are about --density: give one")
            return [Mask(zeros=True)] if self.keep_zeros else []
        made = partial(Mask, end=self.until or 0, splice=self.splice, zeros=self.keep_zeros)
        if not any(text.startswith("network=") for text in self.density):
            return [made(by_layer("--density", self.density, float))]
        if len(self.density) > 1:
            raise OptionError("--density network=D is of all layers together: give it alone")
        density, layers = valued("--density", self.density[0].removeprefix("network="), float)
        return [made(density, "network", layers)]


def by_layer(option: str, texts: Sequence[str], kind: type[Number]) -> Number | Mapping[str, Number]:
    """One number for all layers, or one for each name or pattern; what comes later wins."""
    found = [valued(option, text, kind) for text in texts]
    if len(found) == 1 and not found[0][1]:
        return found[0][0]
    return {layer: value for value, layers in found for layer in layers or ("*",)}


def valued(option: str, text: str, kind: type[Number]) -> tuple[Number, tuple[str, ...]]:
    """``0.1@conv*,ip1``: the number, and the layers. OptionError for anything else."""
    number, at, layers = text.partition("@")
    try:
        value = kind(number)
    except ValueError:
        value = kind(0)
    if value <= 0 or not math.isfinite(value) or (at and not all(layers.split(","))):
        example = "8@conv*,ip1" if kind is int else "0.1@conv*,ip1"
        raise OptionError(f"{option} {text}: should be a number above 0, for some layers only if so said: {example}")
    return value, tuple(layers.split(",")) if at else ()


def lasso_of(text: str) -> Lasso:
    """``filters=0.001@conv*,ip1`` or ``blocks:4x8=0.001``. OptionError for anything else."""
    from demitasse.train.lasso import KINDS, Lasso

    what, _, layers = text.partition("@")
    name, _, price = what.partition("=")
    name, _, size = name.partition(":")
    kind = next((kind for kind in KINDS if kind == name and (kind == "blocks") == bool(size)), None)
    try:
        weight = float(price)
        rows, columns = map(int, size.split("x")) if size else (1, 1)
    except ValueError:
        kind = None
    if kind is None or not 0 <= weight < math.inf:
        kinds = ", ".join("blocks:ROWSxCOLUMNS" if each == "blocks" else each for each in KINDS)
        raise OptionError(f"--lasso {text}: should be KIND=PRICE, such as filters=0.001; kinds are {kinds}")
    return Lasso(weight, kind, tuple(layers.split(",")) if layers else (), (rows, columns))
