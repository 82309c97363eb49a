"""What networks are shown when they are compared: photographs, generated pictures, noise, or arrays of one's own."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import photographs
from demitasse.errors import FileError, NetError, OptionError
from demitasse.evaluate.inputs import feeds, noise, picture_shape
from demitasse.evaluate.pictures import generated
from demitasse.evaluate.preprocessing import Preprocessing, Stated, preprocessing
from demitasse.net import Net

__all__ = ["Fed", "Shown", "fed"]

Feed = dict[str, npt.NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]

NOTHING = Stated()


@dataclass(frozen=True, slots=True)
class Shown:
    """What the networks are shown.

    ``folder``: photographs; ``arrays``: an ``.npz`` with an array for each input; ``random``: so many sets of normal
    noise; none of them: ``count`` generated pictures. ``mean`` and ``scale``, and whatever else is ``stated``, is done
    to pictures, in place of what is known of the network.
    """

    folder: Path | None = None
    mean: tuple[float, ...] | None = None
    scale: float | None = None
    count: int = 4
    seed: int = 0
    stated: Stated = NOTHING
    arrays: Path | None = None
    random: int = 0

    @property
    def all_stated(self) -> Stated:
        """``mean`` and ``scale`` over the rest."""
        return Stated(self.mean, self.scale).over(self.stated)


@dataclass(frozen=True, slots=True)
class Fed:
    """Sets of inputs. ``words``: what they are (``4 generated pictures``), ``prepared``: what was done to pixels,
    ``names``: of the pictures, one for each set."""

    feeds: list[Feed]
    words: str
    prepared: str = ""
    names: tuple[str, ...] = ()


def fed(shown: Shown, net: Net | None, inputs: Shapes, batch: int = 1) -> Fed:
    """Inputs for a network (``None``: one of which nothing but the inputs is known).

    FileError for what cannot be read, OptionError for what does not fit, NetError if there are pictures to show and the
    network has no input for them.
    """
    if shown.arrays is not None:
        return from_arrays(shown.arrays, inputs)
    if shown.random:
        return random_sets(inputs, shown.random, shown.seed, batch)
    try:
        shape = picture_shape(inputs)
    except NetError:
        if shown.folder is not None:
            raise
        return random_sets(inputs, shown.count, shown.seed, batch)
    prepare = prepared_for(shown, net, shape[1])
    if shown.folder is not None:
        pictures = photographs(shown.folder)
    else:
        pictures = generated(shown.count, shape[2], shape[3], shown.seed)
    what = "photograph" if shown.folder is not None else "generated picture"
    names = tuple(name for name, _ in pictures)
    return Fed(feeds(inputs, pictures, prepare, batch), counted(len(pictures), what), str(prepare), names)


def prepared_for(shown: Shown, net: Net | None, channels: int) -> Preprocessing:
    """What is done to pictures."""
    return preprocessing(net if net is not None else Net("", ()), channels, stated=shown.all_stated)


def random_sets(inputs: Shapes, count: int, seed: int, batch: int) -> Fed:
    """Normal noise for every input, but for those that say where to look in a picture."""
    sets = [noise(inputs, seed, i, batch) for i in range(count)]
    return Fed(sets, counted(count, "set", "sets") + " of random numbers")


def from_arrays(path: Path, inputs: Shapes) -> Fed:
    """One set, or, where every array has an axis more than its input, as many as that axis is long."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in stored.files}
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except (AttributeError, EOFError, ValueError, TypeError, zipfile.BadZipFile):
        raise FileError(f"{path}: not an .npz of arrays of numbers") from None
    wanted = ", ".join(f"{name} {sizes(shape)}" for name, shape in inputs.items())
    for name in (*arrays, *inputs):
        if (name in arrays) != (name in inputs):
            lacks = "has no array" if name in inputs else "has an array that is no input,"
            raise OptionError(f'{path}: {lacks} "{name}"; the inputs are {wanted}')
    sets = all(array.ndim == len(inputs[name]) + 1 for name, array in arrays.items())
    for name, array in arrays.items():
        one = array.shape[1:] if sets else array.shape
        if len(one) != len(inputs[name]) or one[1:] != inputs[name][1:] or array.dtype.kind not in "fiub":
            raise OptionError(f'{path}: "{name}" is {sizes(array.shape)} {array.dtype}; the inputs are {wanted}')
        if 0 in array.shape:
            raise OptionError(f'{path}: "{name}" is {sizes(array.shape)}: an empty batch cannot be run')
        if not np.isfinite(array).all():
            raise OptionError(f'{path}: "{name}" holds values that are not finite')
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    counts = {len(array) for array in arrays.values()}
    if not sets:
        return Fed([single], f"the arrays of {path.name}")
    if len(counts) > 1:
        raise OptionError(f"{path}: the arrays hold different numbers of sets ({', '.join(map(str, sorted(counts)))})")
    found = [{name: array[i] for name, array in single.items()} for i in range(counts.pop())]
    return Fed(found, counted(len(found), "set", "sets") + f" of arrays of {path.name}")


def sizes(shape: tuple[int, ...]) -> str:
    """``1×3×24×24``."""
    return "×".join(map(str, shape)) or "a single number"


def counted(number: int, one: str, many: str = "") -> str:
    """``1 photograph``, ``4 photographs``."""
    return f"{number} {one if number == 1 else many or one + 's'}"
